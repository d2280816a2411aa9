//! Recent events of a guest: its last log lines and faults, for its tenant.

use std::collections::VecDeque;

use crate::{
    contract::{callback::Callback, fault::FaultKind, scalar::Level},
    sync::Mutex,
};

/// A line that a guest has logged.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogLine {
    /// The time, in milliseconds on the cache's clock.
    pub at_ms: u64,
    /// The level.
    pub level: Level,
    /// The line as the log has it: cut, with control characters escaped.
    pub text: String,
}

/// A fault of a guest.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FaultNote {
    /// The time, in milliseconds on the cache's clock.
    pub at_ms: u64,
    /// The callback that failed.
    pub callback: Callback,
    /// Its kind.
    pub kind: FaultKind,
    /// The fault, in one line of at most 1 KiB.
    pub text: String,
}

/// The recent events of a guest, each kind oldest first.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Recent {
    /// The last lines that were written to the log, 64 at most.
    pub lines: Vec<LogLine>,
    /// The last faults, 16 at most.
    pub faults: Vec<FaultNote>,
}

const LINES_MAX: usize = 64;
const FAULTS_MAX: usize = 16;

/// The last log lines and faults of one cache, under a lock of their own that is held for an instant.
#[derive(Default)]
pub(crate) struct RecentEvents(Mutex<Rings>);

#[derive(Default)]
struct Rings {
    lines: VecDeque<LogLine>,
    faults: VecDeque<FaultNote>,
}

impl RecentEvents {
    pub(crate) fn line(&self, line: LogLine) {
        push(&mut self.0.lock().lines, LINES_MAX, line);
    }

    pub(crate) fn fault(&self, fault: FaultNote) {
        push(&mut self.0.lock().faults, FAULTS_MAX, fault);
    }

    pub(crate) fn recent(&self) -> Recent {
        let rings = self.0.lock();
        Recent { lines: rings.lines.iter().cloned().collect(), faults: rings.faults.iter().cloned().collect() }
    }
}

fn push<T>(ring: &mut VecDeque<T>, most: usize, item: T) {
    if ring.len() == most {
        ring.pop_front();
    }
    ring.push_back(item);
}
