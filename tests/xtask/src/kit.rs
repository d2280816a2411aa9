//! `cargo xtask kit`: takes every way from a new guest to a checked component, with the commands of the guides.
//!
//! It is too much for every run of the tests: it installs tools from npm and PyPI anew for each guest, and needs
//! cargo-component and Zig.

#![expect(clippy::disallowed_methods, reason = "a task tells how long it took")]

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, bail};

use crate::{cargo, top};

/// One way: its name, the language, and the commands in the new folder. The last command makes the component.
struct Way {
    name: &'static str,
    lang: &'static str,
    commands: &'static [&'static str],
    component: &'static str,
    /// True if the component needs closed WASI.
    is_wasi: bool,
}

const RELEASE: &str = "target/wasm32-unknown-unknown/release/my_guest.wasm";

const WAYS: [Way; 10] = [
    Way {
        name: "Rust, cargo",
        lang: "rust",
        commands: &["cargo test --quiet", "cargo build --quiet --release --target wasm32-unknown-unknown"],
        component: RELEASE,
        is_wasi: false,
    },
    Way {
        name: "Rust, cargo, wasm32-wasip2",
        lang: "rust",
        commands: &["cargo build --quiet --release --target wasm32-wasip2"],
        component: "target/wasm32-wasip2/release/my_guest.wasm",
        is_wasi: true,
    },
    Way {
        name: "Rust, cargo component, unknown",
        lang: "rust",
        commands: &["cargo component build --quiet --release --target wasm32-unknown-unknown"],
        component: RELEASE,
        is_wasi: false,
    },
    Way {
        name: "Rust, cargo component",
        lang: "rust",
        commands: &["cargo component build --quiet --release"],
        component: "target/wasm32-wasip1/release/my_guest.wasm",
        is_wasi: true,
    },
    Way {
        name: "C, make",
        lang: "c",
        commands: &["make test", "make INNKEEPER={innkeeper}"],
        component: "guest.wasm",
        is_wasi: false,
    },
    Way {
        name: "C++, make",
        lang: "cpp",
        commands: &["make test", "make INNKEEPER={innkeeper}"],
        component: "guest.wasm",
        is_wasi: false,
    },
    Way {
        name: "JavaScript, npm",
        lang: "js",
        commands: &["npm install --silent", "npm test", "npm run build"],
        component: "guest.wasm",
        is_wasi: false,
    },
    Way {
        name: "JavaScript, innkeeper build",
        lang: "js",
        commands: &["npm install --silent", "{innkeeper} build . --output guest.wasm"],
        component: "guest.wasm",
        is_wasi: false,
    },
    Way {
        name: "Python, componentize-py",
        lang: "python",
        commands: &[
            "python3 -m unittest",
            "python3 -m venv .venv",
            ".venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt",
            ".venv/bin/componentize-py -d wit -w session-cache componentize --stub-wasi -p . -p ./kit guest -o guest.wasm",
        ],
        component: "guest.wasm",
        is_wasi: false,
    },
    Way {
        name: "Python, innkeeper build",
        lang: "python",
        commands: &[
            "python3 -m venv .venv",
            ".venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt",
            "{innkeeper} build . --output guest.wasm",
        ],
        component: "guest.wasm",
        is_wasi: false,
    },
];

/// Goes every way in a scratch folder, and Zig's over the guest of the repository.
pub(crate) fn kit() -> anyhow::Result<()> {
    cargo(&["build", "--workspace", "--bins"])?;
    let innkeeper = top().canonicalize()?.join("target/debug/innkeeper");
    let innkeeper = innkeeper.to_str().context("the checkout has a plain name")?;
    let scratch = top().canonicalize()?.join("target/kit-ways");
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch)?;
    }
    for (number, way) in WAYS.iter().enumerate() {
        let parent = scratch.join(number.to_string());
        std::fs::create_dir_all(&parent)?;
        let start = Instant::now();
        run_line(&parent, &format!("{innkeeper} new my-guest --lang {}", way.lang))?;
        let folder = parent.join("my-guest");
        if way.lang == "rust" {
            // As on a machine with the toolchain that this repository names.
            std::fs::copy(top().join("rust-toolchain.toml"), folder.join("rust-toolchain.toml"))?;
        }
        for command in way.commands {
            run_line(&folder, &command.replace("{innkeeper}", innkeeper))?;
        }
        let built = start.elapsed();
        check(innkeeper, &folder, way.component, way.is_wasi)?;
        told(way.name, &folder.join(way.component), built, start.elapsed())?;
    }
    let start = Instant::now();
    let zig = scratch.join("zig.wasm");
    run_line(&top(), &format!("{innkeeper} build guests/zig/lru --output {}", zig.display()))?;
    let built = start.elapsed();
    check(innkeeper, &scratch, "zig.wasm", false)?;
    told("Zig, innkeeper build", &zig, built, start.elapsed())
}

fn check(innkeeper: &str, folder: &Path, component: &str, is_wasi: bool) -> anyhow::Result<()> {
    let wasi = if is_wasi { " --wasi" } else { "" };
    run_line(folder, &format!("{innkeeper} check {component}{wasi}"))
}

#[expect(clippy::print_stdout, reason = "a task talks to who runs it")]
fn told(
    name: &str,
    component: &PathBuf,
    built: std::time::Duration,
    checked: std::time::Duration,
) -> anyhow::Result<()> {
    let bytes = std::fs::metadata(component)?.len();
    let check_s = (checked - built).as_secs_f64();
    println!("{name:<32} {bytes:>10} bytes  made in {:>6.1} s, checked in {check_s:>5.1} s", built.as_secs_f64());
    Ok(())
}

/// Runs one command without quotes, and shows its output if it fails.
fn run_line(folder: &Path, line: &str) -> anyhow::Result<()> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (program, args) = words.split_first().context("a command has a program")?;
    let output = Command::new(program).args(args).current_dir(folder).output();
    let output = output.with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("failed: {line}\n{}", String::from_utf8_lossy(&said));
    }
    Ok(())
}
