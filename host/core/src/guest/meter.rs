//! Counters of calls into a guest, with their fuel and their times.

use std::time::{Duration, Instant};

use crate::{
    contract::callback::Callback,
    sync::atomic::{AtomicU64, Ordering},
};

/// The number of callbacks.
pub(crate) const CALLBACKS: usize = Callback::ALL.len();

/// A number that any thread may add to.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Adds where the caller has the counter to itself. An addition that meets another is lost.
    pub(crate) fn add_alone(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The times of the calls of one callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallTimes {
    /// Calls by their time: each that took no longer than a bound of [`CallTimes::BOUNDS_NS`], and longer than the one
    /// before it. The last are those above all bounds.
    pub counts: [u64; Self::BOUNDS_NS.len() + 1],
    /// All their times together, in nanoseconds.
    pub sum_ns: u64,
}

impl CallTimes {
    /// The upper bounds of the times told apart, in nanoseconds, each inclusive: 250 ns to 250 ms.
    pub const BOUNDS_NS: [u64; 14] = [
        250,
        500,
        1_000,
        2_500,
        5_000,
        10_000,
        25_000,
        50_000,
        100_000,
        250_000,
        1_000_000,
        5_000_000,
        25_000_000,
        250_000_000,
    ];

    pub(crate) const NONE: Self = Self { counts: [0; Self::BOUNDS_NS.len() + 1], sum_ns: 0 };

    /// The number of calls.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// The times of one callback's calls, as they are counted.
#[derive(Default)]
struct Times {
    counts: [Counter; CallTimes::BOUNDS_NS.len() + 1],
    sum_ns: Counter,
}

impl Times {
    fn add_alone(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.counts[CallTimes::BOUNDS_NS.partition_point(|bound| *bound < ns)].add_alone(1);
        self.sum_ns.add_alone(ns);
    }

    fn add_to(&self, times: &mut CallTimes) {
        times.counts.iter_mut().zip(&self.counts).for_each(|(sum, count)| *sum += count.read());
        times.sum_ns += self.sum_ns.read();
    }
}

/// The calls into one instance, or into those that are not in a slot. Whoever has the instance to itself adds: no two
/// threads at the same time.
#[derive(Default)]
pub(crate) struct CallCounts {
    hits: Counter,
    calls: [Counter; CALLBACKS],
    fuel: [Counter; CALLBACKS],
    times: [Times; CALLBACKS],
    reader_ns: Counter,
}

impl CallCounts {
    /// Counts a call.
    #[inline(always)]
    pub(crate) fn call(&self, callback: Callback, fuel: u64) {
        self.calls[callback as usize].add_alone(1);
        self.fuel[callback as usize].add_alone(fuel);
    }

    /// The number of calls, of all callbacks together.
    pub(crate) fn all(&self) -> u64 {
        self.calls.iter().map(Counter::read).sum()
    }

    /// Counts a lookup that gave its session.
    #[inline(always)]
    pub(crate) fn hit(&self) {
        self.hits.add_alone(1);
    }

    /// Counts time on a core that a reader's calls have taken.
    pub(crate) fn reader_time(&self, ns: u64) {
        self.reader_ns.add_alone(ns);
    }

    /// Counts the time of a call.
    pub(crate) fn time(&self, callback: Callback, time: Duration) {
        self.times[callback as usize].add_alone(time);
    }

    pub(crate) fn hits(&self) -> u64 {
        self.hits.read()
    }

    pub(crate) fn calls(&self, callback: usize) -> u64 {
        self.calls[callback].read()
    }

    pub(crate) fn fuel(&self, callback: usize) -> u64 {
        self.fuel[callback].read()
    }

    pub(crate) fn reader_ns(&self) -> u64 {
        self.reader_ns.read()
    }

    /// Adds the times of every callback to `sums`.
    pub(crate) fn add_times(&self, sums: &mut [CallTimes; CALLBACKS]) {
        sums.iter_mut().zip(&self.times).for_each(|(sum, times)| times.add_to(sum));
    }
}

#[expect(clippy::disallowed_methods, reason = "measures a call; nothing is decided by it")]
pub(crate) fn start() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_under_the_first_bound_that_it_does_not_exceed() {
        let times = Times::default();
        for ns in [0, 250, 251, 250_000_000, 250_000_001] {
            times.add_alone(Duration::from_nanos(ns));
        }
        let mut read = CallTimes::NONE;
        times.add_to(&mut read);
        let mut counts = [0; CallTimes::BOUNDS_NS.len() + 1];
        (counts[0], counts[1], counts[13], counts[14]) = (2, 1, 1, 1);
        assert_eq!((read.counts, read.count(), read.sum_ns), (counts, 5, 500_000_502));
    }
}
