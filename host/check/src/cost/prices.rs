//! The result of a pricing.

use serde::{Deserialize, Serialize};

use super::{row::Price, stopwatch::Spread};

/// The prices of a guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    /// The version of the fields: [`Prices::FORMAT`].
    pub format: u32,
    /// The time of reading the clock, in ns. It is subtracted from every time here.
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

/// The prices of a guest at one number of sessions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Population {
    /// Sessions to register.
    pub sessions: u32,
    /// Sessions registered and not evicted by the guest.
    pub held: u32,
    /// The reason why it has no price: the guest failed on the way, or would have taken too long.
    pub fault: Option<String>,
    /// Bringing a fresh instance to that number by `update`, as after a fault.
    pub replay: Option<Replay>,
    /// The instance's memory, where it has one of its own.
    pub memory: Option<Memory>,
    /// Each callback.
    pub prices: Vec<Price>,
    /// `foldl`'s fuel by the number of sessions.
    pub foldl_fuel_per_session: Option<u64>,
    /// Changes while the number of sessions stays.
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

/// Changes over many cycles of one lookup, one delete, and one update of a new key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Churn {
    /// Cycles made.
    pub cycles: u32,
    /// Growth of the memory. A leak shows here; so may a queue that is tidied now and then.
    pub grown_bytes: Option<usize>,
    /// Median fuel of a cycle in the first tenth.
    pub fuel_first: u64,
    /// Median fuel of a cycle in the last tenth.
    pub fuel_last: u64,
    /// The guest's fault, if any.
    pub fault: Option<String>,
}
