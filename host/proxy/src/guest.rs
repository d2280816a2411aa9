//! From component files to guests.

use std::sync::Arc;

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
        Ok(Self { engine: Engine::new(EngineConfig::new(SizeClass::Small))? })
    }

    /// Checks, compiles and links a component. Blocking: tens of milliseconds and more.
    ///
    /// # Errors
    /// Why the component is refused.
    pub fn load(&self, component: &[u8], wasi: Wasi, limits: &Limits) -> Result<Arc<dyn Guest>, LoadError> {
        let compiled = Checked::new(component, limits)?.compile(&self.engine)?;
        Ok(Arc::new(compiled.link(wasi, limits.clone())?))
    }
}
