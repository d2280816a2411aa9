//! The clock of a cache: milliseconds, monotonic, injected.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Where a cache reads the time. Clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System(Instant),
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's monotonic clock. It starts at 1 ms, and does not run while the machine sleeps.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock for a cache")]
    pub fn system() -> Self {
        Self(Source::System(Instant::now()))
    }

    /// A clock that stands at 1 ms until [`Clock::advance`] moves it.
    pub fn manual() -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(1))))
    }

    /// The time now, in milliseconds.
    pub fn now_ms(&self) -> u64 {
        match &self.0 {
            Source::System(start) => 1 + u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX - 1),
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
