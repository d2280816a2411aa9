//! The duties of a session cache, over every honest implementation, and the attacks of every hostile one.
//!
//! The cases are those of `innkeeper check`. Here they run over native code and over every guest of this repository,
//! including those with an interpreter.

mod large;
pub mod c_mutants;
pub mod mutants;

use std::{path::Path, sync::Arc, time::Duration};

use innkeeper_check::Subject;
use innkeeper_core::{Guest, Limits, NativeLru, SizeClass};
use innkeeper_corpus::{Artifact, artifacts};
use innkeeper_wasm::{Checked, Compilation, Engine, EngineConfig, LoadError, Wasi};

pub use innkeeper_check::Numbers;

/// An honest implementation and its name.
pub struct Named {
    /// Its name.
    pub name: String,
    /// The implementation.
    pub subject: Subject,
}

/// Returns every honest implementation: native code, and each guest in its size class.
///
/// # Panics
/// If a guest was left out of the build, or does not load: a case must not be skipped in silence.
pub fn honest() -> Vec<Named> {
    let native = Named { name: "native-lru".into(), subject: small(Arc::new(NativeLru)) };
    let engine = Engine::new(EngineConfig::new(SizeClass::Small, Compilation::Trusted)).expect("the engine starts");
    let guests = artifacts()
        .filter(|artifact| !artifact.is_hostile)
        .map(|artifact| Named { name: artifact.name.into(), subject: small(load(&engine, artifact)) });
    std::iter::once(native).chain(guests).chain(large::honest()).collect()
}

fn small(guest: Arc<dyn Guest>) -> Subject {
    Subject::new(guest, Limits::new(SizeClass::Small))
}

/// The top of the workspace.
pub fn top() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Loads an example guest.
///
/// # Panics
/// If it was left out of the build, or does not load.
pub fn load(engine: &Engine, artifact: &Artifact) -> Arc<dyn Guest> {
    try_load(engine, artifact).unwrap_or_else(|error| panic!("{} does not load: {error}", artifact.name))
}

/// Loads an example guest that may be refused.
///
/// # Errors
/// The reason of the refusal.
///
/// # Panics
/// If it was left out of the build.
pub fn try_load(engine: &Engine, artifact: &Artifact) -> Result<Arc<dyn Guest>, LoadError> {
    let component = artifact.component.unwrap_or_else(|why| panic!("{} was not built: {why}", artifact.name));
    let wasi = if artifact.name.ends_with("-wasi") { Wasi::Closed } else { Wasi::None };
    load_bytes(engine, component, SizeClass::Small, wasi)
}

/// Loads a component.
///
/// # Errors
/// The reason of the refusal.
pub fn load_bytes(
    engine: &Engine,
    component: &[u8],
    class: SizeClass,
    wasi: Wasi,
) -> Result<Arc<dyn Guest>, LoadError> {
    let mut limits = Limits::new(class);
    // A busy machine must cause no refusal.
    limits.compile = Duration::from_secs(600);
    Ok(Arc::new(Checked::new(component, &limits)?.compile(engine)?.link(wasi)?))
}
