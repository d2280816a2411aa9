//! Refuses every cache, and says what it was told. Its text has control characters in it and is long.

use innkeeper_guest::{Fold, InitArgs, Key, PartialKey, Session, SessionCache};

enum Refuse {}

innkeeper_guest::export!(Refuse);

impl SessionCache for Refuse {
    fn init(args: InitArgs) -> Result<Self, String> {
        let InitArgs { role, sessions_max, lifetime_ms, properties } = args;
        let told = format!("{role:?} {sessions_max} {lifetime_ms} {properties:?}");
        Err(format!("{told}\n\x1b[2J{}", "!".repeat(1 << 14)))
    }

    fn update(&mut self, _: Key, _: Session) {}

    fn delete(&mut self, _: Key) {}

    fn lookup(&mut self, _: Key) -> Option<Session> {
        None
    }

    fn select_session(&mut self, _: PartialKey) -> Vec<Session> {
        Vec::new()
    }

    fn size(&self) -> u64 {
        0
    }

    fn foldl(&self, _: &mut Fold) {}
}
