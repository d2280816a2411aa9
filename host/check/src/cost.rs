//! What a guest costs: fuel and time of each callback at several numbers of sessions, memory, growth, a fresh instance, and
//! a replay, beside the native floor and a call that does nothing.
//!
//! Fuel is exact and the same on every machine, so [`compare`] with an older run may gate a change. Time informs.
//! Keys, their order and the number of calls are the same in every run: what ends a row early is a bound on its calls or
//! its fuel, and one of time only where a machine is very slow.

mod row;
mod bench;
mod populated;
mod stopwatch;
mod baseline;
mod svg;

use std::{sync::Arc, time::Duration};

use innkeeper_core::{Claim, Fault, Guest, Host, Level, LimitError, Limits, NativeLru, Property, Role, SessionInfo};
use serde::{Deserialize, Serialize};

pub use self::{
    baseline::{BaselineError, Growth, compare},
    row::{Item, Price},
    stopwatch::Spread,
    svg::svg,
};
use self::{
    bench::Bench,
    populated::Populated,
    row::Bounds,
    stopwatch::{Deadline, Stopwatch},
};

/// What is priced, and how far.
#[derive(Clone, Debug)]
pub struct PriceOptions {
    /// The numbers of sessions.
    pub sessions: Vec<u32>,
    /// The cache's role.
    pub role: Role,
    /// The operator's settings for the guest.
    pub properties: Vec<Property>,
    /// Calls of a row at most.
    pub calls: u32,
    /// Fuel of a row's calls at most, the last one apart.
    pub fuel: u64,
    /// Fuel of a replay at most: a number of sessions that would take more is not priced.
    pub replay_fuel: u64,
    /// Cycles of a churn at most. Otherwise there are three times as many as sessions, and 20 000 at least.
    pub cycles: u32,
    /// Time for a row at most.
    pub row: Duration,
    /// Time for one number of sessions at most.
    pub population: Duration,
    /// Told of each number of sessions before it is priced.
    pub progress: fn(u32),
}

impl Default for PriceOptions {
    fn default() -> Self {
        Self {
            sessions: vec![100, 10_000, 100_000],
            role: Role::Server,
            properties: Vec::new(),
            calls: 20_000,
            fuel: 500_000_000,
            replay_fuel: 20_000_000_000,
            cycles: 300_000,
            row: Duration::from_secs(10),
            population: Duration::from_secs(120),
            progress: |_| {},
        }
    }
}

/// Why nothing was priced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PriceError {
    /// The guest did not even open an empty cache.
    #[error("the guest opens no cache")]
    Guest(#[from] Fault),
    /// A limit, or a number of sessions, is out of its range.
    #[error(transparent)]
    Limit(#[from] LimitError),
}

/// What a guest costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    /// Which fields there are: [`Prices::FORMAT`].
    pub format: u32,
    /// What reading the clock takes, in ns. It is subtracted from every time here.
    pub clock_ns: u64,
    /// A call that does nothing, if there was one to be timed.
    pub empty_call_ns: Option<Spread>,
    /// Making an instance, without `init`.
    pub instantiation_ns: Spread,
    /// At each number of sessions, the smallest first.
    pub populations: Vec<Population>,
}

impl Prices {
    /// The format that this version writes and reads.
    pub const FORMAT: u32 = 1;
}

/// What a guest costs at one number of sessions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Population {
    /// How many sessions were to be registered.
    pub sessions: u32,
    /// How many were, and had not been evicted by the guest by then.
    pub held: u32,
    /// Why it could not be priced, if so: the guest failed on the way, or would have taken too long.
    pub fault: Option<String>,
    /// Bringing a fresh instance to that number by `update`, as after a fault.
    pub replay: Option<Replay>,
    /// The instance's memory, where it has one of its own.
    pub memory: Option<Memory>,
    /// Each callback.
    pub prices: Vec<Price>,
    /// `foldl`'s fuel by the number of sessions.
    pub foldl_fuel_per_session: Option<u64>,
    /// What changes while the number of sessions does not.
    pub churn: Option<Churn>,
}

/// All the updates of a replay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// Time of all.
    pub ns: u64,
    /// Fuel of all.
    pub fuel: u64,
    /// Fuel of the costliest, which is when a table grows.
    pub fuel_max: u64,
}

/// An instance's memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Of a cache that was opened for one session.
    pub empty_bytes: usize,
    /// With all the sessions.
    pub full_bytes: usize,
    /// The difference by the number of sessions. Memory comes in pages of 64 KiB, so many sessions tell best.
    pub session_bytes: f64,
}

