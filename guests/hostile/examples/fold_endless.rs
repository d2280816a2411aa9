//! Shows a fold one session for ever.

use innkeeper_guest::{Key, PartialKey, Session, SessionId};
use innkeeper_guest_hostile::{Crook, Guest, Known};

#[derive(Default)]
struct FoldEndless;

impl Crook for FoldEndless {
    fn shown<'a>(&self, known: &'a Known) -> Box<dyn Iterator<Item = (Key, Session)> + 'a> {
        let known = known.iter().map(|(key, session)| (*key, *session)).next();
        let invented = (Key { partial: PartialKey(1), id: SessionId(1) }, Session(1));
        Box::new(std::iter::repeat(known.unwrap_or(invented)))
    }
}

innkeeper_guest::export!(Guest<FoldEndless>);
