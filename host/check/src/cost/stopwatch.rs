//! Times of one call and of many, and deadlines.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// The only clock of this crate. A price is a time of the machine, not of a cache.
#[expect(clippy::disallowed_methods, reason = "a price is a time of the machine, not of a cache")]
fn now() -> Instant {
    Instant::now()
}

/// Times single calls, less the time of reading the clock.
pub(super) struct Stopwatch {
    pub(super) clock_ns: u64,
}

/// The reads of the clock that measure its own time.
const CLOCK_READS: usize = 10_001;

impl Stopwatch {
    pub(super) fn new() -> Self {
        let watch = Self { clock_ns: 0 };
        let reads = (0..CLOCK_READS).map(|_| watch.time(|| ()).1).collect();
        Self { clock_ns: Spread::of(reads).median }
    }

    pub(super) fn time<T>(&self, call: impl FnOnce() -> T) -> (T, u64) {
        let start = now();
        let done = call();
        let ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        (done, ns.saturating_sub(self.clock_ns))
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The moment when something ends.
#[derive(Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn after(time: Duration) -> Self {
        // The longest time is no bound, and beyond the clock.
        Self(now() + time.min(DAY))
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }

    pub(super) fn is_past(self) -> bool {
        self.left().is_zero()
    }

    pub(super) fn left(self) -> Duration {
        self.0.saturating_duration_since(now())
    }
}

/// The spread of a number over many calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// The median.
    pub median: u64,
    /// The 99th percentile.
    pub p99: u64,
    /// The most.
    pub max: u64,
}

impl Spread {
    /// The exact spread, by sorting. Zeros for an empty list.
    pub(super) fn of(mut numbers: Vec<u64>) -> Self {
        numbers.sort_unstable();
        let Some(last) = numbers.len().checked_sub(1) else { return Self::default() };
        Self { median: numbers[last / 2], p99: numbers[last * 99 / 100], max: numbers[last] }
    }
}
