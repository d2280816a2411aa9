//! Shows a fold the sessions backwards, newest number first.

use innkeeper_guest::{Key, Session};
use innkeeper_guest_hostile::{Crook, Guest, Known};

#[derive(Default)]
struct FoldReorders;

impl Crook for FoldReorders {
    fn shown<'a>(&self, known: &'a Known) -> Box<dyn Iterator<Item = (Key, Session)> + 'a> {
        let mut shown: Vec<_> = known.iter().map(|(key, session)| (*key, *session)).collect();
        shown.sort_unstable_by_key(|(_, session)| std::cmp::Reverse(*session));
        Box::new(shown.into_iter())
    }
}

innkeeper_guest::export!(Guest<FoldReorders>);
