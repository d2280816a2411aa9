//! The tasks of this repository: `cargo xtask test`, `cargo xtask check`, and others.

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a task talks to who runs it")]

mod kit;
mod shape;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context as _, bail};

/// Programs that the tests need besides Rust, each with its Debian package.
const PROGRAMS: [(&str, &str); 12] = [
    ("openssl", "openssl"),
    ("curl", "curl"),
    ("git", "git"),
    ("make", "make"),
    ("python3", "python3"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("chromium", "chromium"),
    ("promtool", "prometheus"),
    ("nginx", "nginx-light"),
    ("h2load", "nghttp2-client"),
    ("valgrind", "valgrind"),
];

/// Programs that the benchmarks need besides Rust.
const PEER_PROGRAMS: [(&str, &str); 4] =
    [("openssl", "openssl"), ("redis-server", "redis-server"), ("make", "make"), ("escript", "erlang-ssl")];

/// The Debian packages that make WebAssembly out of C and C++.
const C_PACKAGES: [&str; 5] = ["clang", "lld", "wasi-libc", "libclang-rt-dev-wasm32", "libc++-dev-wasm32"];

/// The folders of the tools for guests in JavaScript and in Python: beside the guests, out of git.
const JS: &str = "guests/js";
const PYTHON: &str = "guests/python";

/// The folder of the libraries for the script that drives the admin page.
const BROWSER: &str = "tests/e2e/browser";

const HELP: &str = "\
cargo xtask test [ARGS]   installs what is missing and runs every test; ARGS go to `cargo test`
cargo xtask check         formatting, lints and documentation, as CI has them
cargo xtask bench [--quick] [SECTIONS]
                          measures everything beside floors and peers, or the sections that are named: readers, calls,
                          handshakes, proxied, density; the first time it builds for a quarter of an hour
cargo xtask kit           from `new` to `check` in every language; wants cargo-component and Zig
cargo xtask shape         circles between files, fields, flags, first words of doc comments, widths; reads sources only
cargo xtask soak [SECONDS]
                          a server under every kind of client while everything changes, 600 seconds by default
cargo xtask explore       runs owner and readers under many schedules, and models of weak orderings; takes some minutes
cargo xtask fuzz [SECONDS]
                          runs each fuzz target so long, 60 seconds by default; needs nightly Rust and cargo-fuzz";

/// The targets in `tests/fuzz`, each with its build option, and the bytes of its longest input.
///
/// A compiler compares so much that tracing every comparison makes a run ten times as long. The other targets are built
/// without a compiler.
const FUZZ_TARGETS: [(&str, &str, u32); 4] = [
    ("load", "--no-trace-compares", 512),
    ("host", "--no-default-features", 1_024),
    ("client_hello", "--no-default-features", 1_024),
    ("config", "--no-default-features", 1_024),
];

fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["test", args @ ..] => test(args),
        ["check"] => check(),
        ["bench", args @ ..] => bench(args),
        ["kit"] => {
            kit::kit()?;
            Ok(ExitCode::SUCCESS)
        }
        ["shape"] => {
            shape::shape();
            Ok(ExitCode::SUCCESS)
        }
        ["soak"] => soak("600"),
        ["soak", seconds] => soak(seconds),
        ["explore"] => explore(),
        ["fuzz"] => fuzz("60"),
        ["fuzz", seconds] => fuzz(seconds),
        _ => {
            eprintln!("{HELP}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Formatting, lints and documentation; warnings are errors.
fn check() -> anyhow::Result<ExitCode> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])?;
    let mut doc = cargo_command(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
    run(doc.env("RUSTDOCFLAGS", "--deny warnings"))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the soak with the tests' build.
fn soak(seconds: &str) -> anyhow::Result<ExitCode> {
    install_missing()?;
    cargo(&["build", "--workspace", "--bins"])?;
    run(Command::new(top().join("target/debug/soak")).arg(seconds))?;
    Ok(ExitCode::SUCCESS)
}

/// Builds the benchmarks and their peers, optimised, and runs them. The results go to `tests/bench/results`.
fn bench(args: &[&str]) -> anyhow::Result<ExitCode> {
    install(&PEER_PROGRAMS)?;
    let peers = top().join("target/peers");
    let build = |args: &[&str]| {
        let mut build = cargo_command(&["build", "--release", "--quiet", "--locked"]);
        build.args(args).arg("--target-dir").arg(&peers).current_dir(top().join("tests/bench/peers"));
        build
    };
    eprintln!("building the peers");
    run(&mut build(&[]))?;
    let modules = ["--package", "innkeeper-peers-bytes", "--package", "innkeeper-peers-plugin"];
    run(build(&modules).args(["--target", "wasm32-unknown-unknown"]))?;
    eprintln!("building the benchmarks");
    cargo(&["build", "--release", "--quiet", "--package", "innkeeper-bench", "--bins"])?;
    run(Command::new(top().join("target/release/innkeeper-bench")).arg(&peers).args(args))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the scenarios of owner and readers under an explorer of schedules. The build is optimised, with its checks on,
/// and has a separate folder, since the flag rebuilds every crate.
fn explore() -> anyhow::Result<ExitCode> {
    let build = ["--config", "profile.dev.opt-level=2", "--target-dir", "target/explore"];
    let test = ["--package", "innkeeper-core", "--test", "explore"];
    run(cargo_command(&["test"]).args(build).args(test).env("RUSTFLAGS", "--cfg shuttle"))?;
    let models = ["--target-dir", "target/models", "--package", "innkeeper-core", "--lib", "models"];
    run(cargo_command(&["test"]).args(models).env("RUSTFLAGS", "--cfg loom"))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs each fuzz target for some seconds. Findings and corpora stay in `tests/fuzz`, out of git.
fn fuzz(seconds: &str) -> anyhow::Result<ExitCode> {
    let seconds: u32 = seconds.parse().with_context(|| format!("`{seconds}` is no number of seconds"))?;
    let nightly = |args: &[&str]| {
        let mut rustup = Command::new("rustup");
        rustup.args(["run", "nightly", "cargo"]).args(args).current_dir(top());
        rustup
    };
    let is_there = |args: &[&str]| nightly(args).output().is_ok_and(|output| output.status.success());
    if !is_there(&["--version"]) {
        bail!("nightly Rust is missing\nhint: rustup toolchain install nightly --profile minimal");
    }
    if !is_there(&["fuzz", "--version"]) {
        bail!("cargo-fuzz is missing\nhint: cargo install cargo-fuzz --locked");
    }
    // No sanitizer: this code is free of unsafe blocks, and a run without one does several times as much.
    let options = ["--fuzz-dir", "tests/fuzz", "--sanitizer", "none"];
    for (target, build, bytes) in FUZZ_TARGETS {
        let time = format!("-max_total_time={seconds}");
        let length = format!("-max_len={bytes}");
        let fuzzer = [target, "--", &time, &length, "-len_control=0", "-print_final_stats=1"];
        run(nightly(&["fuzz", "run", build]).args(options).args(fuzzer))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs every test, doctests included, and ends with the sum of the runner's own summaries.
fn test(args: &[&str]) -> anyhow::Result<ExitCode> {
    install_missing()?;
    let all = [&["test", "--workspace", "--no-fail-fast"], args].concat();
    let mut child = cargo_command(&all).stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let (mut passed, mut failed) = (0, 0);
    for line in BufReader::new(child.stdout.take().context("standard output is a pipe")?).lines() {
        let line = line?;
        println!("{line}");
        let Some(summary) = line.strip_prefix("test result: ") else { continue };
        passed += number_before(summary, " passed");
        failed += number_before(summary, " failed");
    }
    let is_success = child.wait()?.success();
    println!("\n{passed} passed, {failed} failed");
    if passed == 0 {
        bail!("no test ran");
    }
    Ok(if is_success && failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn number_before(summary: &str, word: &str) -> u64 {
    let before = summary.split(word).next().unwrap_or_default();
    before.rsplit([' ', '.']).next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Installs the missing packages as root on Debian; elsewhere fails with the exact command.
fn install_missing() -> anyhow::Result<()> {
    install(&PROGRAMS)?;
    install_componentizers()?;
    install_browser_libraries()
}

/// Installs the packages of missing programs, and those for guests in C and C++.
fn install(programs: &[(&str, &'static str)]) -> anyhow::Result<()> {
    let absent = programs.iter().filter(|(program, _)| !is_there(program));
    let mut missing: Vec<&str> = absent.map(|(_, package)| *package).collect();
    if !compiles("c", "#include <stdlib.h>\nvoid *probe(size_t size) { return malloc(size); }\n")
        || !compiles("c++", "#include <map>\nint probe() { return std::map<int, int>{{1, 2}}[1]; }\n")
    {
        missing.extend(C_PACKAGES);
    }
    if missing.is_empty() { Ok(()) } else { install_packages(&missing) }
}

/// Installs the libraries that drive the browser and check a page's accessibility, in the pinned versions.
fn install_browser_libraries() -> anyhow::Result<()> {
    let npm = |args: &[&str]| {
        let mut npm = Command::new("npm");
        npm.args(args).args(["--silent", "--no-package-lock"]).current_dir(top().join(BROWSER));
        npm
    };
    // Fails as well if the installed version differs from the pinned one.
    if npm(&["ls"]).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    eprintln!("installing what drives the browser");
    run(&mut npm(&["install"]))
}

/// Installs the tools that put an interpreter around a guest, from npm and PyPI, in the versions that a new guest
/// requires.
fn install_componentizers() -> anyhow::Result<()> {
    if !top().join(JS).join("node_modules/.bin/componentize-qjs").exists() {
        eprintln!("installing componentize-qjs");
        run(Command::new("npm").args(["install", "--no-package-lock", "--silent"]).current_dir(top().join(JS)))?;
    }
    let venv = top().join(PYTHON).join(".venv");
    if !venv.join("bin/componentize-py").exists() {
        eprintln!("installing componentize-py");
        let is_made = Command::new("python3").args(["-m", "venv"]).arg(&venv).stdout(Stdio::null()).status();
        if !is_made.is_ok_and(|status| status.success()) {
            install_packages(&["python3-venv"])?;
            run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        }
        let install = ["install", "--quiet", "--disable-pip-version-check", "--requirement", "new/requirements.txt"];
        run(Command::new(venv.join("bin/pip")).args(install).current_dir(top().join(PYTHON)))?;
    }
    Ok(())
}

fn install_packages(missing: &[&str]) -> anyhow::Result<()> {
    let install = ["apt-get", "install", "--yes", "--no-install-recommends"];
    let command = [&install, missing].concat();
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if !is_root || !is_there("apt-get") {
        bail!("missing: {}\nhint: sudo {}", missing.join(", "), command.join(" "));
    }
    eprintln!("installing {}", missing.join(", "));
    run(Command::new("apt-get").args(["update", "--quiet"]).stdout(Stdio::null()))?;
    run(Command::new(command[0]).args(&command[1..]).stdout(Stdio::null()))
}

/// True if a program starts, from the shell's path or from root's. Some fail when asked for their version, and are
/// installed nonetheless.
fn is_there(program: &str) -> bool {
    let at = [program.to_owned(), format!("/usr/sbin/{program}")];
    at.iter().any(|at| Command::new(at).arg("--version").output().is_ok())
}

/// True if clang compiles a file to WebAssembly that needs its language's library and its runtime.
fn compiles(language: &str, source: &str) -> bool {
    let compiler = if language == "c" { "clang" } else { "clang++" };
    let args =
        ["--target=wasm32-wasi", "-mexec-model=reactor", "-fno-exceptions", "-x", language, "-", "-o", "/dev/null"];
    let mut clang = Command::new(compiler);
    clang.args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = clang.spawn() else { return false };
    let is_written = child.stdin.take().is_some_and(|mut input| input.write_all(source.as_bytes()).is_ok());
    is_written && child.wait().is_ok_and(|status| status.success())
}

fn cargo(args: &[&str]) -> anyhow::Result<()> {
    run(&mut cargo_command(args))
}

fn cargo_command(args: &[&str]) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(args).current_dir(top());
    cargo
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("failed: {command:?}");
    }
    Ok(())
}
