//! What a cache counts about itself.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::{
    Callback, FaultKind, Value,
    keeper::Keeper,
    sync::atomic::{AtomicU64, Ordering},
};

/// Why a read gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Miss {
    /// The vault holds nothing under the name; the guest was not asked.
    Absent,
    /// The session is past its life; the guest was not asked.
    Expired,
    /// No instance runs: it is being rebuilt, or the cache is suspended; the guest was not asked.
    Down,
    /// The instance was busy past the deadline.
    Busy,
    /// The guest chose not to give the session.
    Declined,
    /// The guest gave something else than the session.
    FalseClaim,
    /// The session was taken, deleted or replaced while the guest was asked.
    Gone,
    /// The guest faulted.
    Fault,
    /// The tenant's fuel budget did not have the call's grant; the guest was not asked.
    OverBudget,
    /// The tenant's guest has taken more time than its budget has; the guest was not asked.
    OverTime,
}

impl Miss {
    /// All causes, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Absent,
        Self::Expired,
        Self::Down,
        Self::Busy,
        Self::Declined,
        Self::FalseClaim,
        Self::Gone,
        Self::Fault,
        Self::OverBudget,
        Self::OverTime,
    ];

    /// The cause's name in logs, metrics and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Expired => "expired",
            Self::Down => "down",
            Self::Busy => "busy",
            Self::Declined => "declined",
            Self::FalseClaim => "false-claim",
            Self::Gone => "gone",
            Self::Fault => "fault",
            Self::OverBudget => "over-budget",
            Self::OverTime => "over-time",
        }
    }
}

/// Whether a cache's guest is being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheState {
    /// Every instance runs.
    Running,
    /// Nothing has been asked for so long that the instances have been given up: the next use builds them anew.
    Idle,
    /// An instance waits out its backoff, or is being rebuilt.
    Restarting,
    /// The guest has faulted too often, and is tried again after the longest backoff; or an operator has suspended it, as
    /// [`CacheStats::is_held`] tells.
    Suspended,
    /// The cache has been terminated, or its owner is gone.
    Ended,
    /// No cache has been opened: there is no guest to ask. See [`CacheStats::none`].
    NoGuest,
}

impl CacheState {
    /// All states.
    pub const ALL: [Self; 6] =
        [Self::Running, Self::Idle, Self::Restarting, Self::Suspended, Self::Ended, Self::NoGuest];

    /// The state's name in logs, metrics and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Idle => "idle",
            Self::Restarting => "restarting",
            Self::Suspended => "suspended",
            Self::Ended => "ended",
            Self::NoGuest => "no-guest",
        }
    }
}

/// A number that any thread may add to.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Adds where something else sees to it that nobody does so at the same time. An addition that meets another is lost.
    fn add_alone(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long the calls of one callback took.
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

    const NONE: Self = Self { counts: [0; Self::BOUNDS_NS.len() + 1], sum_ns: 0 };

    /// How many calls there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// The times of one callback's calls.
#[derive(Default)]
pub(crate) struct Times {
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

/// What the calls into one place come to. Whoever holds the instance's lock adds, or the owner thread where there is none: no
/// two at the same time.
#[derive(Default)]
pub(crate) struct CallCounts {
    hits: Counter,
    calls: [Counter; 8],
    fuel: [Counter; 8],
    times: [Times; 8],
    reader_ns: Counter,
}

impl CallCounts {
    pub(crate) fn call(&self, callback: Callback, fuel: u64) {
        self.calls[callback as usize].add_alone(1);
        self.fuel[callback as usize].add_alone(fuel);
    }

    pub(crate) fn all(&self) -> u64 {
        self.calls.iter().map(Counter::read).sum()
    }

    pub(crate) fn hit(&self) {
        self.hits.add_alone(1);
    }

    /// Notes time on a core that a reader's calls have taken.
    pub(crate) fn reader_time(&self, ns: u64) {
        self.reader_ns.add_alone(ns);
    }

    pub(crate) fn time(&self, callback: Callback, time: Duration) {
        self.times[callback as usize].add_alone(time);
    }
}

/// What one reader's thread, or a few, have counted. Threads that do not share an instance share no cache line here: two of
/// 64 bytes each, since processors fetch them in pairs.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct ReadCounts {
    pub(crate) hits: Counter,
    pub(crate) misses: [Counter; 10],
    reads: Counter,
    taking: AtomicU64,
}

/// A session is being taken, until this is dropped.
pub(crate) struct Taking<'a>(&'a ReadCounts);

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        self.0.taking.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Of so many reads that come as far as an instance, one is shown in the times of lookups.
const SHOWN: u64 = 16;

