//! What is refused at load, and with which words.

use innkeeper_artifacts::artifact;
use innkeeper_core::{Limits, SizeClass};
use innkeeper_wasm::{Checked, Engine, EngineConfig, Wasi};

fn load(bytes: &[u8], wasi: Wasi) -> Result<(), String> {
    let engine = Engine::new(EngineConfig::new(SizeClass::Small)).map_err(|error| error.to_string())?;
    let limits = Limits::new(SizeClass::Small);
    let compiled = Checked::new(bytes, &limits).and_then(|checked| checked.compile(&engine));
    compiled.and_then(|compiled| compiled.link(wasi, limits)).map(drop).map_err(|error| error.to_string())
}

#[track_caller]
fn check_refused(bytes: &[u8], message: &str) {
    assert_eq!(load(bytes, Wasi::None), Err(message.to_owned()));
}

#[track_caller]
fn check_wat_refused(text: &str, message: &str) {
    check_refused(&wat::parse_str(text).expect("the text is WebAssembly"), message);
}

fn component(name: &str) -> &'static [u8] {
    artifact(name).expect("the guest is among the artifacts").component.expect("the guest was built")
}

#[test]
fn what_is_no_component_is_refused() {
    check_refused(b"", "not a WebAssembly file: it does not begin with `\\0asm`");
    check_refused(b"\0asm", "not a WebAssembly file: it does not begin with `\\0asm`");
    check_refused(b"\x7fELF\x02\x01\x01\0 precompiled", "not a WebAssembly file: it does not begin with `\\0asm`");
    check_refused(b"\0asm\x63\0\x01\0", "WebAssembly of an unknown version or layer: [63, 00, 01, 00]");
    let hint = "a core module, not a component\nhint: `innkeeper build` makes a component of it";
    check_wat_refused("(module)", hint);
}

#[test]
fn what_is_too_large_is_refused() {
    let bytes = vec![0; 5 << 20];
    check_refused(&bytes, "the component has 5242880 bytes: the limit is 4194304");
}

#[test]
fn what_is_broken_is_refused() {
    let whole = component("rust-lru");
    for end in [9, 100, whole.len() / 2, whole.len() - 1] {
        let refusal = load(&whole[..end], Wasi::None).expect_err("a truncated file is refused");
        assert!(refusal.starts_with("the component does not compile: "), "{refusal}");
    }
}

#[test]
fn foreign_imports_are_refused_by_name() {
    check_wat_refused(
        r#"(component (import "wasi:sockets/tcp@0.2.6" (instance)))"#,
        "import `wasi:sockets/tcp@0.2.6` is not allowed\nhint: build a sealed guest, or have the operator allow closed WASI",
    );
    check_wat_refused(
        r#"(component (import "innkeeper:session-cache/host@0.2.0" (instance)))"#,
        "import `innkeeper:session-cache/host@0.2.0` is not allowed\nhint: build against innkeeper:session-cache@0.1.0",
    );
    check_wat_refused(
        r#"(component (import "run" (func)))"#,
        "import `run` is not allowed\nhint: a guest may import innkeeper:session-cache/host and nothing else",
    );
}

#[test]
fn another_world_is_refused() {
    let refusal = load(&wat::parse_str("(component)").expect("the text is WebAssembly"), Wasi::None);
    let refusal = refusal.expect_err("a component without the callbacks is refused");
    assert!(refusal.starts_with("not an innkeeper:session-cache component: "), "{refusal}");
    assert!(refusal.contains("innkeeper:session-cache/callbacks@0.1.0"), "{refusal}");
}

#[test]
fn our_host_interface_has_nothing_more() {
    let text = r#"(component (import "innkeeper:session-cache/host@0.1.0" (instance (export "steal" (func)))))"#;
    let refusal = load(&wat::parse_str(text).expect("the text is WebAssembly"), Wasi::None);
    let refusal = refusal.expect_err("a function that the host does not have is refused");
    assert!(refusal.contains("steal"), "{refusal}");
}

#[test]
fn wasi_is_allowed_only_closed_and_without_sockets() {
    let refusal = load(component("rust-lru-wasi"), Wasi::None).expect_err("a sealed tenant takes no WASI");
    assert!(refusal.starts_with("import `wasi:"), "{refusal}");
    assert_eq!(load(component("rust-lru-wasi"), Wasi::Closed), Ok(()));
    let sockets = wat::parse_str(r#"(component (import "wasi:sockets/tcp@0.2.6" (instance)))"#);
    let refusal = load(&sockets.expect("the text is WebAssembly"), Wasi::Closed);
    let message = "import `wasi:sockets/tcp@0.2.6` is not allowed\nhint: closed WASI does not have it";
    assert_eq!(refusal, Err(message.to_owned()));
}

#[test]
fn sealed_guests_load() {
    for name in ["rust-lru", "rust-ttl", "c-lru", "spin", "trap", "liar"] {
        assert_eq!(load(component(name), Wasi::None), Ok(()), "{name}");
    }
}
