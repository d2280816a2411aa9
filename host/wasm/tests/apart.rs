//! Components are compiled in a process of their own, which ends alone.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{sync::Arc, time::Duration};

use innkeeper_core::{CacheConfig, Clock, Fault, Guest, Limits, Name, Owners, Role, Secret, SizeClass, Solo};
use innkeeper_corpus::artifact;
use innkeeper_wasm::{Checked, Compilation, Engine, EngineConfig, Helper, LoadError, Wasi, thread_stack_bytes};

fn compiler() -> Compilation {
    let (program, arguments) = (env!("CARGO_BIN_EXE_innkeeper-compiler").into(), Vec::new());
    Compilation::Apart(Helper { program, arguments })
}

fn engine() -> Engine {
    Engine::new(EngineConfig { instances: 4, ..EngineConfig::new(SizeClass::Small, compiler()) }).unwrap()
}

fn component(name: &str) -> &'static [u8] {
    artifact(name).unwrap().component.unwrap()
}

fn load(engine: &Engine, bytes: &[u8], limits: &Limits) -> Result<Arc<dyn Guest>, LoadError> {
    Ok(Arc::new(Checked::new(bytes, limits)?.compile(engine)?.link(Wasi::None)?))
}

/// The most memory that this process has had, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn what_another_process_has_compiled_serves() {
    let guest = load(&engine(), component("rust-lru"), &Limits::new(SizeClass::Small)).unwrap();
    let owners = Owners::new(1, Clock::manual());
    let config = CacheConfig::new("tenant", Role::Server, Limits::new(SizeClass::Small));
    let (mut owner, reader) = owners.open::<Secret>(config, guest).unwrap();
    let name = Name { partial: b"host", id: b"id" };
    owner.update(name, Secret::new(b"session".to_vec())).unwrap();
    assert_eq!(reader.lookup(name).unwrap().expose(), b"session");
}

#[test]
fn a_compiler_that_wants_too_much_memory_or_time_ends_alone_and_the_limit_is_named() {
    let engine = engine();
    let limits = Limits { compile_memory_bytes: 64 << 20, ..Limits::new(SizeClass::Small) };
    let before = peak_kib();
    let refusal = load(&engine, component("bomb-functions"), &limits).err().unwrap();
    assert!(matches!(refusal, LoadError::CompileMemory { limit_bytes } if limit_bytes == 64 << 20), "{refusal}");
    let limits = Limits { compile: Duration::from_millis(1), ..Limits::new(SizeClass::Small) };
    let refusal = load(&engine, component("bomb-functions"), &limits).err().unwrap();
    assert!(matches!(refusal, LoadError::CompileTime { .. }), "{refusal}");
    assert!(peak_kib() - before < 32 << 10, "{} KiB, and {before} before", peak_kib());
    assert!(load(&engine, component("rust-lru"), &Limits::new(SizeClass::Small)).is_ok(), "the next is compiled");
}

#[test]
fn what_is_no_component_is_refused_as_it_is_by_a_compiler_in_this_process() {
    let here = Engine::new(EngineConfig { instances: 4, ..EngineConfig::new(SizeClass::Small, Compilation::Trusted) });
    let (here, apart, limits) = (here.unwrap(), engine(), Limits::new(SizeClass::Small));
    let broken = |bytes: &[u8]| [b"\0asm\x0d\0\x01\0".as_slice(), bytes].concat();
    let lru = component("rust-lru");
    for bytes in [broken(b""), broken(b"\xff\xff\xff"), lru[..lru.len() / 2].to_vec(), broken(&[0; 1_000])] {
        let refused = |engine| load(engine, &bytes, &limits).err().map(|refusal| refusal.to_string());
        assert_eq!(refused(&apart), refused(&here));
        assert!(refused(&apart).is_some());
    }
}

#[test]
fn a_process_that_cannot_start_a_compiler_says_so_at_its_start() {
    for (program, said) in [
        ("/nowhere/innkeeper-compiler", "does not start: No such file or directory"),
        ("/bin/true", "is no compiler of this version"),
        ("/bin/cat", "is no compiler of this version"),
        ("/bin/false", "is no compiler of this version"),
    ] {
        let helper = Helper { program: program.into(), arguments: Vec::new() };
        let config = EngineConfig { instances: 1, ..EngineConfig::new(SizeClass::Small, Compilation::Apart(helper)) };
        let refusal = Engine::new(config).unwrap_err().to_string();
        assert!(refusal.contains(said), "{refusal}");
    }
}

#[test]
fn machine_code_is_kept_by_the_compiler_from_one_start_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let config = EngineConfig {
        instances: 1,
        compile_cache: Some(folder.path().to_owned()),
        ..EngineConfig::new(SizeClass::Small, compiler())
    };
    let engine = Engine::new(config).unwrap();
    load(&engine, component("rust-lru"), &Limits::new(SizeClass::Small)).unwrap();
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_some(), "the folder has machine code");
    assert!(load(&engine, component("rust-lru"), &Limits::new(SizeClass::Small)).is_ok());
}

#[test]
fn a_thread_with_too_little_stack_is_a_fault_and_the_process_goes_on() {
    let guest = load(&engine(), component("recurse"), &Limits::new(SizeClass::Small)).unwrap();
    let open = move |guest: Arc<dyn Guest>| {
        Solo::open(&*guest, &Limits::new(SizeClass::Small), Role::Server, Vec::new(), 0).map(|_| ())
    };
    let on = |bytes: usize| {
        let guest = Arc::clone(&guest);
        std::thread::Builder::new().stack_size(bytes).spawn(move || open(guest)).unwrap().join().unwrap()
    };
    let needed = thread_stack_bytes(SizeClass::Small);
    let refused = on(200_000).unwrap_err();
    assert!(
        matches!(refused.fault, Fault::ThreadStack { left_bytes, needed_bytes } if left_bytes < 200_000 && needed_bytes == needed),
        "{refused}"
    );
    assert!(on(needed + (64 << 10)).is_ok());
}
