//! The shared state of one cache that its instances may ask: vault, clock, log, and the statistics of all.

use std::sync::Arc;

use crate::{
    cache::{
        recent::{FaultNote, LogLine, RecentEvents},
        shared_vault::SharedVault,
        stats::Stats,
    },
    clock::Clock,
    contract::{
        callback::Callback,
        callbacks::Host,
        fault::Fault,
        limits::Limits,
        scalar::{Claim, Level, Role, SCALAR_END, SessionInfo},
        text::log_line,
    },
    guest::budget::Budget,
    sync::Mutex,
    vault::{
        secret::Value,
        vault::{Terms, Vault},
    },
};

/// Everything of a cache that an instance may hold; it holds no instance itself.
pub(crate) struct SharedState<V> {
    /// For logs, as is the role.
    pub(crate) tenant: String,
    pub(crate) role: Role,
    pub(crate) vault: SharedVault<V>,
    pub(crate) clock: Clock,
    /// A guest sees the clock this much later, so that it does not learn the age of the process.
    since_ms: u64,
    pub(crate) limits: Limits,
    pub(crate) budget: Budget,
    pub(crate) stats: Stats,
    pub(crate) recent: RecentEvents,
    log: Mutex<LogRate>,
}

/// The cache that a session comes from in a handover, as it was when the session was taken out.
pub(crate) struct Origin<V> {
    pub(crate) state: Arc<SharedState<V>>,
    pub(crate) terms: Terms,
}

impl<V: Value> Origin<V> {
    /// Tells `commit` whether the session has been revoked in the cache that it comes from. No revocation there comes
    /// in between.
    ///
    /// `commit` may take another cache's vault: of two, the one that a session leaves is taken first.
    pub(crate) fn judge<T>(&self, commit: impl FnOnce(bool) -> T) -> T {
        let vault = self.state.vault.read();
        commit(vault.terms() != self.terms)
    }
}

/// The start of a guest's clock, at least and at most: a day, and some thirty-five years.
const SINCE_MS_MIN: u64 = 24 * 60 * 60 * 1_000;
const SINCE_MS_BITS: u32 = 40;

/// Picks the start of a guest's clock, by random bytes.
pub(crate) fn since_ms(random: [u8; 8]) -> u64 {
    SINCE_MS_MIN + (u64::from_ne_bytes(random) >> (u64::BITS - SINCE_MS_BITS))
}

/// The most bytes of a fault's text that are kept.
const FAULT_BYTES: usize = 1 << 10;

/// Lines written in the current second.
#[derive(Default)]
struct LogRate {
    second: u64,
    lines: u32,
}

impl<V: Value> SharedState<V> {
    pub(crate) fn new(
        (tenant, role): (String, Role),
        vault: Vault<V>,
        (clock, since_ms): (Clock, u64),
        limits: Limits,
        budget: Budget,
        readers: usize,
    ) -> Self {
        let (stats, recent, log) = (Stats::default(), RecentEvents::default(), Mutex::default());
        let vault = SharedVault::new(vault, readers);
        Self { tenant, role, vault, clock, since_ms, limits, budget, stats, recent, log }
    }

    /// Counts a fault of the guest that serves, and keeps it for the tenant.
    pub(crate) fn note_fault(&self, callback: Callback, fault: &Fault) {
        self.stats.faults[fault.kind() as usize].add(1);
        let text = log_line(&fault.to_string(), FAULT_BYTES);
        self.recent.fault(FaultNote { at_ms: self.clock.now_ms(), callback, kind: fault.kind(), text });
    }

    /// A time on the cache's clock as its guest sees it, which stays a number that every language has exactly.
    fn shown(&self, ms: u64) -> u64 {
        ms.saturating_add(self.since_ms).min(SCALAR_END - 1)
    }

    /// Counts a line to be logged. False if this second has had as many as may be.
    pub(crate) fn may_log(&self) -> bool {
        let second = self.clock.now_ms() / 1_000;
        let mut rate = self.log.lock();
        if rate.second != second {
            *rate = LogRate { second, lines: 0 };
        }
        rate.lines = rate.lines.saturating_add(1);
        rate.lines <= self.limits.log_lines_per_s
    }
}

impl<V: Value> Host for SharedState<V> {
    fn describe(&self, claim: Claim) -> Option<SessionInfo> {
        let info = self.vault.read().describe(claim)?;
        let (created_ms, expires_ms) = (self.shown(info.created_ms), self.shown(info.expires_ms));
        Some(SessionInfo { created_ms, expires_ms, ..info })
    }

    fn now_ms(&self) -> u64 {
        self.shown(self.clock.now_ms())
    }

    fn log(&self, level: Level, message: &str) {
        if !self.may_log() {
            self.stats.log_lines_dropped.add(1);
            return;
        }
        self.stats.log_lines.add(1);
        let line = log_line(message, self.limits.log_line_bytes);
        let (tenant, role) = (self.tenant.as_str(), self.role.name());
        match level {
            Level::Debug => tracing::debug!(target: "innkeeper::guest", tenant, role, "{line}"),
            Level::Info => tracing::info!(target: "innkeeper::guest", tenant, role, "{line}"),
            Level::Warn => tracing::warn!(target: "innkeeper::guest", tenant, role, "{line}"),
            Level::Error => tracing::error!(target: "innkeeper::guest", tenant, role, "{line}"),
        }
        self.recent.line(LogLine { at_ms: self.clock.now_ms(), level, text: line });
    }
}
