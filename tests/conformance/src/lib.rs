//! What a session cache must do, as cases over every implementation and every number of readers.
//!
//! A case has the number and the name of a behaviour read from OTP's `ssl` application; it sees a cache from outside, by
//! [`Owner`] and [`Reader`] only. The same cases run through native code, Rust guests and C guests.

mod cases;
mod model;

use std::{sync::Arc, time::Duration};

use innkeeper_artifacts::{ARTIFACTS, Artifact};
use innkeeper_core::{
    CacheConfig, Clock, Guest, Limits, Name, NativeLru, Owner, Owners, Reader, Role, Secret, SizeClass, Value,
};
use innkeeper_wasm::{Checked, Engine, EngineConfig, LoadError, Wasi};

pub use crate::{cases::CASES, model::Numbers};

/// One behaviour and its check, which panics when the cache does not have it.
pub struct Case {
    /// Its number and name.
    pub name: &'static str,
    /// The check.
    pub check: fn(&Subject),
}

/// An implementation with a number of readers.
#[derive(Clone)]
pub struct Subject {
    /// The implementation's name.
    pub name: &'static str,
    /// Whether it chooses its own victims once the vault is full.
    pub evicts: bool,
    /// How many instances serve readers.
    pub readers: usize,
    guest: Arc<dyn Guest>,
}

impl Subject {
    /// Every honest implementation, with one reader and with two.
    ///
    /// # Panics
    /// When a guest was left out of the build, or does not load: a case must not be skipped in silence.
    pub fn all() -> Vec<Self> {
        let engine = Engine::new(EngineConfig::new(SizeClass::Small)).expect("the engine starts");
        let native = Self { name: "native-lru", evicts: true, readers: 1, guest: Arc::new(NativeLru) };
        let honest = ARTIFACTS.iter().filter(|artifact| !artifact.is_hostile);
        let guests = honest.map(|artifact| Self {
            name: artifact.name,
            evicts: !artifact.name.contains("ttl"),
            readers: 1,
            guest: load(&engine, artifact),
        });
        let one_reader: Vec<Self> = std::iter::once(native).chain(guests).collect();
        let two_readers = one_reader.iter().map(|subject| Self { readers: 2, ..subject.clone() });
        one_reader.iter().cloned().chain(two_readers).collect()
    }

    pub(crate) fn config(&self) -> CacheConfig {
        let mut config = CacheConfig::new(self.name, Role::Server, Limits::new(SizeClass::Small));
        config.readers = self.readers;
        // Nothing may be missed here because the machine is busy, or because the clock stands still.
        config.limits.read.time = Duration::from_secs(10);
        config.limits.fuel_burst = 1 << 50;
        config
    }

    pub(crate) fn open<V: Value>(&self, owners: &Owners, config: CacheConfig) -> (Owner<V>, Reader<V>) {
        owners.open(config, Arc::clone(&self.guest)).expect("the cache opens")
    }
}

/// Loads an example guest.
///
/// # Panics
/// When it was left out of the build, or does not load.
pub fn load(engine: &Engine, artifact: &Artifact) -> Arc<dyn Guest> {
    try_load(engine, artifact).unwrap_or_else(|error| panic!("{} does not load: {error}", artifact.name))
}

/// Loads an example guest that may be refused.
///
/// # Errors
/// Why it is.
///
/// # Panics
/// When it was left out of the build.
pub fn try_load(engine: &Engine, artifact: &Artifact) -> Result<Arc<dyn Guest>, LoadError> {
    let mut limits = Limits::new(SizeClass::Small);
    // Nothing may be refused here because the machine is busy.
    limits.compile = Duration::from_secs(120);
    let component = artifact.component.unwrap_or_else(|why| panic!("{} was not built: {why}", artifact.name));
    let wasi = if artifact.name.ends_with("-wasi") { Wasi::Closed } else { Wasi::None };
    Ok(Arc::new(Checked::new(component, &limits)?.compile(engine)?.link(wasi)?))
}

/// Owner threads on a clock that stands still.
pub(crate) fn owners() -> Owners {
    Owners::new(2, Clock::manual())
}

pub(crate) fn name<'a>(partial: &'a str, id: &'a [u8]) -> Name<'a> {
    Name { partial: partial.as_bytes(), id }
}

pub(crate) fn secret(bytes: impl Into<Vec<u8>>) -> Secret {
    Secret::new(bytes.into())
}
