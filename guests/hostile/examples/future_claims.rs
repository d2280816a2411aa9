//! Claims the numbers that the host will give next: the one after the newest, and the newest one's slot once more.

use innkeeper_guest::{Key, PartialKey, Session};
use innkeeper_guest_hostile::{Crook, Guest, Known};

#[derive(Default)]
struct FutureClaims {
    newest: u64,
    calls: u64,
}

/// From one session of a slot of the vault to the next one of that slot.
const GENERATION: u64 = 1 << 24;

impl Crook for FutureClaims {
    fn update(&mut self, known: &mut Known, key: Key, session: Session) {
        self.newest = session.0;
        known.insert(key, session);
    }

    fn lookup(&mut self, _: &Known, _: Key) -> Option<Session> {
        self.calls += 1;
        Some(Session(self.newest + if self.calls.is_multiple_of(2) { GENERATION } else { 1 }))
    }

    fn select_session(&mut self, _: &Known, _: PartialKey) -> Vec<Session> {
        (1..128).flat_map(|step| [step, step * GENERATION]).map(|step| Session(self.newest + step)).collect()
    }
}

innkeeper_guest::export!(Guest<FutureClaims>);
