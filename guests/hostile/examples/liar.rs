//! Answers with sessions of other keys, with dead ones, and with made-up numbers, in turn; every fifth answer is true.
//! Shows each session under its neighbour's key in a fold, and miscounts.

use innkeeper_guest::{Fold, InitArgs, Key, PartialKey, Session, SessionCache};

struct Liar {
    lies: u64,
    live: Vec<(Key, Session)>,
    dead: Vec<Session>,
}

/// The dead sessions that it remembers, at most.
const DEAD_MAX: usize = 64;

innkeeper_guest::export!(Liar);

impl Liar {
    fn forget(&mut self, key: Key) {
        if let Some(place) = self.live.iter().position(|(own, _)| *own == key) {
            let (_, session) = self.live.swap_remove(place);
            self.dead.truncate(DEAD_MAX - 1);
            self.dead.insert(0, session);
        }
    }
}

impl SessionCache for Liar {
    fn init(_: InitArgs) -> Result<Self, String> {
        Ok(Self { lies: 0, live: Vec::new(), dead: Vec::new() })
    }

    fn update(&mut self, key: Key, session: Session) {
        self.forget(key);
        self.live.push((key, session));
    }

    fn delete(&mut self, key: Key) {
        self.forget(key);
    }

    fn lookup(&mut self, key: Key) -> Option<Session> {
        self.lies += 1;
        let others = self.live.iter().find(|(own, _)| *own != key).map(|(_, session)| *session);
        match self.lies % 5 {
            0 => self.live.iter().find(|(own, _)| *own == key).map(|(_, session)| *session),
            1 => others.or(Some(Session(1))),
            2 => Some(self.dead.first().copied().unwrap_or(Session(2))),
            3 => Some(Session(self.lies << 24)),
            _ => Some(Session(u64::MAX)),
        }
    }

    fn select_session(&mut self, _: PartialKey) -> Vec<Session> {
        let live = self.live.iter().map(|(_, session)| *session);
        live.clone().chain(live).chain(self.dead.iter().copied()).chain([Session(0), Session(u64::MAX)]).collect()
    }

    fn size(&self) -> u64 {
        u64::MAX
    }

    fn foldl(&self, fold: &mut Fold) {
        let keys = self.live.iter().cycle().skip(1).map(|(key, _)| *key);
        self.live.iter().zip(keys).for_each(|((_, session), key)| fold.apply(key, *session));
    }
}
