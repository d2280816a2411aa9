//! One instance: a separate store, metered call by call.

use std::{sync::Arc, time::Duration};

use innkeeper_core::{
    Acc, CacheRef, Call, Callback, Callbacks, Claim, Fault, FoldFun, Grant, Host, InitArgs, Key, Level, Limits, Misuse,
    PartialKey, Role, Session, log_line,
};
use rustc_demangle::demangle;
use wasmtime::{FrameInfo, ResourceLimiter, Store, Trap, UpdateDeadline, WasmBacktrace, WasmCoreDump};

use crate::{
    Engine, Wasi,
    bindings::{
        SessionCache, SessionCachePre, exports::innkeeper::session_cache::callbacks::Guest,
        innkeeper::session_cache::types,
    },
    error::line,
    wasi::ClosedWasi,
};

/// Host data beside a guest's memory.
pub(crate) struct State {
    pub(crate) host: Arc<dyn Host>,
    /// The running call, or an idle one in between.
    pub(crate) call: Call,
    pub(crate) wasi: Option<Box<ClosedWasi>>,
    meter: Meter,
    deadline: Deadline,
    /// The fuel left for host calls in the running call. It starts as large as the guest's own.
    pub(crate) host_fuel: u64,
}

/// Host calls have used a call's whole grant.
#[derive(Debug, thiserror::Error)]
#[error("out of fuel in host calls")]
struct OutOfHostFuel;

impl State {
    pub(crate) fn spend(&mut self, fuel: u64) -> wasmtime::Result<()> {
        spend(&mut self.host_fuel, fuel)
    }
}

/// Charges a host call, or ends the guest's call.
pub(crate) fn spend(left: &mut u64, fuel: u64) -> wasmtime::Result<()> {
    let rest = left.checked_sub(fuel);
    *left = rest.unwrap_or(0);
    rest.map(drop).ok_or_else(|| OutOfHostFuel.into())
}

/// The time left for the running call.
///
/// A guest is judged by CPU time, however busy the machine is. The wall clock only says when to look: first after half
/// the time. From then on the thread's own clock measures the other half.
struct Deadline {
    half: Duration,
    /// The thread's time at the first look.
    thread_time: Option<Duration>,
    extensions: u32,
}

/// The most extensions of a call whose thread had no core.
const EXTENSIONS_MAX: u32 = 16;

impl Deadline {
    fn new(half: Duration) -> Self {
        Self { half, thread_time: None, extensions: 0 }
    }

    fn is_past(&mut self) -> UpdateDeadline {
        let now = thread_time();
        let since = *self.thread_time.get_or_insert(now);
        self.extensions += 1;
        if now.saturating_sub(since) >= self.half || self.extensions > EXTENSIONS_MAX {
            return UpdateDeadline::Interrupt;
        }
        UpdateDeadline::Continue(Engine::ticks(self.half))
    }
}

/// The CPU time of the running thread.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Counts all memories and tables of an instance.
struct Meter {
    memory_bytes: usize,
    memory_bytes_max: usize,
    table_elements: usize,
    table_elements_max: usize,
    /// The last refused request of the guest in this call.
    refused: Option<Refused>,
}

/// A refused request of a guest.
#[derive(Clone, Copy)]
enum Refused {
    Bytes(usize),
    Elements(usize),
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if total > self.memory_bytes_max {
            self.refused = Some(Refused::Bytes(total));
            return Ok(false);
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > self.table_elements_max {
            self.refused = Some(Refused::Elements(total));
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }
}

/// A running guest.
pub(crate) struct Instance {
    engine: Engine,
    store: Store<State>,
    bindings: SessionCache,
    limits: Limits,
    /// The fuel burned by start functions. The first call pays for it.
    start_fuel: u64,
}

impl Instance {
    /// Instantiates a guest. Its start functions use the grant of `init`.
    pub(crate) fn new(
        engine: &Engine,
        pre: &SessionCachePre<State>,
        wasi: Wasi,
        limits: &Limits,
        host: Arc<dyn Host>,
    ) -> Result<Self, Fault> {
        check_stack(engine)?;
        let meter = Meter {
            memory_bytes: 0,
            memory_bytes_max: limits.memory_bytes,
            table_elements: 0,
            table_elements_max: limits.table_elements,
            refused: None,
        };
        let wasi = (wasi == Wasi::Closed).then(|| Box::new(ClosedWasi::new(&host)));
        let state = State {
            host,
            call: Call::permitting_nothing(Callback::Init),
            wasi,
            meter,
            deadline: Deadline::new(Duration::ZERO),
            host_fuel: 0,
        };
        let mut store = Store::new(engine.wasmtime(), state);
        store.limiter(|state| &mut state.meter);
        store.epoch_deadline_callback(|mut store| Ok(store.data_mut().deadline.is_past()));
        let grant = limits.grant(Callback::Init);
        meter_call(&mut store, limits, grant);
        match pre.instantiate(&mut store) {
            Ok(bindings) => {
                let start_fuel = burned(&store, grant);
                Ok(Self { engine: engine.clone(), store, bindings, limits: limits.clone(), start_fuel })
            }
            Err(error) => match fault(engine, &store, &error, limits, grant) {
                Fault::Trap { .. } if error.downcast_ref::<Trap>().is_none() => {
                    Err(Fault::Instantiate { reason: line(&error) })
                }
                fault => Err(fault),
            },
        }
    }

