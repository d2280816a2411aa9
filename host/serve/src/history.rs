//! The last minutes of each tenant, for the sparklines on the admin page.

use std::collections::{HashMap, VecDeque};

use innkeeper_proxy::{TenantStats, core::CacheStats};

/// The seconds between two readings.
pub(crate) const EVERY_S: u64 = 5;
/// The readings that are kept: ten minutes.
const READINGS: usize = 120;

/// The increase of the counters since the reading before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// Completed handshakes.
    pub(crate) handshakes: u32,
    /// Handshakes among them that resumed.
    pub(crate) resumed: u32,
    /// Faults of the guest, in both roles.
    pub(crate) faults: u32,
    /// Answers of the guest that were refused, in both roles.
    pub(crate) false_claims: u32,
    /// Connections to the upstream.
    pub(crate) upstream: u32,
    /// Connections among them that failed.
    pub(crate) upstream_failed: u32,
}

/// Counters, in the order of a reading's fields.
type Counters = [u64; 6];

/// The last counters, and the readings so far.
#[derive(Default)]
struct Past {
    counters: Counters,
    readings: VecDeque<Reading>,
}

fn counters(stats: &TenantStats) -> Counters {
    let both = |count: fn(&CacheStats) -> u64| stats.caches().map(|(_, cache)| count(cache)).sum();
    let upstream = &stats.upstream;
    [
        stats.handshakes,
        stats.resumed,
        both(|cache| cache.faults.iter().sum()),
        both(|cache| cache.false_claims),
        upstream.connections,
        upstream.failed + upstream.handshakes_failed,
    ]
}

/// The readings of every tenant that is served.
#[derive(Default)]
pub(crate) struct History(HashMap<String, Past>);

impl History {
    /// Notes a reading of every tenant, and forgets removed tenants.
    pub(crate) fn note(&mut self, stats: &[(String, TenantStats)]) {
        let mut before = std::mem::take(&mut self.0);
        for (name, stats) in stats {
            let past = before.remove(name);
            let is_first = past.is_none();
            let mut past = past.unwrap_or_default();
            past.note(stats, is_first);
            self.0.insert(name.clone(), past);
        }
    }

    /// A tenant's readings, oldest first.
    pub(crate) fn of(&self, tenant: &str) -> Vec<Reading> {
        self.0.get(tenant).map(|past| past.readings.iter().copied().collect()).unwrap_or_default()
    }
}

impl Past {
    fn note(&mut self, stats: &TenantStats, is_first: bool) {
        let before = std::mem::replace(&mut self.counters, counters(stats));
        // The first counters belong to no time.
        if is_first {
            return;
        }
        let since = |number: usize| {
            let now = self.counters[number];
            // A new cache counts from 0.
            u32::try_from(now.checked_sub(before[number]).unwrap_or(now)).unwrap_or(u32::MAX)
        };
        let reading = Reading {
            handshakes: since(0),
            resumed: since(1),
            faults: since(2),
            false_claims: since(3),
            upstream: since(4),
            upstream_failed: since(5),
        };
        if self.readings.len() == READINGS {
            self.readings.pop_front();
        }
        self.readings.push_back(reading);
    }
}
