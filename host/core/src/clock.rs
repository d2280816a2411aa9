//! The clock of a cache: milliseconds, monotonic, coarse, injected.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use coarsetime::Instant;

/// Where a cache reads the time. Clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    /// It began at this time of the machine's coarse clock.
    System(Instant),
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's monotonic clock. It starts at 1 ms, does not run while the machine sleeps, and moves on by some
    /// milliseconds at a time: a reading costs no more than a memory access or two.
    pub fn system() -> Self {
        Self(Source::System(Instant::now_without_cache_update()))
    }

    /// A clock that stands at 1 ms until [`Clock::advance`] moves it.
    pub fn manual() -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(1))))
    }

    /// The time now, in milliseconds.
    pub fn now_ms(&self) -> u64 {
        match &self.0 {
            Source::System(start) => 1 + Instant::now_without_cache_update().duration_since(*start).as_millis(),
            Source::Manual(now) => now.load(Ordering::Acquire),
        }
    }

    /// How long a thread that has nothing to do until `at_ms` may wait before it reads the clock again.
    pub(crate) fn wait_for(&self, at_ms: u64) -> Duration {
        match &self.0 {
            Source::System(_) => Duration::from_millis(at_ms.saturating_sub(self.now_ms())),
            // Who moves the clock of an explored schedule wakes the thread as well.
            Source::Manual(_) if cfg!(shuttle) => Duration::MAX,
            Source::Manual(_) => Duration::from_millis(1),
        }
    }

    /// Moves a manual clock, and all its clones, on by `ms`. Another clock stays as it is.
    pub fn advance(&self, ms: u64) {
        if let Source::Manual(now) = &self.0 {
            now.fetch_add(ms, Ordering::AcqRel);
        }
    }
}
