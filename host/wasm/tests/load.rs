//! Refusals at load, with their messages.

use innkeeper_core::{Limits, SizeClass};
use innkeeper_corpus::artifact;
use innkeeper_wasm::{Checked, Compilation, Engine, EngineConfig, Wasi};

fn load(bytes: &[u8], wasi: Wasi) -> Result<(), String> {
    let engine =
        Engine::new(EngineConfig::new(SizeClass::Small, Compilation::Trusted)).map_err(|error| error.to_string())?;
    let limits = Limits::new(SizeClass::Small);
    let compiled = Checked::new(bytes, &limits).and_then(|checked| checked.compile(&engine));
    compiled.and_then(|compiled| compiled.link(wasi)).map(drop).map_err(|error| error.to_string())
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

#[test]
fn machine_code_is_kept_from_one_engine_to_the_next() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let files = |folder: &std::path::Path| walk(folder).into_iter().filter(|file| file.is_file()).count();
    let compile = || {
        let compile_cache = Some(folder.path().to_owned());
        let config =
            EngineConfig { compile_cache, instances: 4, ..EngineConfig::new(SizeClass::Small, Compilation::Trusted) };
        let limits = Limits::new(SizeClass::Small);
        let engine = Engine::new(config).expect("the engine starts");
        Checked::new(component("rust-lru"), &limits).and_then(|checked| checked.compile(&engine)).expect("it compiles");
    };
    compile();
    let kept = files(folder.path());
    assert!(kept > 0, "the folder has machine code");
    compile();
    assert!(files(folder.path()) >= kept, "it is still there");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    let paths = entries.map(|entry| entry.expect("the folder can be read").path());
    paths.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn a_compilation_that_takes_too_long_is_given_up() {
    let engine =
        Engine::new(EngineConfig { instances: 4, ..EngineConfig::new(SizeClass::Small, Compilation::Trusted) })
            .expect("it starts");
    let mut limits = Limits::new(SizeClass::Small);
    limits.compile = std::time::Duration::from_millis(1);
    let compiled = Checked::new(component("bomb-calls"), &limits).and_then(|checked| checked.compile(&engine));
    let refused = compiled.err().expect("it takes longer than a millisecond");
    assert_eq!(refused.to_string(), "the component does not compile in time: the limit is 1 ms");
}

#[test]
fn a_limit_out_of_its_range_is_named() {
    let mut limits = Limits::new(SizeClass::Small);
    limits.fuel_burst = 1;
    let refused = Checked::new(b"", &limits).expect_err("the limits are checked first");
    assert_eq!(
        refused.to_string(),
        "limit `fuel_burst` is 1: it must be from 200000000 to 1152921504606846976",
        "a call whose grant is never there would never be made"
    );
    let maxima = Limits::new(SizeClass::Small);
    let mut above = Limits::new(SizeClass::Small);
    above.memory_bytes += 1;
    let refused = above.check_within(&maxima).expect_err("it is above the operator's");
    assert_eq!(refused.to_string(), "limit `memory_bytes` is 16777217: it must be from 1 to 16777216");
}
