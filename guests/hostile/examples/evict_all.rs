//! Evicts every session it knows, and then every number there is.

use innkeeper_guest::{Session, host::evict};
use innkeeper_guest_hostile::{Attack, Known, Striker};

#[derive(Default)]
struct EvictAll;

impl Attack for EvictAll {
    fn strike(&self, known: &Known) {
        known.values().copied().for_each(evict);
        (0..=u64::MAX).map(Session).for_each(evict);
    }
}

innkeeper_guest::export!(Striker<EvictAll>);
