//! The keeper of one cache: the vault behind its lock, the clock, and the guest's log. What an instance may ask.

use std::fmt::Write as _;

use crate::{
    Budget, Callback, Claim, Clock, Fault, FaultNote, Host, Level, Limits, LogLine, Role, SCALAR_END, SessionInfo,
    Value, Vault,
    journal::Journal,
    stats::Stats,
    sync::{
        Mutex, ReadGuard, RwLock, WriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

/// Holds no instance, so that an instance may hold it.
///
/// The vault's lock is never held while a guest runs or while the instance's lock is waited for; a guest that asks
/// `describe` takes it for reading.
pub(crate) struct Keeper<V> {
    /// For logs, as is the role.
    pub(crate) tenant: String,
    pub(crate) role: Role,
    vault: RwLock<Vault<V>>,
    /// Grows whenever the vault may change, while its lock is held for that.
    version: AtomicU64,
    pub(crate) clock: Clock,
    /// What a guest sees of the clock is this much later, so that it does not learn how old the process is.
    since_ms: u64,
    pub(crate) limits: Limits,
    pub(crate) budget: Budget,
    pub(crate) stats: Stats,
    pub(crate) journal: Journal,
    log: Mutex<LogRate>,
}

/// When a guest's clock begins, at least and at most: a day, and some thirty-five years.
const SINCE_MS_MIN: u64 = 24 * 60 * 60 * 1_000;
const SINCE_MS_BITS: u32 = 40;

/// A time for a guest's clock to begin at, by random bytes.
pub(crate) fn since_ms(random: [u8; 8]) -> u64 {
    SINCE_MS_MIN + (u64::from_ne_bytes(random) >> (u64::BITS - SINCE_MS_BITS))
}

/// What is kept of a fault's text at most.
const FAULT_BYTES: usize = 1 << 10;

/// Lines written in the current second.
#[derive(Default)]
struct LogRate {
    second: u64,
    lines: u32,
}

impl<V: Value> Keeper<V> {
    pub(crate) fn new(
        (tenant, role): (String, Role),
        vault: Vault<V>,
        (clock, since_ms): (Clock, u64),
        limits: Limits,
        budget: Budget,
        readers: usize,
    ) -> Self {
        let (stats, journal, log) = (Stats::default(), Journal::default(), Mutex::default());
        let (vault, version) = (RwLock::new(vault, readers), AtomicU64::new(0));
        Self { tenant, role, vault, version, clock, since_ms, limits, budget, stats, journal, log }
    }

    /// The vault, to look into.
    #[inline(always)]
    pub(crate) fn vault(&self) -> ReadGuard<'_, Vault<V>> {
        self.vault.read()
    }

    /// The vault, to be changed.
    pub(crate) fn vault_mut(&self) -> WriteGuard<'_, Vault<V>> {
        let vault = self.vault.write();
        self.version.fetch_add(1, Ordering::AcqRel);
        vault
    }

    /// A number that stays the same as long as the vault does. What was seen under one lock together with this number still
    /// holds while the number is the same, without a lock.
    pub(crate) fn vault_version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Counts a fault of the guest that serves, and keeps it for the tenant.
    pub(crate) fn note_fault(&self, callback: Callback, fault: &Fault) {
        self.stats.faults[fault.kind() as usize].add(1);
        let text = log_line(&fault.to_string(), FAULT_BYTES);
        self.journal.fault(FaultNote { at_ms: self.clock.now_ms(), callback, kind: fault.kind(), text });
    }

    /// A time on the cache's clock as its guest sees it, which stays a number that every language has exactly.
    fn shown(&self, ms: u64) -> u64 {
        ms.saturating_add(self.since_ms).min(SCALAR_END - 1)
    }

    /// Whether one more line may be logged in this second.
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

impl<V: Value> Host for Keeper<V> {
    fn describe(&self, claim: Claim) -> Option<SessionInfo> {
        let info = self.vault().describe(claim)?;
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
        self.journal.line(LogLine { at_ms: self.clock.now_ms(), level, text: line });
    }
}

/// A guest's text as one line of at most `bytes_max` bytes, with control characters escaped.
pub fn log_line(text: &str, bytes_max: usize) -> String {
    let mut line = String::with_capacity(text.len().min(bytes_max));
    for character in text.chars() {
        let before = line.len();
        match character.is_control() {
            true => write!(line, "{}", character.escape_default()).expect("a string takes any text"),
            false => line.push(character),
        }
        if line.len() > bytes_max {
            line.truncate(before);
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::log_line;

    #[test]
    fn a_log_line_has_no_control_characters_and_ends_at_its_limit() {
        assert_eq!(log_line("plain", 1_024), "plain");
        assert_eq!(log_line("two\nlines\x1b[2J", 1_024), "two\\nlines\\u{1b}[2J");
        assert_eq!(log_line("äöü", 4), "äö");
        assert_eq!(log_line("äöü", 5), "äö");
        assert_eq!(log_line("ab\n", 3), "ab");
        assert_eq!(log_line("", 0), "");
    }
}
