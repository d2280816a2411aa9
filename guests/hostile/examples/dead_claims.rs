//! Claims sessions that were deleted or replaced.

use innkeeper_guest::{Key, Session};
use innkeeper_guest_hostile::{Crook, Guest, Known};

#[derive(Default)]
struct DeadClaims {
    dead: Vec<Session>,
    calls: usize,
}

impl Crook for DeadClaims {
    fn update(&mut self, known: &mut Known, key: Key, session: Session) {
        self.dead.extend(known.insert(key, session));
    }

    fn delete(&mut self, known: &mut Known, key: Key) {
        self.dead.extend(known.remove(&key));
    }

    fn lookup(&mut self, known: &Known, key: Key) -> Option<Session> {
        self.calls += 1;
        let dead = self.dead.get(self.calls.checked_rem(self.dead.len()).unwrap_or(0));
        // Until a session has died, this only looks honest.
        dead.or_else(|| known.get(&key)).copied()
    }
}

innkeeper_guest::export!(Guest<DeadClaims>);
