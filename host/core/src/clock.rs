//! The clock of a cache: milliseconds, monotonic, coarse, injected; and the time of a thread on a core.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use coarsetime::Instant;
use cpu_time::ThreadTime;

/// The source of a cache's time. Clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    /// It began at this time of the machine's coarse clock.
    System(Instant),
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct Manual {
    now_ms: AtomicU64,
    /// True if the machine tells the time of a thread on a core.
    is_at_work: bool,
}

thread_local! {
    /// The time of this thread on a core, as [`Clock::work`] has it, in nanoseconds.
    static WORKED_NS: Cell<u64> = const { Cell::new(0) };
}

impl Clock {
    /// The machine's monotonic clock. It starts at 1 ms, does not run while the machine sleeps, and moves on by some
    /// milliseconds at a time: a reading costs no more than a memory access or two.
    pub fn system() -> Self {
        Self(Source::System(Instant::now_without_cache_update()))
    }

    /// A clock that stands at 1 ms until [`Clock::advance`] moves it. No call takes any time on a core but what
    /// [`Clock::work`] says.
    pub fn manual() -> Self {
        Self(Source::Manual(Arc::new(Manual { now_ms: AtomicU64::new(1), is_at_work: false })))
    }

    /// A clock that stands like that of [`Clock::manual`], beside which calls take the time on a core that they do
    /// take.
    pub fn manual_at_work() -> Self {
        Self(Source::Manual(Arc::new(Manual { now_ms: AtomicU64::new(1), is_at_work: true })))
    }

    /// The time now, in milliseconds.
    pub fn now_ms(&self) -> u64 {
        match &self.0 {
            Source::System(start) => 1 + Instant::now_without_cache_update().duration_since(*start).as_millis(),
            Source::Manual(manual) => manual.now_ms.load(Ordering::Acquire),
        }
    }

    /// The time of the running thread on a core, in nanoseconds. Costs a system call: a fifth of a microsecond.
    pub(crate) fn thread_ns(&self) -> u64 {
        match &self.0 {
            Source::Manual(manual) if !manual.is_at_work => WORKED_NS.get(),
            _ => thread_ns(),
        }
    }

    /// The longest wait of a thread that has nothing to do until `at_ms`, before it reads the clock again.
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
        if let Source::Manual(manual) = &self.0 {
            manual.now_ms.fetch_add(ms, Ordering::AcqRel);
        }
    }

    /// Has the running thread have had a core for so much longer, by the clocks of [`Clock::manual`].
    pub fn work(time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        WORKED_NS.set(WORKED_NS.get().saturating_add(ns));
    }
}

/// The time of the running thread on a core, by the machine. It never fails for one's own thread.
fn thread_ns() -> u64 {
    u64::try_from(ThreadTime::now().as_duration().as_nanos()).unwrap_or(u64::MAX)
}
