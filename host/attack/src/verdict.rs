//! The limits and checks that stopped an attack, by the host's counters.

use innkeeper_proxy::core::{CacheStats, FaultKind, FoldError, Miss};

use crate::target::Outcome;

/// The names of the limits and checks that stopped an attack, most important first.
pub(crate) fn stopped_by(outcome: &Outcome) -> Vec<&'static str> {
    match outcome {
        Outcome::Refused(error) => vec![error.check()],
        Outcome::NotOpened(error) => vec![error.fault().map_or("settings", |fault| limit_of(fault.kind()))],
        Outcome::Served { stats, ended, inspections } => {
            let mut by: Vec<&'static str> =
                FaultKind::ALL.into_iter().filter(|kind| ended.faults(*kind) > 0).map(limit_of).collect();
            let folds = || inspections.iter().filter_map(|inspection| inspection.folded.err());
            let is_broken = |error: FoldError| error != FoldError::NoAnswer;
            let miscounts = inspections.iter().any(|inspection| {
                inspection
                    .size
                    .claimed
                    .is_some_and(|claimed| claimed.abs_diff(inspection.size.held as u64) > SIZE_SLACK)
            });
            let checks = [
                ("claim-check", stats.cache.false_claims > folds().filter(|error| is_broken(*error)).count() as u64),
                ("fold-check", folds().any(is_broken)),
                ("fuel-budget", stats.cache.misses(Miss::OverBudget) > 0),
                ("time-budget", stats.cache.misses(Miss::OverTime) > 0 || stats.cache.put_off > 0),
                ("log-rate", stats.cache.log_lines_dropped > 0),
                ("own-sessions-only", stats.cache.evicted > 0),
                ("exact-count", miscounts),
            ];
            by.extend(checks.into_iter().filter(|(_, is_so)| *is_so).map(|(name, _)| name));
            if by.is_empty() {
                by.push(harmless(&stats.cache));
            }
            by
        }
    }
}

/// Sessions that come and go while a guest is asked.
const SIZE_SLACK: u64 = 16;

/// The name for an attack that no check had to stop.
fn harmless(stats: &CacheStats) -> &'static str {
    match (stats.misses(Miss::Declined), stats.log_lines) {
        (1.., _) => "a-miss-is-a-full-handshake",
        (_, 1..) => "log-escapes",
        _ => "served-within-limits",
    }
}

/// The limit behind a kind of fault.
fn limit_of(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Trap | FaultKind::Init | FaultKind::Panic => "sandbox",
        FaultKind::OutOfFuel => "fuel",
        FaultKind::Deadline => "deadline",
        FaultKind::Memory => "memory",
        FaultKind::Table => "table",
        FaultKind::Stack => "stack",
        FaultKind::Misuse => "host-interface",
        FaultKind::Instantiate => "instantiation",
        FaultKind::ThreadStack => "thread-stack",
    }
}
