//! A guest that forgets a session some time before the host would: after `ttl-ms`, or half the vault's lifetime.

use innkeeper_guest::{
    Fold, InitArgs, Key, PartialKey, SELECTED_MAX, Session, SessionCache, host,
    index::{ByPartial, Place, Recency},
};

/// The sessions, findable by key, by partial key, and by how long ago they were registered.
pub struct Ttl {
    ttl_ms: u64,
    places: ByPartial<Place>,
    registered: Recency<Registered>,
}

/// A session with the time from which on it is hidden.
struct Registered {
    key: Key,
    session: Session,
    until_ms: u64,
}

innkeeper_guest::export!(Ttl);

/// The most old sessions that one `update` forgets: more than one, so that it catches up.
const FORGOTTEN_MAX: usize = 4;

impl Ttl {
    fn forget_old(&mut self, now_ms: u64) {
        for _ in 0..FORGOTTEN_MAX {
            let Some(oldest) = self.registered.front() else { return };
            let &Registered { key, session, until_ms } = self.registered.get(oldest);
            if now_ms < until_ms {
                return;
            }
            self.delete(key);
            host::evict(session);
        }
    }
}

impl SessionCache for Ttl {
    fn init(args: InitArgs) -> Result<Self, String> {
        let ttl_ms = match args.property("ttl-ms") {
            Some(text) => text.parse().map_err(|_| format!("property `ttl-ms` is not a number: {text}"))?,
            None => args.lifetime_ms / 2,
        };
        let max = args.sessions_max;
        Ok(Self { ttl_ms, places: ByPartial::with_capacity(max), registered: Recency::with_capacity(max) })
    }

    fn update(&mut self, key: Key, session: Session) {
        let now_ms = host::now_ms();
        self.delete(key);
        self.forget_old(now_ms);
        // A rebuilt instance sees old sessions again: their time runs from their creation.
        let created_ms = host::describe(session).map_or(now_ms, |info| info.created_ms);
        let until_ms = created_ms.saturating_add(self.ttl_ms);
        self.places.insert(key, self.registered.push_back(Registered { key, session, until_ms }));
    }

    fn delete(&mut self, key: Key) {
        if let Some(place) = self.places.remove(key) {
            self.registered.remove(place);
        }
    }

    fn lookup(&mut self, key: Key) -> Option<Session> {
        let found = self.registered.get(*self.places.get(key)?);
        (host::now_ms() < found.until_ms).then_some(found.session)
    }

    fn select_session(&mut self, partial: PartialKey) -> Vec<Session> {
        let now_ms = host::now_ms();
        let of_partial = self.places.of_partial(partial).take(SELECTED_MAX);
        let all = of_partial.map(|(_, place)| self.registered.get(*place));
        all.filter(|own| now_ms < own.until_ms).map(|own| own.session).collect()
    }

    fn size(&self) -> u64 {
        self.registered.len() as u64
    }

    fn foldl(&self, fold: &mut Fold) {
        self.registered.iter().for_each(|own| fold.apply(own.key, own.session));
    }
}

#[cfg(test)]
mod tests {
    use innkeeper_guest::{
        host::SessionInfo,
        testing::{self, key},
    };

    use super::*;

    const KEY: Key = key(1, 1);
    const OTHER: Key = key(1, 2);

    fn init(ttl_ms: &str) -> Result<Ttl, String> {
        testing::set_now_ms(0);
        testing::open(9, &[("ttl-ms", ttl_ms)])
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
    fn one_update_forgets_the_four_oldest() {
        let mut ttl = init("100").unwrap();
        (1..=6).for_each(|id| ttl.update(key(1, 9 - id), Session(id)));
        testing::set_now_ms(100);
        ttl.update(KEY, Session(7));
        assert_eq!(testing::seen().evicted, [1, 2, 3, 4].map(Session));
    }

    #[test]
    fn a_rebuilt_instance_keeps_a_sessions_time() {
        let mut ttl = init("100").unwrap();
        testing::set_info(Session(1), SessionInfo { stored_bytes: 1, created_ms: 50, expires_ms: 1_000 });
        testing::set_now_ms(120);
        ttl.update(KEY, Session(1));
        assert_eq!(ttl.lookup(KEY), Some(Session(1)));
        testing::set_now_ms(150);
        assert_eq!(ttl.lookup(KEY), None);
    }

    #[test]
    fn without_a_setting_it_is_half_the_lifetime() {
        let mut ttl: Ttl = testing::open(9, &[]).unwrap();
        testing::set_now_ms(0);
        ttl.update(KEY, Session(1));
        testing::set_now_ms(testing::LIFETIME_MS / 2 - 1);
        assert_eq!(ttl.lookup(KEY), Some(Session(1)));
        testing::set_now_ms(testing::LIFETIME_MS / 2);
        assert_eq!(ttl.lookup(KEY), None);
    }

    #[test]
    fn a_setting_that_is_no_number_is_refused() {
        let refusal = init("soon").err();
        assert_eq!(refusal.as_deref(), Some("property `ttl-ms` is not a number: soon"));
    }
}
