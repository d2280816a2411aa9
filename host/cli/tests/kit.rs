//! The author's kit as an author uses it: `new`, then the language's own commands, `check`, `bench`, `inspect`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const INNKEEPER: &str = env!("CARGO_BIN_EXE_innkeeper");
const TEMPLATES: [&str; 3] = ["lru", "ttl", "quota"];

fn innkeeper(folder: &Path, args: &[&str]) -> Output {
    Command::new(INNKEEPER).args(args).current_dir(folder).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Standard output of a command that succeeds.
fn shown(output: &Output) -> String {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Standard error of a command that fails.
fn complaint(output: &Output) -> String {
    assert!(!output.status.success(), "{}", text(&output.stdout));
    text(&output.stderr)
}

fn run(folder: &Path, program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout) + &text(&output.stderr)
}

/// A new guest in a folder of its own.
fn new(lang: &str, template: &str) -> (tempfile::TempDir, PathBuf) {
    let scratch = tempfile::tempdir().expect("there is room for a folder");
    let said = shown(&innkeeper(scratch.path(), &["new", "my-guest", "--lang", lang, "--template", template]));
    assert!(said.starts_with("my-guest: a guest with tests; README.md in it is the guide."), "{said}");
    let folder = scratch.path().join("my-guest");
    (scratch, folder)
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there").flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_new_folder_has_the_contract_a_readme_and_tests_and_nothing_to_fill_in() {
    for lang in ["rust", "c", "cpp", "js", "python"] {
        for template in TEMPLATES {
            let (_scratch, folder) = new(lang, template);
            let files = files(&folder);
            let has = |name: &str| files.iter().any(|file| file.ends_with(name));
            assert!(has("README.md") && has("wit/session-cache.wit"), "{lang} {template}: {files:?}");
            for file in &files {
                let Ok(text) = fs::read_to_string(file) else { continue };
                for left in ["{{name}}", "{{crate}}", "{{template}}", "../kit/"] {
                    assert!(!text.contains(left), "{} has {left}", file.display());
                }
            }
        }
    }
}

#[test]
fn new_guests_in_c_and_cpp_build_and_pass_with_make() {
    for lang in ["c", "cpp"] {
        for template in TEMPLATES {
            let (_scratch, folder) = new(lang, template);
            run(&folder, "make", &["test"]);
            let make = format!("INNKEEPER={INNKEEPER}");
            assert!(run(&folder, "make", &[&make]).contains(" bytes, sealed"), "{lang} {template}");
            let checked = innkeeper(&folder, &["check", "guest.wasm", "--only", "03,05,06,12 alone"]);
            assert!(shown(&checked).contains("\nPASSED: "), "{lang} {template}");
        }
    }
}

#[test]
fn new_guests_in_javascript_and_python_pass_their_own_tests() {
    for template in TEMPLATES {
        let (_scratch, folder) = new("js", template);
        let said = run(&folder, "npm", &["test"]);
        assert!(said.contains("# fail 0") && !said.contains("# pass 0"), "{said}");
        let (_scratch, folder) = new("python", template);
        let said = run(&folder, "python3", &["-m", "unittest"]);
        assert!(said.contains("\nOK") && !said.contains("Ran 0 tests"), "{said}");
    }
}

/// The tests of the kits, and each guest beside a naive model: no part of a new guest.
#[test]
fn the_kits_of_javascript_and_python_pass_their_own_tests() {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests");
    let said = run(&guests.join("js"), "npm", &["test"]);
    assert!(said.contains("# fail 0") && !said.contains("# pass 0"), "{said}");
    let said = run(&guests.join("python"), "python3", &["-B", "-m", "unittest"]);
    assert!(said.contains("\nOK") && !said.contains("Ran 0 tests"), "{said}");
}

#[test]
fn a_new_guest_in_rust_tests_builds_and_passes() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (_scratch, folder) = new("rust", "quota");
    // The same versions as everywhere here, and one folder for what cargo builds, whatever the scratch folder is
    // called.
    fs::copy(top.join("Cargo.lock"), folder.join("Cargo.lock")).expect("the workspace is locked");
    fs::copy(top.join("rust-toolchain.toml"), folder.join("rust-toolchain.toml"))
        .expect("the workspace has a toolchain");
    let target = top.join("target/guests/new");
    let cargo = |args: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        let outer = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"];
        outer.iter().for_each(|name| {
            cargo.env_remove(name);
        });
        shown(&cargo.args(args).current_dir(&folder).env("CARGO_TARGET_DIR", &target).output().expect("cargo runs"))
    };
    let said = cargo(&["test", "--quiet"]);
    assert!(said.contains("test result: ok. ") && !said.contains("test result: ok. 0 passed; 0 failed; 1"), "{said}");
    cargo(&["build", "--release", "--target", "wasm32-unknown-unknown"]);
    let component = target.join("wasm32-unknown-unknown/release/my_guest.wasm");
    let component = component.to_str().expect("the checkout has a plain name");
    // Its own linker has made a component already; `build` checks it and leaves it as it is.
    let built = shown(&innkeeper(&folder, &["build", component, "-o", "guest.wasm"]));
    assert!(built.ends_with(" bytes, sealed\n"), "{built}");
    let checked = shown(&innkeeper(&folder, &["check", "guest.wasm", "--property", "quota=4", "--only", "0,16 alone"]));
    assert!(checked.contains("\nPASSED: "), "{checked}");
}

