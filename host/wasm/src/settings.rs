//! The settings that machine code depends on. The serving process and the compiling one need the same.

use std::{num::NonZeroUsize, path::PathBuf};

use innkeeper_core::SizeClass;
use wasmtime::{Cache, CacheConfig, Config, OperatorCost, VariableOperatorCost};

/// The most functions that a backtrace names.
const FRAMES_MAX: usize = 32;

/// The settings that compilation depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) class: SizeClass,
    pub(crate) backtraces: bool,
    pub(crate) coredumps: bool,
    pub(crate) parallel: bool,
    pub(crate) cache: Option<PathBuf>,
}

impl Settings {
    pub(crate) fn of_class(class: SizeClass) -> Self {
        Self { class, backtraces: false, coredumps: false, parallel: false, cache: None }
    }

    /// Makes an engine that only compiles.
    pub(crate) fn compiler(&self) -> wasmtime::Result<wasmtime::Engine> {
        let mut config = self.config();
        self.add_cache(&mut config)?;
        wasmtime::Engine::new(&config)
    }

    pub(crate) fn add_cache(&self, config: &mut Config) -> wasmtime::Result<()> {
        if let Some(folder) = &self.cache {
            let mut cache = CacheConfig::new();
            cache.with_directory(folder);
            config.cache(Some(Cache::new(cache)?));
        }
        Ok(())
    }

    pub(crate) fn config(&self) -> Config {
        let mut wasmtime = Config::new();
        wasmtime
            .consume_fuel(true)
            .operator_cost(operator_cost())
            .epoch_interruption(true)
            .max_wasm_stack(stack_bytes(self.class))
            .wasm_backtrace_max_frames(NonZeroUsize::new(FRAMES_MAX).filter(|_| self.backtraces))
            // The build leaves out component-model async. Without this setting as well, a plain call is several times
            // cheaper.
            .concurrency_support(false)
            .wasm_memory64(false)
            .wasm_relaxed_simd(false)
            // In a serving process a compilation uses one core at most.
            .parallel_compilation(self.parallel)
            .memory_init_cow(self.class == SizeClass::Large)
            .coredump_on_trap(self.coredumps);
        wasmtime
    }
}

/// The stack of one call, in bytes.
pub(crate) fn stack_bytes(class: SizeClass) -> usize {
    match class {
        SizeClass::Small => 256 << 10,
        SizeClass::Large => 1 << 20,
    }
}

/// Charges one unit for an instruction, and one unit for each byte or element that it handles. A page of memory costs
/// as near to its zeroing as the table allows.
fn operator_cost() -> OperatorCost {
    let variable = VariableOperatorCost { memory_grow_per_page: u8::MAX, ..VariableOperatorCost::new() };
    OperatorCost { variable, ..OperatorCost::default() }
}
