//! What a cache counts about itself.

use hdrhistogram::Histogram;

use crate::{
    Callback, FaultKind,
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
}

impl Miss {
    /// All causes, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Absent,
        Self::Expired,
        Self::Down,
        Self::Busy,
        Self::Declined,
        Self::FalseClaim,
        Self::Gone,
        Self::Fault,
        Self::OverBudget,
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
        }
    }
}

/// Whether a cache's guest is being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheState {
    /// Every instance runs.
    Running,
    /// An instance waits out its backoff, or is being rebuilt.
    Restarting,
    /// The guest has faulted too often; it is tried again after the longest backoff.
    Suspended,
    /// The cache has been terminated, or its owner is gone.
    Ended,
}

impl CacheState {
    /// The state's name in logs, metrics and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Suspended => "suspended",
            Self::Ended => "ended",
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

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
pub(crate) struct Stats {
    pub(crate) hits: Counter,
    pub(crate) misses: [Counter; 9],
    pub(crate) calls: [Counter; 8],
    pub(crate) fuel: [Counter; 8],
    pub(crate) faults: [Counter; 10],
    pub(crate) false_claims: Counter,
    pub(crate) updates: Counter,
    pub(crate) refused: Counter,
    pub(crate) evicted: Counter,
    pub(crate) overflowed: Counter,
    pub(crate) expired: Counter,
    pub(crate) revoked: Counter,
    pub(crate) restarts: Counter,
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
    /// Sessions in the vault.
    pub sessions: u64,
    /// What they take with their names, in bytes.
    pub vault_bytes: u64,
    /// Lookups and takes that gave a session.
    pub hits: u64,
    /// Lookups and takes that gave none, by cause, in the order of [`Miss::ALL`].
    pub misses: [u64; 9],
    /// Calls into the guest, in the order of [`Callback::ALL`].
    pub calls: [u64; 8],
    /// Fuel burned, in the order of [`Callback::ALL`].
    pub fuel: [u64; 8],
    /// Faults, in the order of [`FaultKind::ALL`].
    pub faults: [u64; 10],
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
    /// Time of a lookup that came as far as an instance, in nanoseconds: from the caller's call to the answer.
    pub lookup_ns: Histogram<u32>,
}

impl CacheStats {
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

    /// Faults of one kind.
    pub fn faults(&self, kind: FaultKind) -> u64 {
        self.faults[kind as usize]
    }
}

impl Stats {
    pub(crate) fn read(
        &self,
        state: CacheState,
        sessions: u64,
        vault_bytes: u64,
        lookup_ns: Histogram<u32>,
    ) -> CacheStats {
        CacheStats {
            state,
            sessions,
            vault_bytes,
            hits: self.hits.read(),
            misses: self.misses.each_ref().map(Counter::read),
            calls: self.calls.each_ref().map(Counter::read),
            fuel: self.fuel.each_ref().map(Counter::read),
            faults: self.faults.each_ref().map(Counter::read),
            false_claims: self.false_claims.read(),
            updates: self.updates.read(),
            refused: self.refused.read(),
            evicted: self.evicted.read(),
            overflowed: self.overflowed.read(),
            expired: self.expired.read(),
            revoked: self.revoked.read(),
            restarts: self.restarts.read(),
            upgrades: self.upgrades.read(),
            upgrades_refused: self.upgrades_refused.read(),
            rollbacks: self.rollbacks.read(),
            posts_dropped: self.posts_dropped.read(),
            log_lines: self.log_lines.read(),
            log_lines_dropped: self.log_lines_dropped.read(),
            lookup_ns,
        }
    }
}