#[test]
fn new_overwrites_nothing_and_wants_a_plain_name() {
    let scratch = tempfile::tempdir().expect("there is room for a folder");
    let refusal = |name: &str| complaint(&innkeeper(scratch.path(), &["new", name, "--lang", "c"]));
    for name in ["My-Guest", "1st", "with space", "a/../..", "tail-", &"x".repeat(65)] {
        assert!(refusal(name).contains("is not a valid name for a guest; take small letters"), "{name}");
    }
    assert_eq!(files(scratch.path()), Vec::<PathBuf>::new(), "nothing was made");
    fs::create_dir(scratch.path().join("taken")).expect("the folder can be made");
    assert!(refusal("taken").starts_with("error: taken exists already; take another name"), "{}", refusal("taken"));
    assert_eq!(refusal("no/such/folder"), "error: no/such is not a folder; make it first\n");
    let zig = complaint(&innkeeper(scratch.path(), &["new", "mine", "--lang", "zig"]));
    assert!(zig.contains("Zig has no kit; copy guests/zig/lru of the repository instead"), "{zig}");
    assert!(refusal("innkeeper-guest").contains("is the name of the kit"));
}

/// The least recently used guest in C, built from the repository.
fn lru(folder: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/c/lru");
    shown(&innkeeper(folder, &["build", source.to_str().expect("the checkout has a plain name"), "-o", "guest.wasm"]));
}

#[test]
fn check_names_each_case_and_shows_the_calls_of_a_failure() {
    let scratch = tempfile::tempdir().expect("there is room for a folder");
    let folder = scratch.path();
    lru(folder);
    let passed = shown(&innkeeper(folder, &["check", "guest.wasm", "--only", "03"]));
    let lines: Vec<&str> = passed.lines().collect();
    assert!(lines[0].ends_with(" bytes, sealed, size class small"), "{passed}");
    assert_eq!(lines[2], "ok      03 alone: update twice overwrites");
    assert_eq!(lines[lines.len() - 1], "PASSED: 2 cases passed, 0 failed");

    // The same guest with a mistake: what is deleted stays.
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/c");
    let source = fs::read_to_string(guests.join("lru/lru.c")).expect("the guest has a source");
    let mistaken =
        source.replace("{ index_remove(cache->index, index_find(cache->index, key)); }", "{ (void)cache, (void)key; }");
    assert_ne!(source, mistaken);
    fs::create_dir(folder.join("mistaken")).expect("the folder can be made");
    fs::write(folder.join("mistaken/lru.c"), mistaken).expect("the folder can be written");
    shown(&innkeeper(folder, &["build", "mistaken", "-o", "mistaken.wasm"]));
    let failed = innkeeper(folder, &["check", "mistaken.wasm", "--only", "11 alone"]);
    assert_eq!(failed.status.code(), Some(1));
    let said = text(&failed.stdout);
    assert!(said.contains("FAILED  11 alone: random calls agree with a model\n          expected  "), "{said}");
    let calls = said.split("calls     ").nth(1).unwrap_or_default();
    assert!(calls.contains("delete(") || calls.contains("lookup("), "{said}");
    assert!(calls.lines().count() < 9, "the sequence is shrunk: {said}");

    let json = innkeeper(folder, &["check", "mistaken.wasm", "--only", "04 alone", "--json"]);
    assert_eq!(json.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).expect("the report is one JSON object");
    assert_eq!((&report["is_passed"], &report["failed"]), (&false.into(), &1.into()), "{report}");
    assert!(report["cases"][0]["failure"]["calls"].as_array().is_some_and(|calls| !calls.is_empty()), "{report}");

    let traced = shown(&innkeeper(folder, &["check", "guest.wasm", "--only", "03 alone", "--trace"]));
    assert!(traced.contains("update(p1/k1, s1) -> ok    ") && traced.contains(" fuel\n"), "{traced}");
    let unknown = complaint(&innkeeper(folder, &["check", "guest.wasm", "--only", "nothing"]));
    assert!(unknown.starts_with("error: unknown case `nothing`; known cases:\n"), "{unknown}");
}

