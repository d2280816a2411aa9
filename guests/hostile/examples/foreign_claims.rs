//! Claims sessions that are live but another's: of another partial key if there is one.

use innkeeper_guest::{Key, PartialKey, Session};
use innkeeper_guest_hostile::{Crook, Guest, Known};

#[derive(Default)]
struct ForeignClaims;

impl Crook for ForeignClaims {
    fn lookup(&mut self, known: &Known, key: Key) -> Option<Session> {
        let of_another = known.iter().find(|(own, _)| own.partial != key.partial);
        of_another.or_else(|| known.iter().find(|(own, _)| **own != key)).map(|(_, session)| *session)
    }

    fn select_session(&mut self, known: &Known, partial: PartialKey) -> Vec<Session> {
        let foreign = known.iter().filter(|(key, _)| key.partial != partial);
        foreign.map(|(_, session)| *session).take(256).collect()
    }
}

innkeeper_guest::export!(Guest<ForeignClaims>);
