//! A guest that forgets the least recently used session once the vault is full.

use innkeeper_guest::{
    Fold, InitArgs, Key, PartialKey, SELECTED_MAX, Session, SessionCache, host,
    index::{ByPartial, Place, Recency},
};

/// The sessions, findable by key, by partial key, and by how long ago they were used.
pub struct Lru {
    sessions_max: usize,
    places: ByPartial<Place>,
    recency: Recency<(Key, Session)>,
}

innkeeper_guest::export!(Lru);

impl SessionCache for Lru {
    fn init(args: InitArgs) -> Result<Self, String> {
        let sessions_max = args.sessions_max;
        let (places, recency) = (ByPartial::with_capacity(sessions_max), Recency::with_capacity(sessions_max));
        Ok(Self { sessions_max, places, recency })
    }

    fn update(&mut self, key: Key, session: Session) {
        self.delete(key);
        if self.recency.len() >= self.sessions_max
            && let Some(oldest) = self.recency.front()
        {
            let (key, session) = *self.recency.get(oldest);
            self.delete(key);
            host::evict(session);
        }
        self.places.insert(key, self.recency.push_back((key, session)));
    }

    fn delete(&mut self, key: Key) {
        if let Some(place) = self.places.remove(key) {
            self.recency.remove(place);
        }
    }

    fn lookup(&mut self, key: Key) -> Option<Session> {
        let place = *self.places.get(key)?;
        self.recency.move_to_back(place);
        Some(self.recency.get(place).1)
    }

    fn select_session(&mut self, partial: PartialKey) -> Vec<Session> {
        let of_partial = self.places.of_partial(partial).take(SELECTED_MAX);
        of_partial.map(|(_, place)| self.recency.get(*place).1).collect()
    }

    fn size(&self) -> u64 {
        self.recency.len() as u64
    }

    fn foldl(&self, fold: &mut Fold) {
        self.recency.iter().for_each(|(key, session)| fold.apply(*key, *session));
    }
}

#[cfg(test)]
mod tests {
    use innkeeper_guest::testing::{self, key};

    use super::*;

    fn lru(sessions_max: usize) -> Lru {
        testing::open(sessions_max, &[]).unwrap()
    }

    #[test]
    fn the_least_recently_used_session_goes() {
        let mut lru = lru(2);
        lru.update(key(1, 1), Session(11));
        lru.update(key(1, 2), Session(12));
        assert_eq!(lru.lookup(key(1, 1)), Some(Session(11)));
        lru.update(key(1, 3), Session(13));
        assert_eq!(testing::seen().evicted, [Session(12)]);
        assert_eq!(lru.lookup(key(1, 2)), None);
        assert_eq!(testing::fold(&lru), [(key(1, 1), Session(11)), (key(1, 3), Session(13))]);
    }

    #[test]
    fn a_key_stands_for_its_last_session() {
        let mut lru = lru(2);
        lru.update(key(1, 1), Session(11));
        lru.update(key(1, 1), Session(12));
        assert_eq!((lru.lookup(key(1, 1)), lru.size()), (Some(Session(12)), 1));
        assert!(testing::seen().evicted.is_empty(), "the vault has dropped the old session by itself");
    }

    #[test]
    fn select_gives_the_sessions_of_one_partial_key() {
        let mut lru = lru(9);
        lru.update(key(2, 7), Session(27));
        lru.update(key(1, 9), Session(19));
        lru.update(key(1, 3), Session(13));
        assert_eq!(lru.select_session(PartialKey(1)), [Session(13), Session(19)]);
        assert_eq!(lru.select_session(PartialKey(3)), []);
    }

    #[test]
    fn an_absent_key_is_forgotten_without_harm() {
        let mut lru = lru(2);
        lru.update(key(1, 1), Session(11));
        lru.delete(key(1, 2));
        lru.delete(key(1, 1));
        lru.delete(key(1, 1));
        assert_eq!((lru.lookup(key(1, 1)), lru.size()), (None, 0));
        assert!(testing::seen().evicted.is_empty());
    }
}
