//! From component files to guests.

use std::{path::PathBuf, sync::Arc};

use innkeeper_core::{Guest, Limits, SizeClass};
use innkeeper_wasm::{Checked, Engine, EngineConfig, LoadError, Wasi};

/// Compiles components of the small size class. Cheap to clone.
#[derive(Clone, Debug)]
pub struct GuestLoader {
    engine: Engine,
}

impl GuestLoader {
    /// Starts the engine.
    ///
    /// # Errors
    /// When the system does not have the address space for the engine's pool.
    pub fn new() -> Result<Self, LoadError> {
        Self::with(EngineConfig::new(SizeClass::Small))
    }

    /// Starts the engine, which keeps machine code in a folder from one start to the next. Who can write there runs code in
    /// this process.
    ///
    /// # Errors
    /// As [`GuestLoader::new`], and when the folder cannot be used.
    pub fn with_compile_cache(folder: PathBuf) -> Result<Self, LoadError> {
        Self::with(EngineConfig { compile_cache: Some(folder), ..EngineConfig::new(SizeClass::Small) })
    }

    fn with(config: EngineConfig) -> Result<Self, LoadError> {
        Ok(Self { engine: Engine::new(config)? })
    }

    /// Checks, compiles and links a component. Blocking: tens of milliseconds and more.
    ///
    /// # Errors
    /// Why the component is refused.
    pub fn load(&self, component: &[u8], wasi: Wasi, limits: &Limits) -> Result<Arc<dyn Guest>, LoadError> {
        let compiled = Checked::new(component, limits)?.compile(&self.engine)?;
        Ok(Arc::new(compiled.link(wasi)?))
    }
}