    /// Runs one callback under its grant.
    fn run<T>(
        &mut self,
        call: &mut Call,
        callback: impl FnOnce(&mut Store<State>, &Guest) -> wasmtime::Result<T>,
    ) -> Result<T, Fault> {
        let grant = self.limits.grant(call.callback());
        meter_call(&mut self.store, &self.limits, grant);
        let result = match call.callback() {
            // The call permits nothing and records nothing, so it need not move there and back.
            reading @ (Callback::Lookup | Callback::SelectSession | Callback::Size) => {
                self.store.data_mut().call = Call::permitting_nothing(reading);
                callback(&mut self.store, self.bindings.innkeeper_session_cache_callbacks())
            }
            _ => {
                std::mem::swap(&mut self.store.data_mut().call, call);
                let result = callback(&mut self.store, self.bindings.innkeeper_session_cache_callbacks());
                std::mem::swap(&mut self.store.data_mut().call, call);
                result
            }
        };
        call.fuel = burned(&self.store, grant) + std::mem::take(&mut self.start_fuel);
        result.map_err(|error| fault(&self.engine, &self.store, &error, &self.limits, grant))
    }
}

/// Checks that the running thread has the stack that a guest may use. The engine limits a guest's stack, and assumes
/// that the thread has as much.
fn check_stack(engine: &Engine) -> Result<(), Fault> {
    let needed_bytes = engine.thread_stack_bytes();
    match stacker::remaining_stack() {
        Some(left_bytes) if left_bytes < needed_bytes => Err(Fault::ThreadStack { left_bytes, needed_bytes }),
        // On a system without this figure, the documentation tells embedders the number.
        _ => Ok(()),
    }
}

fn meter_call(store: &mut Store<State>, limits: &Limits, grant: Grant) {
    store.set_fuel(grant.fuel).expect("fuel is on in every engine here");
    store.set_epoch_deadline(Engine::ticks(grant.time / 2));
    store.set_hostcall_fuel(limits.host_call_bytes);
    let state = store.data_mut();
    state.meter.refused = None;
    state.host_fuel = grant.fuel;
    state.deadline = Deadline::new(grant.time / 2);
}

/// The fuel burned of a grant, in the guest and in host calls. Each burns the whole grant at most.
fn burned(store: &Store<State>, grant: Grant) -> u64 {
    // Fuel is on in every engine here.
    let left = store.get_fuel().unwrap_or(0);
    grant.fuel.saturating_sub(left) + grant.fuel.saturating_sub(store.data().host_fuel)
}

/// The text of wasmtime's error for a host call or a result that carries too much. The error has no type of its own.
const TOO_MANY_BYTES: &str = "fuel allocated for hostcalls has been exhausted";

/// Turns a failed call into a fault, and shows the guest's memory to a configured receiver.
fn fault(engine: &Engine, store: &Store<State>, error: &wasmtime::Error, limits: &Limits, grant: Grant) -> Fault {
    log_backtrace(store, error);
    if let (Some(autopsy), Some(dump)) = (engine.autopsy(), error.downcast_ref::<WasmCoreDump>()) {
        dump.memories().iter().for_each(|memory| autopsy(memory.data(store)));
    }
    if let Some(misuse) = error.downcast_ref::<Misuse>() {
        return Fault::Misuse(*misuse);
    }
    if error.downcast_ref::<OutOfHostFuel>().is_some() {
        return Fault::OutOfFuel { grant: grant.fuel };
    }
    let trap = error.downcast_ref::<Trap>();
    match trap {
        Some(Trap::OutOfFuel) => return Fault::OutOfFuel { grant: grant.fuel },
        Some(Trap::Interrupt) => return Fault::Deadline { limit: grant.time },
        Some(Trap::StackOverflow) => return Fault::Stack { limit_bytes: engine.stack_bytes() },
        _ => {}
    }
    match store.data().meter.refused {
        Some(Refused::Bytes(asked_bytes)) => return Fault::Memory { asked_bytes, limit_bytes: limits.memory_bytes },
        Some(Refused::Elements(asked)) => return Fault::Table { asked, limit: limits.table_elements },
        None => {}
    }
    if error.root_cause().to_string().contains(TOO_MANY_BYTES) {
        return Fault::Misuse(Misuse::TooManyBytes { limit: limits.host_call_bytes });
    }
    let reason = trap.map_or_else(|| line(error), ToString::to_string);
    Fault::Trap { reason: log_line(&reason, limits.log_line_bytes) }
}

/// Logs the guest's running functions, innermost first, if the engine keeps track of them.
fn log_backtrace(store: &Store<State>, error: &wasmtime::Error) {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return };
    let names = backtrace.frames().iter().filter_map(FrameInfo::func_name);
    let names: Vec<String> = names.map(|name| format!("{:#}", demangle(name))).collect();
    // Skips the frames of the panic itself.
    let is_panics = |name: &String| name.contains("panic") || name.contains("rust_abort");
    let first = names.iter().rposition(is_panics).map_or(0, |last| last + 1);
    for (place, name) in names[first..].iter().take(FRAMES_LOGGED).enumerate() {
        let how = if place == 0 { "stopped in" } else { "called by" };
        store.data().host.log(Level::Debug, &format!("{how} {name}"));
    }
}

