//! The commands as a user runs them.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn innkeeper(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_innkeeper")).args(args).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn guests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests")
}

#[test]
fn demo_resumes_on_honest_tenants_and_completes_on_hostile_ones() {
    let output = innkeeper(&["demo", "--json", "--connections", "60"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("the report is one JSON object");
    let tenants = report["tenants"].as_array().expect("there is a list of tenants");
    let names: Vec<&str> = tenants.iter().filter_map(|tenant| tenant["name"].as_str()).collect();
    assert_eq!(names, ["rust-lru", "rust-ttl", "c-lru", "spin", "trap", "liar"]);
    for tenant in tenants {
        let number = |field: &str| tenant[field].as_u64().unwrap_or_else(|| panic!("{field} is a number: {tenant}"));
        assert_eq!((number("handshakes"), number("failed"), number("resumable")), (60, 0, 58), "{tenant}");
        match tenant["name"].as_str() {
            Some("spin" | "trap") => assert!(number("faults") > 0 && number("resumed") == 0, "{tenant}"),
            Some("liar") => assert!(number("false_claims") > 0, "{tenant}"),
            // A share is shown by the demo; here a machine that is busy may lose some.
            _ => assert!(number("resumed") > 0 && number("lookups") > 0 && number("fuel_per_lookup") > 0, "{tenant}"),
        }
        assert!(number("lookup_ns_p50") > 0 && number("lookup_ns_p99") >= number("lookup_ns_p50"), "{tenant}");
    }
}

#[test]
fn demo_prints_a_table_and_what_to_try() {
    let output = innkeeper(&["demo", "--connections", "4", "--only", "rust-lru,liar"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[1].starts_with("tenant") && lines[1].ends_with("state"), "{shown}");
    assert!(lines[3].starts_with("rust-lru  honest ") && lines[4].starts_with("liar      hostile"), "{shown}");
    assert!(lines.iter().all(|line| line.chars().count() < 100), "{shown}");
    assert!(shown.contains("0 failed handshakes"), "{shown}");
    let last = lines.last().copied().unwrap_or_default();
    assert!(last.contains("-connect 127.0.0.1:") && last.contains("-servername liar.example"), "{shown}");
}

#[test]
fn demo_names_the_tenants_it_has() {
    let output = innkeeper(&["demo", "--only", "nobody"]);
    assert!(!output.status.success());
    let message = "error: unknown tenant `nobody`; known tenants: rust-lru, rust-ttl, c-lru, spin, trap, liar\n";
    assert_eq!(text(&output.stderr), message);
}

#[test]
fn build_makes_sealed_components_of_rust_and_c() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    for source in ["rust/lru", "c/lru"] {
        let component = folder.path().join("guest.wasm");
        let component = component.to_str().expect("temporary folders have plain names");
        let source = guests().join(source);
        let output = innkeeper(&["build", source.to_str().expect("the checkout has a plain name"), "-o", component]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stdout).ends_with(" bytes, sealed\n"), "{}", text(&output.stdout));
        let bytes = std::fs::read(component).expect("the component is there");
        assert_eq!(bytes.get(..8), Some(b"\0asm\x0d\0\x01\0".as_slice()));
    }
}

#[test]
fn build_says_what_is_wrong() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("temporary folders have plain names").to_owned();
    let refusal = |source: &str| {
        let output = innkeeper(&["build", source]);
        assert!(!output.status.success());
        text(&output.stderr)
    };
    assert!(refusal(&path("nothing")).starts_with("error: cannot use "), "no folder");
    let empty = refusal(&path(""));
    let marks = "hint: a source folder has one of `Cargo.toml`, `guest.js`, `guest.py`, a `.cpp` file, a `.c` file, a `.zig` file";
    assert!(empty.contains(marks), "{empty}");
    std::fs::write(path("module.wasm"), b"\0asm\x01\0\0\0").expect("the folder can be written");
    let untyped = refusal(&path("module.wasm"));
    assert!(untyped.contains("does not export `innkeeper:session-cache/callbacks@0.1.0`"), "{untyped}");
    std::fs::write(path("text.wasm"), "no module").expect("the folder can be written");
    assert!(refusal(&path("text.wasm")).starts_with("error: cannot make a component of it: "), "text");
    std::fs::create_dir(path("broken")).expect("the folder can be written");
    std::fs::write(path("broken/guest.c"), "int main( {").expect("the folder can be written");
    assert!(refusal(&path("broken")).starts_with("error: `clang` failed:\n"), "broken C");
}

#[test]
fn attack_names_its_new_program() {
    let output = innkeeper(&["attack", "--only", "spin"]);
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(said.contains("`innkeeper-attack --only spin`") && said.contains("`cargo attack --only spin`"), "{said}");
}
