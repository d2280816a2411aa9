//! Shows a fold sessions that were never registered, after the true ones.

use innkeeper_guest::{Key, PartialKey, Session, SessionId};
use innkeeper_guest_hostile::{Crook, Guest, Known};

#[derive(Default)]
struct FoldInvents;

impl Crook for FoldInvents {
    fn shown<'a>(&self, known: &'a Known) -> Box<dyn Iterator<Item = (Key, Session)> + 'a> {
        let true_ones = known.iter().map(|(key, session)| (*key, *session));
        let invented = (1..100).map(|n| (Key { partial: PartialKey(n), id: SessionId(n) }, Session(n << 24)));
        Box::new(true_ones.chain(invented))
    }
}

innkeeper_guest::export!(Guest<FoldInvents>);
