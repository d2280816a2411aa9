//! The engine: wasmtime's settings, and the thread that makes deadlines pass.

use std::{
    fmt,
    num::NonZeroUsize,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use innkeeper_core::{Limits, SizeClass};
use wasmtime::{
    Cache, CacheConfig, Config, InstanceAllocationStrategy, OperatorCost, PoolingAllocationConfig, VariableOperatorCost,
};

use crate::{LoadError, apart::Compilation, compile::Compiler, error::line};

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_micros(TICK_US);
const TICK_US: u64 = 1_000;

/// Functions that a backtrace names at most.
const FRAMES_MAX: usize = 32;

/// Who is shown each linear memory of a guest that has trapped.
pub type Autopsy = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// What an engine is made with.
#[derive(Clone)]
pub struct EngineConfig {
    /// The size class of its guests: their stack is the engine's, and their memory has its slots in the engine's pool.
    pub class: SizeClass,
    /// How many instances can live at a time. Each takes address space, and memory once it is used.
    pub instances: u32,
    /// The most that one instance's memories, tables and component may have, whatever its own limits say.
    pub limits: Limits,
    /// Who compiles components.
    pub compilation: Compilation,
    /// The folder where machine code is kept from one start to the next, if any. Who can write there runs code in this
    /// process.
    pub compile_cache: Option<PathBuf>,
    /// Who is shown the memory of guests that trap, if anyone. For tests: what a guest knows is its tenant's.
    pub autopsy: Option<Autopsy>,
    /// Whether a guest's functions that were running when it failed go to its log. For its author: it makes a fault dearer.
    pub backtraces: bool,
    /// Whether one compilation may take all cores: for tools that serve nobody meanwhile.
    pub parallel_compilation: bool,
}

impl EngineConfig {
    /// The defaults for a size class: 1 000 instances, nothing for tools and tests.
    pub fn new(class: SizeClass, compilation: Compilation) -> Self {
        Self {
            class,
            instances: 1_000,
            limits: Limits::new(class),
            compilation,
            compile_cache: None,
            autopsy: None,
            backtraces: false,
            parallel_compilation: false,
        }
    }

    /// What of compilation depends on these.
    fn settings(&self) -> Settings {
        Settings {
            class: self.class,
            backtraces: self.backtraces,
            coredumps: self.autopsy.is_some(),
            parallel: self.parallel_compilation,
            cache: self.compile_cache.clone(),
        }
    }
}

/// The stack of one call, in bytes.
fn stack_bytes(class: SizeClass) -> usize {
    match class {
        SizeClass::Small => 256 << 10,
        SizeClass::Large => 1 << 20,
    }
}

/// What the host's own code may use of a stack beside the guest's: host calls, the log, and the way in.
const HOST_STACK_BYTES: usize = 256 << 10;

/// What a thread must have left of its stack to call a guest of a size class, in bytes. Where it has less, the call is not made:
/// [`Fault::ThreadStack`](innkeeper_core::Fault::ThreadStack).
pub fn thread_stack_bytes(class: SizeClass) -> usize {
    stack_bytes(class) + HOST_STACK_BYTES
}

/// What compilation depends on.
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

    /// An engine that compiles, and runs nothing.
    pub(crate) fn compiler(&self) -> wasmtime::Result<wasmtime::Engine> {
        let mut config = self.config();
        self.add_cache(&mut config)?;
        wasmtime::Engine::new(&config)
    }

    fn add_cache(&self, config: &mut Config) -> wasmtime::Result<()> {
        if let Some(folder) = &self.cache {
            let mut cache = CacheConfig::new();
            cache.with_directory(folder);
            config.cache(Some(Cache::new(cache)?));
        }
        Ok(())
    }

    fn config(&self) -> Config {
        let mut wasmtime = Config::new();
        wasmtime
            .consume_fuel(true)
            .operator_cost(operator_cost())
            .epoch_interruption(true)
            .max_wasm_stack(stack_bytes(self.class))
            .wasm_backtrace_max_frames(NonZeroUsize::new(FRAMES_MAX).filter(|_| self.backtraces))
            // Component-model async is not compiled in; with this off too, a plain call is several times cheaper.
            .concurrency_support(false)
            .wasm_memory64(false)
            .wasm_relaxed_simd(false)
            // Where somebody is served, a guest's compilation is to take one core at most.
            .parallel_compilation(self.parallel)
            .memory_init_cow(self.class == SizeClass::Large)
            .coredump_on_trap(self.coredumps);
        wasmtime
    }
}

