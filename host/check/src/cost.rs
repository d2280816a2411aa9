//! Prices of a guest: fuel and time of each callback at several numbers of sessions, memory, growth, a fresh instance,
//! and a replay, beside the native floor and a call that does nothing.
//!
//! Fuel is exact and the same on every machine, so [`compare`] with an older run may gate a change. Time informs. Keys,
//! their order and the number of calls are the same in every run. A bound on calls or fuel ends a row early; a bound on
//! time does so only on a very slow machine.

mod options;
mod stopwatch;
mod row;
mod prices;
mod populated;
mod bench;
mod baseline;
mod svg;

use std::{sync::Arc, time::Duration};

use innkeeper_core::{Claim, Fault, Guest, Host, Level, LimitError, Limits, NativeLru, SessionInfo};

pub use self::{
    baseline::{BaselineError, Growth, compare},
    options::PriceOptions,
    prices::{Churn, Memory, Population, Prices, Replay},
    row::{Item, Price},
    stopwatch::Spread,
    svg::svg,
};
use self::{
    bench::Bench,
    populated::{Populated, ROOM},
    row::Bounds,
    stopwatch::{Deadline, Stopwatch},
};

/// An error that leaves nothing priced.
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

/// The most instances that are made to time it, and the most time for them.
const INSTANCES: usize = 50;
const INSTANCES_TIME: Duration = Duration::from_secs(2);

/// Prices a guest. The limits' number of sessions follows the options, and their times are widened: fuel and memory
/// alone bound a call. `empty_call` does nothing, called the way a guest is.
///
/// Blocking; seconds for a compiled guest, a minute or so for one with an interpreter.
///
/// # Errors
/// When the guest opens no cache, or when a number of sessions is more than a cache may hold. A guest that fails later
/// is priced as far as it came.
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

/// The limits at a number of sessions. The fuel of a call stays; its time must not depend on the machine.
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
