//! The guests with an interpreter. They take seconds to build and to compile, and megabytes. So the artifacts of every
//! build leave them out. The tests that need them build them, and keep them until a source changes.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
};

use innkeeper_check::Subject;
use innkeeper_core::{Limits, SizeClass};
use innkeeper_wasm::{Compilation, Engine, EngineConfig, Wasi};

use crate::{Named, load_bytes, top};

/// The guests: the folder below `guests`, and the name.
const LARGE: [(&str, &str); 6] = [
    ("js/lru", "js-lru"),
    ("js/ttl", "js-ttl"),
    ("js/quota", "js-quota"),
    ("python/lru", "python-lru"),
    ("python/ttl", "python-ttl"),
    ("python/quota", "python-quota"),
];

/// Builds changed guests, and loads all.
///
/// # Panics
/// If a tool is missing, with a hint to install it, or a guest does not build or load.
pub(crate) fn honest() -> Vec<Named> {
    let kept = top().join("target/guests/large");
    std::fs::create_dir_all(&kept).expect("the target folder can be written");
    let mut config = EngineConfig::new(SizeClass::Large, Compilation::Trusted);
    // Machine code is kept as well: an interpreter of Python takes most of a minute to compile.
    (config.instances, config.compile_cache) = (32, Some(kept.join("compiled")));
    config.parallel_compilation = true;
    let engine = Engine::new(config).expect("the engine starts");
    let named = |(folder, name): &(&str, &str)| {
        let bytes = component(&kept, &top().join("guests").join(folder), name);
        let guest = load_bytes(&engine, &bytes, SizeClass::Large, Wasi::None);
        let guest = guest.unwrap_or_else(|error| panic!("{name} does not load: {error}"));
        Named { name: (*name).into(), subject: Subject::new(guest, Limits::new(SizeClass::Large)) }
    };
    LARGE.iter().map(named).collect()
}

/// Returns the component of a source folder: the kept one, unless a source has changed.
fn component(kept: &Path, source: &Path, name: &str) -> Vec<u8> {
    let mut hasher = DefaultHasher::new();
    innkeeper_build::WIT.hash(&mut hasher);
    for folder in [source, &source.with_file_name("kit")] {
        for file in files(folder) {
            std::fs::read(&file).unwrap_or_default().hash(&mut hasher);
        }
    }
    let path = kept.join(format!("{name}-{:016x}.wasm", hasher.finish()));
    if let Ok(bytes) = std::fs::read(&path) {
        return bytes;
    }
    let built = innkeeper_build::build(source).unwrap_or_else(|error| panic!("{name} was not built: {error}"));
    assert!(built.is_sealed(), "{name} imports {:?}", built.imports);
    std::fs::write(&path, &built.bytes).expect("the target folder can be written");
    built.bytes
}

/// Lists the files directly in a folder, in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}
