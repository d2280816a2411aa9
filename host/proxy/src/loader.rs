//! The way from component files to guests.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use innkeeper_core::{Guest, Limits, SizeClass};
use innkeeper_wasm::{Checked, Compilation, Engine, EngineConfig, LoadError, Wasi};

/// The settings of a loader's engines. A loader has one engine for each size class, created for its first guest.
#[derive(Clone, Debug)]
pub struct LoaderConfig {
    /// The compiler of components.
    pub compilation: Compilation,
    /// The folder that keeps machine code from one start to the next, if any. Anybody who can write there runs code in
    /// this process.
    pub compile_cache: Option<PathBuf>,
    /// The small instances that can live at a time.
    pub instances_small: u32,
    /// The large instances that can live at a time.
    pub instances_large: u32,
    /// The upper bound for a small instance, whatever its own limits say.
    pub limits_small: Limits,
    /// The upper bound for a large instance, whatever its own limits say.
    pub limits_large: Limits,
}

impl LoaderConfig {
    /// The default numbers of small and of large instances.
    pub const INSTANCES: [u32; 2] = [1_000, 100];

    /// The defaults: no compile cache, and the size classes' own limits.
    pub fn new(compilation: Compilation) -> Self {
        let [instances_small, instances_large] = Self::INSTANCES;
        Self {
            compilation,
            compile_cache: None,
            instances_small,
            instances_large,
            limits_small: Limits::new(SizeClass::Small),
            limits_large: Limits::new(SizeClass::Large),
        }
    }

    fn engine(&self, class: SizeClass) -> EngineConfig {
        let (instances, limits) = match class {
            SizeClass::Small => (self.instances_small, &self.limits_small),
            SizeClass::Large => (self.instances_large, &self.limits_large),
        };
        let (limits, compile_cache) = (limits.clone(), self.compile_cache.clone());
        EngineConfig { instances, limits, compile_cache, ..EngineConfig::new(class, self.compilation.clone()) }
    }
}

/// Compiles components. Cheap to clone; clones share their engines.
#[derive(Clone, Debug)]
pub struct GuestLoader {
    config: Arc<LoaderConfig>,
    engines: Arc<Mutex<[Option<Engine>; 2]>>,
}

impl GuestLoader {
    /// Prepares to load small guests.
    ///
    /// # Errors
    /// When the system lacks the address space for the engine's pool, or the compiler does not start.
    pub fn new(compilation: Compilation) -> Result<Self, LoadError> {
        Self::with(LoaderConfig::new(compilation))
    }

    /// Prepares to load small guests, and large ones on demand.
    ///
    /// # Errors
    /// When the system lacks the address space for the engine's pool, or the compile cache's folder cannot be used.
    pub fn with(config: LoaderConfig) -> Result<Self, LoadError> {
        let loader = Self { config: Arc::new(config), engines: Arc::default() };
        loader.engine(SizeClass::Small)?;
        Ok(loader)
    }

    /// Checks, compiles and links a component. Blocks for tens of milliseconds and more. Without a compile cache, a
    /// component with an interpreter takes up to half a minute.
    ///
    /// # Errors
    /// When the component is refused, or the address space for the pool of its size class is missing.
    pub fn load(
        &self,
        component: &[u8],
        class: SizeClass,
        wasi: Wasi,
        limits: &Limits,
    ) -> Result<Arc<dyn Guest>, LoadError> {
        let compiled = Checked::new(component, limits)?.compile(&self.engine(class)?)?;
        Ok(Arc::new(compiled.link(wasi)?))
    }

    fn engine(&self, class: SizeClass) -> Result<Engine, LoadError> {
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        let engine = &mut engines[class as usize];
        match engine {
            Some(engine) => Ok(engine.clone()),
            None => Ok(engine.insert(Engine::new(self.config.engine(class))?).clone()),
        }
    }
}
