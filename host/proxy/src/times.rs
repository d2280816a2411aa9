//! Histograms of durations, which any thread may add to.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// A reading of a histogram of durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// The number of durations in each bucket: up to each of [`Times::BOUNDS_US`] and above the one before; last, above
    /// all.
    pub counts: [u64; Self::BOUNDS_US.len() + 1],
    /// The sum of all durations, in microseconds.
    pub sum_us: u64,
}

impl Times {
    /// The bounds of the buckets in microseconds, inclusive.
    pub const BOUNDS_US: [u64; 12] =
        [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000];

    /// The number of durations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// A histogram of durations.
#[derive(Default)]
pub(crate) struct Stopwatches {
    counts: [AtomicU64; Times::BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Stopwatches {
    pub(crate) fn note(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = Times::BOUNDS_US.partition_point(|bound| *bound < us);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Times {
        Times {
            counts: self.counts.each_ref().map(|count| count.load(Ordering::Relaxed)),
            sum_us: self.sum_us.load(Ordering::Relaxed),
        }
    }
}
