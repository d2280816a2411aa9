//! Leaves one session out of every fold.

use innkeeper_guest::{Key, Session};
use innkeeper_guest_hostile::{Crook, Guest, Known};

#[derive(Default)]
struct FoldDrops;

impl Crook for FoldDrops {
    fn shown<'a>(&self, known: &'a Known) -> Box<dyn Iterator<Item = (Key, Session)> + 'a> {
        Box::new(known.iter().skip(1).map(|(key, session)| (*key, *session)))
    }
}

innkeeper_guest::export!(Guest<FoldDrops>);