impl ReadCounts {
    /// Notes that a session is being taken. Ordered against what the owner thread does as a cache falls idle: either this is seen
    /// there, or the cache is seen to be idle here.
    pub(crate) fn taking(&self) -> Taking<'_> {
        self.taking.fetch_add(1, Ordering::SeqCst);
        Taking(self)
    }

    /// Whether a session is being taken.
    pub(crate) fn is_taking(&self) -> bool {
        self.taking.load(Ordering::SeqCst) > 0
    }

    /// Begins to time a read that the guest will be asked for, if this is one that is timed: the first is. Two threads that
    /// count at the same time may time one read more or less.
    pub(crate) fn start(&self) -> Option<Instant> {
        let reads = self.reads.read();
        self.reads.add_alone(1);
        reads.is_multiple_of(SHOWN).then(start)
    }
}

#[expect(clippy::disallowed_methods, reason = "measures a call; nothing is decided by it")]
pub(crate) fn start() -> Instant {
    Instant::now()
}

#[derive(Default)]
pub(crate) struct Stats {
    /// Of calls into instances that are not seated.
    pub(crate) calls: CallCounts,
    pub(crate) faults: [Counter; 11],
    pub(crate) false_claims: Counter,
    /// Time of turns on an owner thread, in nanoseconds.
    pub(crate) owner_ns: Counter,
    /// Turns put off since a budget was overdrawn.
    pub(crate) put_off: Counter,
    pub(crate) updates: Counter,
    pub(crate) refused: Counter,
    pub(crate) evicted: Counter,
    pub(crate) overflowed: Counter,
    pub(crate) expired: Counter,
    pub(crate) revoked: Counter,
    pub(crate) restarts: Counter,
    pub(crate) wakes: Counter,
    pub(crate) upgrades: Counter,
    pub(crate) upgrades_refused: Counter,
    pub(crate) rollbacks: Counter,
    pub(crate) posts_dropped: Counter,
    pub(crate) log_lines: Counter,
    pub(crate) log_lines_dropped: Counter,
}

/// One reading of a cache's counters. Counts only grow while the cache is open.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CacheStats {
    /// Whether the guest is being asked.
    pub state: CacheState,
    /// Whether an operator has suspended the cache: [`Mailbox::suspend`](crate::Mailbox::suspend).
    pub is_held: bool,
    /// Whether the guest from before the last upgrade serves, since the new one's faults suspended it.
    pub is_rolled_back: bool,
    /// Sessions in the vault.
    pub sessions: u64,
    /// What they take with their names, in bytes.
    pub vault_bytes: u64,
    /// Linear memory of all instances together, in bytes, as of the last call into each. Zero where the guest has none of
    /// its own. Those being built are left out.
    pub memory_bytes: u64,
    /// Lookups, takes and picks that gave a session.
    pub hits: u64,
    /// Lookups, takes and picks that gave none, by cause, in the order of [`Miss::ALL`].
    pub misses: [u64; 10],
    /// Calls into the guest, in the order of [`Callback::ALL`].
    pub calls: [u64; 8],
    /// Fuel burned, in the order of [`Callback::ALL`].
    pub fuel: [u64; 8],
    /// How long calls into the guest took, in the order of [`Callback::ALL`].
    ///
    /// For `lookup` it is the time of a read that the vault held a session for, from there to the guest's answer, the wait for
    /// the instance included. One read in sixteen is timed, the first among them, since two looks at the clock are a fifth of
    /// what it takes. For every other callback it is the time of the guest's call alone, and every call is timed.
    pub call_times: [CallTimes; 8],
    /// Time on a core that the cache's turns on an owner thread have taken, in nanoseconds: calls into the guest, and all that
    /// is done around them.
    pub owner_ns: u64,
    /// Time on a core that readers' calls into the guest have taken, in nanoseconds. Of lookups one in 64 is timed, by chance,
    /// and stands for all.
    pub reader_ns: u64,
    /// Turns on an owner thread that were put off since the tenant had used up its fuel or its time.
    pub put_off: u64,
    /// Faults, in the order of [`FaultKind::ALL`].
    pub faults: [u64; 11],
    /// Answers of the guest that the vault refused.
    pub false_claims: u64,
    /// Sessions registered.
    pub updates: u64,
    /// Sessions that the vault refused.
    pub refused: u64,
    /// Sessions that the guest evicted.
    pub evicted: u64,
    /// Sessions that the overflow policy took out.
    pub overflowed: u64,
    /// Sessions swept past their life.
    pub expired: u64,
    /// Sessions revoked.
    pub revoked: u64,
    /// Instances built anew after a fault.
    pub restarts: u64,
    /// Instances built anew since a cache that had been idle was used again.
    pub wakes: u64,
    /// Upgrades made.
    pub upgrades: u64,
    /// Upgrades that the new guest's failure ended before they were made.
    pub upgrades_refused: u64,
    /// Upgrades undone since the new guest was suspended on probation.
    pub rollbacks: u64,
    /// Messages dropped because the mailbox was full.
    pub posts_dropped: u64,
    /// Log lines of the guest written.
    pub log_lines: u64,
    /// Log lines of the guest dropped for their rate.
    pub log_lines_dropped: u64,
    /// Times of lookups in nanoseconds: of the same ones as in [`CacheStats::call_times`](field@Self::call_times).
    pub lookup_ns: Histogram<u32>,
}

