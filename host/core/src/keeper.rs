//! The keeper of one cache: the vault behind its lock, the clock, and the guest's log. What an instance may ask.

use std::fmt::Write as _;

use crate::{
    CacheStats, Claim, Clock, FuelBudget, Host, Level, Limits, SessionInfo, Value, Vault,
    stats::Stats,
    sync::{Mutex, RwLock},
};

/// Holds no instance, so that an instance may hold it.
///
/// The vault's lock is never held while a guest runs or while the instance's lock is waited for; a guest that asks
/// `describe` takes it for reading.
pub(crate) struct Keeper<V> {
    /// The tenant and role, for logs.
    pub(crate) label: String,
    pub(crate) vault: RwLock<Vault<V>>,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    pub(crate) budget: FuelBudget,
    pub(crate) stats: Stats,
    log: Mutex<LogRate>,
}

/// Lines written in the current second.
#[derive(Default)]
struct LogRate {
    second: u64,
    lines: u32,
}

impl<V: Value> Keeper<V> {
    pub(crate) fn new(label: String, vault: Vault<V>, clock: Clock, limits: Limits, budget: FuelBudget) -> Self {
        let (stats, log) = (Stats::default(), Mutex::default());
        Self { label, vault: RwLock::new(vault), clock, limits, budget, stats, log }
    }

    pub(crate) fn stats(&self, state: crate::CacheState, lookup_ns: hdrhistogram::Histogram<u32>) -> CacheStats {
        let vault = self.vault.read();
        self.stats.read(state, vault.len() as u64, vault.bytes() as u64, lookup_ns)
    }

    fn may_log(&self) -> bool {
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
        self.vault.read().describe(claim)
    }

    fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    fn log(&self, level: Level, message: &str) {
        if !self.may_log() {
            self.stats.log_lines_dropped.add(1);
            return;
        }
        self.stats.log_lines.add(1);
        let line = log_line(message, self.limits.log_line_bytes);
        let cache = self.label.as_str();
        match level {
            Level::Debug => tracing::debug!(target: "innkeeper::guest", cache, "{line}"),
            Level::Info => tracing::info!(target: "innkeeper::guest", cache, "{line}"),
            Level::Warn => tracing::warn!(target: "innkeeper::guest", cache, "{line}"),
            Level::Error => tracing::error!(target: "innkeeper::guest", cache, "{line}"),
        }
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
