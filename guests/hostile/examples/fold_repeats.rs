//! Shows a fold every session twice.

use innkeeper_guest::{Key, Session};
use innkeeper_guest_hostile::{Crook, Guest, Known};

#[derive(Default)]
struct FoldRepeats;

impl Crook for FoldRepeats {
    fn shown<'a>(&self, known: &'a Known) -> Box<dyn Iterator<Item = (Key, Session)> + 'a> {
        let once = known.iter().map(|(key, session)| (*key, *session));
        Box::new(once.clone().chain(once))
    }
}

innkeeper_guest::export!(Guest<FoldRepeats>);