impl CacheStats {
    /// The counters where no cache has been opened: all are 0, and the state says so.
    ///
    /// # Panics
    /// Never: the histogram's precision is allowed.
    pub fn none() -> Self {
        Self {
            state: CacheState::NoGuest,
            is_held: false,
            is_rolled_back: false,
            sessions: 0,
            vault_bytes: 0,
            memory_bytes: 0,
            hits: 0,
            misses: [0; Miss::ALL.len()],
            calls: [0; 8],
            fuel: [0; 8],
            call_times: [CallTimes::NONE; 8],
            owner_ns: 0,
            reader_ns: 0,
            put_off: 0,
            faults: [0; FaultKind::ALL.len()],
            false_claims: 0,
            updates: 0,
            refused: 0,
            evicted: 0,
            overflowed: 0,
            expired: 0,
            revoked: 0,
            restarts: 0,
            wakes: 0,
            upgrades: 0,
            upgrades_refused: 0,
            rollbacks: 0,
            posts_dropped: 0,
            log_lines: 0,
            log_lines_dropped: 0,
            lookup_ns: Histogram::new(2).expect("two significant digits are allowed"),
        }
    }

    /// Misses of one cause.
    pub fn misses(&self, cause: Miss) -> u64 {
        self.misses[cause as usize]
    }

    /// Calls of one callback.
    pub fn calls(&self, callback: Callback) -> u64 {
        self.calls[callback as usize]
    }

    /// Fuel burned by one callback.
    pub fn fuel(&self, callback: Callback) -> u64 {
        self.fuel[callback as usize]
    }

    /// How long the calls of one callback took. Of lookups few are timed: see [`CacheStats::call_times`](field@Self::call_times).
    pub fn call_times(&self, callback: Callback) -> &CallTimes {
        &self.call_times[callback as usize]
    }

    /// Faults of one kind.
    pub fn faults(&self, kind: FaultKind) -> u64 {
        self.faults[kind as usize]
    }
}

/// What a reading takes from elsewhere than the counters.
pub(crate) struct Reading<'a> {
    pub(crate) reads: &'a [ReadCounts],
    pub(crate) calls: Vec<&'a CallCounts>,
    pub(crate) state: CacheState,
    pub(crate) is_held: bool,
    pub(crate) is_rolled_back: bool,
    pub(crate) memory_bytes: u64,
    pub(crate) lookup_ns: Histogram<u32>,
}

impl<V: Value> Keeper<V> {
    pub(crate) fn stats(&self, reading: Reading<'_>) -> CacheStats {
        let (sessions, vault_bytes) = {
            let vault = self.vault();
            (vault.len() as u64, vault.bytes() as u64)
        };
        let Reading { reads, mut calls, state, is_held, is_rolled_back, memory_bytes, lookup_ns } = reading;
        let stats = &self.stats;
        calls.push(&stats.calls);
        let of_calls = |count: &dyn Fn(&CallCounts) -> &[Counter; 8]| {
            std::array::from_fn(|callback| calls.iter().map(|calls| count(calls)[callback].read()).sum())
        };
        let mut call_times = [CallTimes::NONE; 8];
        for counts in &calls {
            call_times.iter_mut().zip(&counts.times).for_each(|(sum, times)| times.add_to(sum));
        }
        CacheStats {
            state,
            is_held,
            is_rolled_back,
            sessions,
            vault_bytes,
            memory_bytes,
            hits: reads
                .iter()
                .map(|reads| &reads.hits)
                .chain(calls.iter().map(|calls| &calls.hits))
                .map(Counter::read)
                .sum(),
            misses: std::array::from_fn(|cause| reads.iter().map(|reads| reads.misses[cause].read()).sum()),
            calls: of_calls(&|counts| &counts.calls),
            fuel: of_calls(&|counts| &counts.fuel),
            call_times,
            owner_ns: stats.owner_ns.read(),
            reader_ns: calls.iter().map(|calls| calls.reader_ns.read()).sum(),
            put_off: stats.put_off.read(),
            faults: stats.faults.each_ref().map(Counter::read),
            false_claims: stats.false_claims.read(),
            updates: stats.updates.read(),
            refused: stats.refused.read(),
            evicted: stats.evicted.read(),
            overflowed: stats.overflowed.read(),
            expired: stats.expired.read(),
            revoked: stats.revoked.read(),
            restarts: stats.restarts.read(),
            wakes: stats.wakes.read(),
            upgrades: stats.upgrades.read(),
            upgrades_refused: stats.upgrades_refused.read(),
            rollbacks: stats.rollbacks.read(),
            posts_dropped: stats.posts_dropped.read(),
            log_lines: stats.log_lines.read(),
            log_lines_dropped: stats.log_lines_dropped.read(),
            lookup_ns,
        }
    }
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
