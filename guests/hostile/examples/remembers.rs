//! Remembers every session it was ever told of, and claims the oldest under each key: a replay once that one is dead.

use innkeeper_guest::{Key, PartialKey, Session};
use innkeeper_guest_hostile::{Crook, Guest, Known};

#[derive(Default)]
struct Remembers {
    ever: Vec<(Key, Session)>,
}

impl Crook for Remembers {
    fn update(&mut self, known: &mut Known, key: Key, session: Session) {
        self.ever.push((key, session));
        known.entry(key).or_insert(session);
    }

    fn delete(&mut self, _: &mut Known, _: Key) {}

    fn select_session(&mut self, _: &Known, partial: PartialKey) -> Vec<Session> {
        let of_partial = self.ever.iter().filter(|(key, _)| key.partial == partial);
        of_partial.map(|(_, session)| *session).take(256).collect()
    }
}

innkeeper_guest::export!(Guest<Remembers>);
