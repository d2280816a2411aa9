//! The engine: wasmtime's settings, and the thread that advances deadlines.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use innkeeper_core::{Limits, SizeClass};
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::{
    LoadError,
    apart::Compilation,
    compile::Compiler,
    error::line,
    settings::{Settings, stack_bytes},
};

/// The period of the ticker that checks deadlines.
const TICK: Duration = Duration::from_micros(TICK_US);
const TICK_US: u64 = 1_000;

/// Receives each linear memory of a guest that trapped.
pub type Autopsy = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// Settings of an engine.
#[derive(Clone)]
pub struct EngineConfig {
    /// The size class of its guests: it sets their stack and the slots of the memory pool.
    pub class: SizeClass,
    /// The most instances that live at a time. Each takes address space, and memory once it is used.
    pub instances: u32,
    /// The upper bounds for every instance's memories, tables and component, whatever its own limits say.
    pub limits: Limits,
    /// The process that compiles components.
    pub compilation: Compilation,
    /// The folder that keeps machine code between starts, if any. Anyone who can write there can run code in this
    /// process.
    pub compile_cache: Option<PathBuf>,
    /// Receives the memory of guests that trap. For tests only: a guest's data belongs to its tenant.
    pub autopsy: Option<Autopsy>,
    /// Logs the running functions of a guest that fails. For guest authors: it makes a fault more expensive.
    pub backtraces: bool,
    /// Lets one compilation use all cores: for tools that serve nobody meanwhile.
    pub parallel_compilation: bool,
}

impl EngineConfig {
    /// Returns the defaults of a size class: 1 000 instances, and the options for tools and tests off.
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

    /// The settings that compilation depends on.
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

/// The host's own share of a stack beside the guest's: host calls, the log, and the way in.
const HOST_STACK_BYTES: usize = 256 << 10;

/// The stack in bytes that a thread needs to call a guest of a size class. With less, the call fails with
/// [`Fault::ThreadStack`](innkeeper_core::Fault::ThreadStack).
pub fn thread_stack_bytes(class: SizeClass) -> usize {
    stack_bytes(class) + HOST_STACK_BYTES
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
    /// If the system lacks the address space, a setting is out of range, the compile cache's folder is unusable, or the
    /// compiler does not start.
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

    /// The stack that a thread needs to call a guest, in bytes.
    pub(crate) fn thread_stack_bytes(&self) -> usize {
        self.thread_stack_bytes
    }

    pub(crate) fn autopsy(&self) -> Option<&Autopsy> {
        self.autopsy.as_ref()
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// The number of ticks until a deadline: at least one whole tick more than `time` has.
    pub(crate) fn ticks(time: Duration) -> u64 {
        // 64 bits suffice, and this runs for every call: no deadline is half a million years away.
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
            // The ticker has no code that can panic.
            let _ = thread.join();
        }
    }
}

fn wasmtime_config(config: &EngineConfig) -> wasmtime::Result<Config> {
    let settings = config.settings();
    let mut wasmtime = settings.config();
    wasmtime.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config)));
    match &config.compilation {
        // This engine cannot compile.
        Compilation::Apart(_) => drop(wasmtime.enable_compiler(false)),
        Compilation::Trusted => settings.add_cache(&mut wasmtime)?,
    }
    Ok(wasmtime)
}

fn pool(config: &EngineConfig) -> PoolingAllocationConfig {
    // An interpreter needs a few core modules, and a component adds shims around them.
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