/// What changes over many cycles of one lookup, one delete, and one update of a new key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Churn {
    /// Cycles made.
    pub cycles: u32,
    /// By how much the memory grew. A leak shows here; so may a queue that is tidied now and then.
    pub grown_bytes: Option<usize>,
    /// Median fuel of a cycle in the first tenth.
    pub fuel_first: u64,
    /// Median fuel of a cycle in the last tenth.
    pub fuel_last: u64,
    /// How the guest failed, if it did.
    pub fault: Option<String>,
}

/// Instances made to time it, at most, and for how long.
const INSTANCES: usize = 50;
const INSTANCES_TIME: Duration = Duration::from_secs(2);

/// How many more sessions the cache may hold than are registered, so that it is not yet full.
const ROOM: u32 = 16;

/// Prices a guest. The limits' number of sessions follows the options, and their times are widened: fuel and memory alone
/// bound a call. `empty_call` does nothing, called the way a guest is.
///
/// Blocking; seconds for a compiled guest, a minute or so for one with an interpreter.
///
/// # Errors
/// When the guest opens no cache, or when a number of sessions is more than a cache may hold. A guest that fails later is
/// priced as far as it came.
pub fn price(
    guest: &dyn Guest,
    limits: &Limits,
    options: &PriceOptions,
    empty_call: Option<&mut dyn FnMut()>,
) -> Result<Prices, PriceError> {
    let mut all_sessions = options.sessions.clone();
    all_sessions.sort_unstable();
    all_sessions.dedup();
    let all_limits: Vec<Limits> = all_sessions.iter().map(|sessions| widened(limits, *sessions)).collect();
    all_limits.iter().try_for_each(Limits::check)?;
    let stopwatch = Stopwatch::new();
    let instantiation_ns = instantiation(guest, limits, &stopwatch)?;
    // A guest that refuses its properties is told here, once.
    Populated::open(guest, all_limits.first().unwrap_or(limits), options, &stopwatch)?;
    let empty_call_ns = empty_call.map(|call| {
        let times = (0..options.calls).map(|_| stopwatch.time(&mut *call).1);
        Spread::of(times.collect())
    });
    let mut populations = Vec::new();
    for (sessions, limits) in all_sessions.into_iter().zip(&all_limits) {
        (options.progress)(sessions);
        let at = |guest, bounds| Bench { guest, limits, options, sessions, stopwatch: &stopwatch, bounds }.population();
        let mut population = at(guest, Bounds::of(options));
        if population.fault.is_none() {
            let floor = at(&NativeLru, Bounds { cycles: 0, ..Bounds::of(options) });
            for price in &mut population.prices {
                let native = floor.prices.iter().find(|native| native.item == price.item && native.calls > 0);
                price.native_ns = native.map(|native| native.ns.median);
            }
        }
        populations.push(population);
    }
    Ok(Prices { format: Prices::FORMAT, clock_ns: stopwatch.clock_ns, empty_call_ns, instantiation_ns, populations })
}

/// The limits at a number of sessions. What a call may burn stays; how long it may take must not depend on the machine.
fn widened(limits: &Limits, sessions: u32) -> Limits {
    let mut limits = Limits { sessions: sessions.saturating_add(ROOM), ..limits.clone() };
    for grant in [&mut limits.read, &mut limits.write, &mut limits.init, &mut limits.whole] {
        grant.time = grant.time.max(Duration::from_secs(60));
    }
    limits
}

fn instantiation(guest: &dyn Guest, limits: &Limits, stopwatch: &Stopwatch) -> Result<Spread, Fault> {
    let deadline = Deadline::after(INSTANCES_TIME);
    let host: Arc<dyn Host> = Arc::new(Nobody);
    let mut times = Vec::new();
    while times.is_empty() || (times.len() < INSTANCES && !deadline.is_past()) {
        let (instance, ns) = stopwatch.time(|| guest.instantiate(Arc::clone(&host), limits));
        // Dropping it is no part of the price.
        drop(instance?);
        times.push(ns);
    }
    Ok(Spread::of(times))
}

/// The host of an instance that has no cache.
struct Nobody;

impl Host for Nobody {
    fn describe(&self, _: Claim) -> Option<SessionInfo> {
        None
    }

    fn now_ms(&self) -> u64 {
        0
    }

    fn log(&self, _: Level, _: &str) {}
}