impl fmt::Debug for EngineConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineConfig")
            .field("class", &self.class)
            .field("instances", &self.instances)
            .field("limits", &self.limits)
            .field("compilation", &self.compilation)
            .field("compile_cache", &self.compile_cache)
            .field("autopsy", &self.autopsy.is_some())
            .field("backtraces", &self.backtraces)
            .field("parallel_compilation", &self.parallel_compilation)
            .finish()
    }
}

/// Compiles and runs guests of one size class. Cheap to clone; the last clone ends its ticker thread.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    ticker: Arc<Ticker>,
    compiler: Arc<Compiler>,
    stack_bytes: usize,
    thread_stack_bytes: usize,
    autopsy: Option<Autopsy>,
}

struct Ticker {
    is_stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Reserves the pool and starts the ticker thread.
    ///
    /// # Errors
    /// When the system does not have the address space, a setting is out of range, the compile cache's folder cannot be
    /// used, or the program that is to compile does not start.
    pub fn new(config: EngineConfig) -> Result<Self, LoadError> {
        config.limits.check()?;
        if let Compilation::Apart(helper) = &config.compilation {
            helper.check()?;
        }
        let engine_error = |error| LoadError::Engine(line(&error));
        let engine =
            wasmtime_config(&config).and_then(|config| wasmtime::Engine::new(&config)).map_err(engine_error)?;
        let ticker = Ticker::start(engine.clone()).map_err(|error| LoadError::Engine(error.to_string()))?;
        Ok(Self {
            engine,
            ticker: Arc::new(ticker),
            compiler: Arc::new(Compiler::new(config.compilation.clone(), config.settings())),
            stack_bytes: stack_bytes(config.class),
            thread_stack_bytes: thread_stack_bytes(config.class),
            autopsy: config.autopsy,
        })
    }

    pub(crate) fn compiler(&self) -> &Arc<Compiler> {
        &self.compiler
    }

    pub(crate) fn stack_bytes(&self) -> usize {
        self.stack_bytes
    }

    /// What a thread must have left of its stack to call a guest.
    pub(crate) fn thread_stack_bytes(&self) -> usize {
        self.thread_stack_bytes
    }

    pub(crate) fn autopsy(&self) -> Option<&Autopsy> {
        self.autopsy.as_ref()
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// How many ticks a deadline is away: at least one whole tick more than `time` has.
    pub(crate) fn ticks(time: Duration) -> u64 {
        // In 64 bits, since this is done for each call: no deadline is as long as half a million years.
        let us =
            time.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(time.subsec_nanos().div_ceil(1_000)));
        us.div_ceil(TICK_US).saturating_add(1)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("ticks", &self.ticker.thread.is_some()).finish_non_exhaustive()
    }
}

impl Ticker {
    fn start(engine: wasmtime::Engine) -> std::io::Result<Self> {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_stopped);
        let tick = move || {
            while !stop.load(Ordering::Acquire) {
                std::thread::park_timeout(TICK);
                engine.increment_epoch();
            }
        };
        let thread = std::thread::Builder::new().name("innkeeper-ticker".into()).spawn(tick)?;
        Ok(Self { is_stopped, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A ticker does nothing that can panic.
            let _ = thread.join();
        }
    }
}

fn wasmtime_config(config: &EngineConfig) -> wasmtime::Result<Config> {
    let settings = config.settings();
    let mut wasmtime = settings.config();
    wasmtime.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config)));
    match &config.compilation {
        // It cannot compile, whatever happens.
        Compilation::Apart(_) => drop(wasmtime.enable_compiler(false)),
        Compilation::Trusted => settings.add_cache(&mut wasmtime)?,
    }
    Ok(wasmtime)
}

/// One unit an instruction, and what an instruction does besides by its length: a unit a byte or element, and for a page
/// of memory as near as the table comes to what zeroing it costs.
fn operator_cost() -> OperatorCost {
    let variable = VariableOperatorCost { memory_grow_per_page: u8::MAX, ..VariableOperatorCost::new() };
    OperatorCost { variable, ..OperatorCost::default() }
}

fn pool(config: &EngineConfig) -> PoolingAllocationConfig {
    // An interpreter brings a few core modules, and a component has shims around them.
    let (modules, memories, tables) = match config.class {
        SizeClass::Small => (8, 1, 4),
        SizeClass::Large => (64, 4, 16),
    };
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(config.instances)
        .total_core_instances(config.instances.saturating_mul(modules))
        .total_memories(config.instances.saturating_mul(memories))
        .total_tables(config.instances.saturating_mul(tables))
        .max_core_instances_per_component(modules)
        .max_memories_per_component(memories)
        .max_tables_per_component(tables)
        .max_memory_size(config.limits.memory_bytes)
        .table_elements(config.limits.table_elements)
        .max_unused_warm_slots(64);
    pool
}
