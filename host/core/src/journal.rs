//! What a tenant is shown of its guest: its last log lines and faults.

use std::collections::VecDeque;

use crate::{Callback, FaultKind, Level, sync::Mutex};

/// A line that a guest has logged.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogLine {
    /// When, in milliseconds on the cache's clock.
    pub at_ms: u64,
    /// How much it matters.
    pub level: Level,
    /// The line as the log has it: cut, with control characters escaped.
    pub text: String,
}

/// A fault of a guest.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FaultNote {
    /// When, in milliseconds on the cache's clock.
    pub at_ms: u64,
    /// In which callback.
    pub callback: Callback,
    /// Its kind.
    pub kind: FaultKind,
    /// What happened, in one line of at most 1 KiB.
    pub text: String,
}

/// What a guest did lately, each kind oldest first.
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
pub(crate) struct Journal(Mutex<Rings>);

#[derive(Default)]
struct Rings {
    lines: VecDeque<LogLine>,
    faults: VecDeque<FaultNote>,
}

impl Journal {
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