#[test]
fn what_is_no_guest_is_refused_with_the_reason() {
    let scratch = tempfile::tempdir().expect("there is room for a folder");
    let folder = scratch.path();
    fs::write(folder.join("text.wasm"), "no component").expect("the folder can be written");
    fs::write(folder.join("module.wasm"), b"\0asm\x01\0\0\0").expect("the folder can be written");
    for command in ["check", "bench"] {
        let refusal = |file: &str| complaint(&innkeeper(folder, &[command, file]));
        assert!(refusal("text.wasm").contains("not a WebAssembly file"), "{}", refusal("text.wasm"));
        assert!(refusal("module.wasm").contains("hint: `innkeeper build` makes a component of it"));
        assert!(refusal("absent.wasm").starts_with("error: cannot read absent.wasm: "));
    }
    assert!(complaint(&innkeeper(folder, &["inspect", "text.wasm"])).contains("not a guest"));
}

#[test]
fn bench_prices_every_call_and_holds_it_to_a_baseline() {
    let scratch = tempfile::tempdir().expect("there is room for a folder");
    let folder = scratch.path();
    lru(folder);
    let bench = |args: &[&str]| innkeeper(folder, &[&["bench", "guest.wasm", "--sessions", "100"], args].concat());
    let json = shown(&bench(&["--json", "--svg", "plot.svg"]));
    fs::write(folder.join("baseline.json"), &json).expect("the folder can be written");
    let prices: serde_json::Value = serde_json::from_str(&json).expect("the prices are one JSON object");
    let rows = prices["populations"][0]["prices"].as_array().expect("there is a list of prices");
    for call in ["lookup-hit", "update-full", "select-ten", "foldl", "terminate"] {
        let row = rows.iter().find(|row| row["item"] == call);
        let fuel = row.and_then(|row| row["fuel"]["median"].as_u64());
        assert!(fuel.is_some_and(|fuel| fuel > 0), "{call}: {prices}");
    }
    let plot = fs::read_to_string(folder.join("plot.svg")).expect("the plot is there");
    assert!(plot.starts_with("<svg") && plot.trim_end().ends_with("</svg>"), "{plot}");
    assert!(shown(&bench(&["--baseline", "baseline.json"])).contains("100 sessions\n"));

    let mut baseline = prices;
    for row in baseline["populations"][0]["prices"].as_array_mut().expect("there is a list of prices") {
        if row["item"] == "lookup-hit" {
            row["fuel"]["median"] = 1.into();
        }
    }
    fs::write(folder.join("cheaper.json"), baseline.to_string()).expect("the folder can be written");
    let grown = complaint(&bench(&["--baseline", "cheaper.json"]));
    assert!(grown.starts_with("error: more than 5 % above the baseline:\n") && grown.contains("lookup"), "{grown}");
    fs::write(folder.join("none.json"), "{}").expect("the folder can be written");
    assert!(complaint(&bench(&["--baseline", "none.json"])).starts_with("error: invalid baseline none.json: "));
}

#[test]
fn inspect_tells_what_a_component_is_made_of() {
    let scratch = tempfile::tempdir().expect("there is room for a folder");
    let folder = scratch.path();
    lru(folder);
    let page = shown(&innkeeper(folder, &["inspect", "guest.wasm"]));
    for line in [
        "digest       sha256:",
        "sealed       yes\n",
        "world        innkeeper:session-cache@0.1.0\n",
        "size class   small\n",
    ] {
        assert!(page.contains(line), "{page}");
    }
    let json = shown(&innkeeper(folder, &["inspect", "guest.wasm", "--json"]));
    let page: serde_json::Value = serde_json::from_str(&json).expect("the page is one JSON object");
    assert_eq!((&page["size_class"], &page["is_sealed"]), (&"small".into(), &true.into()), "{page}");
}
