//! Shows a fold each session under its neighbour's key.

use innkeeper_guest::{Key, Session};
use innkeeper_guest_hostile::{Crook, Guest, Known};

#[derive(Default)]
struct FoldSwaps;

impl Crook for FoldSwaps {
    fn shown<'a>(&self, known: &'a Known) -> Box<dyn Iterator<Item = (Key, Session)> + 'a> {
        let keys = known.keys().cycle().skip(1);
        Box::new(known.values().zip(keys).map(|(session, key)| (*key, *session)))
    }
}

innkeeper_guest::export!(Guest<FoldSwaps>);
