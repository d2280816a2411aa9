//! Calls `apply` in the callback it strikes in, where no fold runs, or with the function of none.

use innkeeper_guest::bindings::innkeeper::session_cache::{
    host::apply,
    types::{Element, Key},
};
use innkeeper_guest_hostile::{Attack, Known, Striker};

#[derive(Default)]
struct ApplyAnywhere;

impl Attack for ApplyAnywhere {
    fn strike(&self, known: &Known) {
        let (partial, id, session) =
            known.iter().next().map_or((1, 1, 1), |(k, session)| (k.partial.0, k.id.0, session.0));
        apply(u64::MAX, Element { key: Key { partial, id }, session }, u64::MAX);
    }
}

innkeeper_guest::export!(Striker<ApplyAnywhere>);
