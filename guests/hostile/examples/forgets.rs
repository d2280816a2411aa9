//! Never remembers a session.

use innkeeper_guest::{Key, Session};
use innkeeper_guest_hostile::{Crook, Guest, Known};

#[derive(Default)]
struct Forgets;

impl Crook for Forgets {
    fn update(&mut self, _: &mut Known, _: Key, _: Session) {}
}

innkeeper_guest::export!(Guest<Forgets>);
