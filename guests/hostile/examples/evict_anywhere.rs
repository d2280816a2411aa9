//! Evicts one session in the callback it strikes in, even where only a reader calls.

use innkeeper_guest::{Session, host::evict};
use innkeeper_guest_hostile::{Attack, Known, Striker};

#[derive(Default)]
struct EvictAnywhere;

impl Attack for EvictAnywhere {
    fn strike(&self, known: &Known) {
        evict(known.values().next().copied().unwrap_or(Session(1)));
    }
}

innkeeper_guest::export!(Striker<EvictAnywhere>);
