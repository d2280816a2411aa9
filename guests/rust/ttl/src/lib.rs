//! A guest that forgets a session some time before the host would: after `ttl-ms`, or half the vault's lifetime.

use std::collections::{BTreeMap, VecDeque};

use innkeeper_guest::{Fold, InitArgs, Key, PartialKey, SELECTED_MAX, Session, SessionCache, host};

/// The sessions with the time at which each is forgotten.
pub struct Ttl {
    ttl_ms: u64,
    sessions: BTreeMap<Key, (Session, u64)>,
    /// Every registration, oldest first, those replaced or deleted since included.
    registered: VecDeque<(Key, Session)>,
}

innkeeper_guest::export!(Ttl);

/// How many registrations one `update` looks back on: more than one, so that it catches up.
const LOOK_BACK: usize = 4;

impl Ttl {
    fn forget_old(&mut self, now_ms: u64) {
        for _ in 0..LOOK_BACK {
            let Some((key, session)) = self.registered.front().copied() else { return };
            match self.sessions.get(&key) {
                Some((own, until_ms)) if *own == session && now_ms < *until_ms => return,
                Some((own, _)) if *own == session => {
                    self.sessions.remove(&key);
                    host::evict(session);
                }
                _ => {}
            }
            self.registered.pop_front();
        }
    }

    /// Drops the registrations that no longer stand for a session, once they are the greater part.
    fn forget_stale(&mut self) {
        if self.registered.len() > 2 * self.sessions.len() + LOOK_BACK {
            let sessions = &self.sessions;
            self.registered.retain(|(key, session)| sessions.get(key).is_some_and(|(own, _)| own == session));
        }
    }
}

impl SessionCache for Ttl {
    fn init(args: InitArgs) -> Result<Self, String> {
        let ttl_ms = match args.property("ttl-ms") {
            Some(text) => text.parse().map_err(|_| format!("property `ttl-ms` is not a number: {text}"))?,
            None => args.lifetime_ms / 2,
        };
        Ok(Self { ttl_ms, sessions: BTreeMap::new(), registered: VecDeque::new() })
    }

    fn update(&mut self, key: Key, session: Session) {
        let now_ms = host::now_ms();
        self.forget_old(now_ms);
        // An instance that is being rebuilt sees old sessions again: their time runs from when they were created.
        let created_ms = host::describe(session).map_or(now_ms, |info| info.created_ms);
        self.sessions.insert(key, (session, created_ms.saturating_add(self.ttl_ms)));
        self.registered.push_back((key, session));
        self.forget_stale();
    }

    fn delete(&mut self, key: Key) {
        self.sessions.remove(&key);
    }

    fn lookup(&mut self, key: Key) -> Option<Session> {
        let (session, until_ms) = self.sessions.get(&key)?;
        (host::now_ms() < *until_ms).then_some(*session)
    }

    fn select_session(&mut self, partial: PartialKey) -> Vec<Session> {
        let now_ms = host::now_ms();
        let all = self.sessions.range(Key::all_of(partial)).take(SELECTED_MAX);
        let live = all.filter(|(_, (_, until_ms))| now_ms < *until_ms);
        live.map(|(_, (session, _))| *session).collect()
    }

    fn size(&self) -> u64 {
        self.sessions.len() as u64
    }

    fn foldl(&self, fold: &mut Fold) {
        self.sessions.iter().for_each(|(key, (session, _))| fold.apply(*key, *session));
    }
}

#[cfg(test)]
mod tests {
    use innkeeper_guest::{Role, SessionId, testing};

    use super::*;

    const KEY: Key = Key { partial: PartialKey(1), id: SessionId(1) };
    const OTHER: Key = Key { partial: PartialKey(1), id: SessionId(2) };

    fn init(ttl_ms: &str) -> Result<Ttl, String> {
        let properties = vec![("ttl-ms".to_owned(), ttl_ms.to_owned())];
        Ttl::init(InitArgs { role: Role::Server, sessions_max: 9, lifetime_ms: 1_000, properties })
    }

    #[test]
    fn a_session_is_forgotten_after_its_time() {
        let mut ttl = init("100").unwrap();
        ttl.update(KEY, Session(1));
        testing::set_now_ms(99);
        assert_eq!(ttl.lookup(KEY), Some(Session(1)));
        testing::set_now_ms(100);
        assert_eq!(ttl.lookup(KEY), None);
        assert_eq!(ttl.select_session(PartialKey(1)), []);
        ttl.update(OTHER, Session(2));
        assert_eq!(testing::seen().evicted, [Session(1)]);
        assert_eq!(ttl.size(), 1);
    }

    #[test]
    fn a_replaced_session_is_not_evicted_with_its_successor() {
        let mut ttl = init("100").unwrap();
        ttl.update(KEY, Session(1));
        testing::set_now_ms(60);
        ttl.update(KEY, Session(2));
        testing::set_now_ms(120);
        ttl.update(OTHER, Session(3));
        assert!(testing::seen().evicted.is_empty());
        assert_eq!(ttl.lookup(KEY), Some(Session(2)));
    }

    #[test]
    fn a_setting_that_is_no_number_is_refused() {
        let refusal = init("soon").err();
        assert_eq!(refusal.as_deref(), Some("property `ttl-ms` is not a number: soon"));
    }
}