/// The most functions of a backtrace that are logged, innermost first.
const FRAMES_LOGGED: usize = 8;

fn wit_key(key: Key) -> types::Key {
    types::Key { partial: key.partial.0, id: key.id.0 }
}

impl Callbacks for Instance {
    fn check_thread(&self) -> Result<(), Fault> {
        check_stack(&self.engine)
    }

    fn init(&mut self, call: &mut Call, args: &InitArgs) -> Result<CacheRef, Fault> {
        let properties = args.properties.iter();
        let args = types::InitArgs {
            role: match args.role {
                Role::Client => types::Role::Client,
                Role::Server => types::Role::Server,
            },
            max_sessions: args.sessions_max,
            lifetime_ms: args.lifetime_ms,
            properties: properties
                .map(|property| types::Property { name: property.name.clone(), value: property.value.clone() })
                .collect(),
        };
        let opened = self.run(call, |store, guest| guest.call_init(store, &args))?;
        let message_max = self.limits.log_line_bytes;
        opened.map(CacheRef).map_err(|message| Fault::Init { message: log_line(&message, message_max) })
    }

    fn terminate(&mut self, call: &mut Call, cache: CacheRef) -> Result<(), Fault> {
        self.run(call, |store, guest| guest.call_terminate(store, cache.0))
    }

    fn update(&mut self, call: &mut Call, cache: CacheRef, key: Key, session: Session) -> Result<(), Fault> {
        self.run(call, |store, guest| guest.call_update(store, cache.0, wit_key(key), session.number()))
    }

    fn delete(&mut self, call: &mut Call, cache: CacheRef, key: Key) -> Result<(), Fault> {
        self.run(call, |store, guest| guest.call_delete(store, cache.0, wit_key(key)))
    }

    fn lookup(&mut self, call: &mut Call, cache: CacheRef, key: Key) -> Result<Option<Claim>, Fault> {
        let claim = self.run(call, |store, guest| guest.call_lookup(store, cache.0, wit_key(key)))?;
        Ok(claim.map(Claim))
    }

    fn select_session(&mut self, call: &mut Call, cache: CacheRef, partial: PartialKey) -> Result<Vec<Claim>, Fault> {
        let claims = self.run(call, |store, guest| guest.call_select_session(store, cache.0, partial.0))?;
        Ok(claims.into_iter().map(Claim).collect())
    }

    fn size(&mut self, call: &mut Call, cache: CacheRef) -> Result<u64, Fault> {
        self.run(call, |store, guest| guest.call_size(store, cache.0))
    }

    fn foldl(&mut self, call: &mut Call, fun: FoldFun, acc: Acc, cache: CacheRef) -> Result<Acc, Fault> {
        let last = self.run(call, |store, guest| guest.call_foldl(store, fun.0, acc.0, cache.0))?;
        Ok(Acc(last))
    }

    fn memory_bytes(&self) -> Option<usize> {
        Some(self.store.data().meter.memory_bytes)
    }
}
