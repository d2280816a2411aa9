//! Evicts what it has been told of at each update, so that one session is left. It may; it only harms its own tenant.

use innkeeper_guest::{Key, Session, host::evict};
use innkeeper_guest_hostile::{Crook, Guest, Known};

#[derive(Default)]
struct EvictKnown;

impl Crook for EvictKnown {
    fn update(&mut self, known: &mut Known, key: Key, session: Session) {
        known.drain().for_each(|(_, older)| evict(older));
        known.insert(key, session);
    }
}

innkeeper_guest::export!(Guest<EvictKnown>);
