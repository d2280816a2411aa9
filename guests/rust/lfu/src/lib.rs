//! A guest that forgets the least frequently used session once the vault is full; of several, the least recently used.
//!
//! A session's score is its number of uses, 32 at most, plus the score of the last victim at the time of its last use.
//! So a new session begins level with the least of the others, and in time overtakes an old favourite without uses.

use std::collections::BTreeMap;

use innkeeper_guest::{Fold, InitArgs, Key, PartialKey, SELECTED_MAX, Session, SessionCache, host, index::ByPartial};

/// The sessions, findable by key, by partial key, and by how little they are used.
pub struct Lfu {
    sessions_max: usize,
    entries: ByPartial<Entry>,
    /// The next victim first.
    ranks: BTreeMap<Rank, Key>,
    /// The last victim's score.
    age: u64,
    /// Counts registrations and lookups: the time.
    now: u64,
}

struct Entry {
    session: Session,
    uses: u64,
    rank: Rank,
}

/// A session's place among the others. All differ, since no two were used at the same time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    score: u64,
    used: u64,
}

innkeeper_guest::export!(Lfu);

/// The most uses that count.
const USES_MAX: u64 = 32;

impl Lfu {
    /// The rank of a session that is used now.
    fn next_rank(&mut self, uses: u64) -> Rank {
        self.now += 1;
        Rank { score: self.age + uses, used: self.now }
    }
}

impl SessionCache for Lfu {
    fn init(args: InitArgs) -> Result<Self, String> {
        let (entries, ranks) = (ByPartial::with_capacity(args.sessions_max), BTreeMap::new());
        Ok(Self { sessions_max: args.sessions_max, entries, ranks, age: 0, now: 0 })
    }

    fn update(&mut self, key: Key, session: Session) {
        self.delete(key);
        if self.entries.len() >= self.sessions_max
            && let Some((rank, victim)) = self.ranks.pop_first()
            && let Some(entry) = self.entries.remove(victim)
        {
            self.age = rank.score;
            host::evict(entry.session);
        }
        let rank = self.next_rank(0);
        self.ranks.insert(rank, key);
        self.entries.insert(key, Entry { session, uses: 0, rank });
    }

    fn delete(&mut self, key: Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.ranks.remove(&entry.rank);
        }
    }

    fn lookup(&mut self, key: Key) -> Option<Session> {
        let uses = (self.entries.get(key)?.uses + 1).min(USES_MAX);
        let rank = self.next_rank(uses);
        let entry = self.entries.get_mut(key)?;
        self.ranks.remove(&entry.rank);
        self.ranks.insert(rank, key);
        (entry.uses, entry.rank) = (uses, rank);
        Some(entry.session)
    }

    fn select_session(&mut self, partial: PartialKey) -> Vec<Session> {
        self.entries.of_partial(partial).map(|(_, entry)| entry.session).take(SELECTED_MAX).collect()
    }

    fn size(&self) -> u64 {
        self.entries.len() as u64
    }

    fn foldl(&self, fold: &mut Fold) {
        self.entries.iter().for_each(|(key, entry)| fold.apply(key, entry.session));
    }
}

#[cfg(test)]
mod tests {
    use innkeeper_guest::testing::{self, key};

    use super::*;

    fn lfu(sessions_max: usize) -> Lfu {
        testing::open(sessions_max, &[]).unwrap()
    }

    #[test]
    fn the_least_frequently_used_session_goes() {
        let mut lfu = lfu(3);
        (1..=3).for_each(|id| lfu.update(key(1, id), Session(id)));
        [1, 1, 2, 3, 2].into_iter().for_each(|id| assert_eq!(lfu.lookup(key(1, id)), Some(Session(id))));
        lfu.update(key(1, 4), Session(4));
        assert_eq!(testing::seen().evicted, [Session(3)]);
        // The new one has as many uses as the victim had. Of 1 and 2, used as often, 1 was used longer ago.
        lfu.lookup(key(1, 4));
        lfu.lookup(key(1, 4));
        lfu.update(key(1, 5), Session(5));
        assert_eq!(testing::seen().evicted, [Session(1)]);
    }

    #[test]
    fn a_key_stands_for_its_last_session_which_is_new() {
        let mut lfu = lfu(2);
        lfu.update(key(1, 1), Session(11));
        lfu.lookup(key(1, 1));
        lfu.update(key(1, 1), Session(12));
        assert!(testing::seen().evicted.is_empty(), "the vault has dropped the old session by itself");
        assert_eq!((lfu.select_session(PartialKey(1)), lfu.size()), (vec![Session(12)], 1));
        lfu.update(key(1, 2), Session(13));
        lfu.update(key(1, 3), Session(14));
        assert_eq!(testing::seen().evicted, [Session(12)]);
    }

    #[test]
    fn an_old_favourite_goes_at_last() {
        let mut lfu = lfu(10);
        lfu.update(key(1, 1), Session(1));
        (0..100_000).for_each(|_| assert_eq!(lfu.lookup(key(1, 1)), Some(Session(1))));
        (2..20).for_each(|id| lfu.update(key(1, id), Session(id)));
        assert_eq!(lfu.lookup(key(1, 1)), Some(Session(1)));
        testing::seen();
        (20..20 + 11 * USES_MAX).for_each(|id| {
            lfu.update(key(1, id), Session(id));
            lfu.lookup(key(1, id));
        });
        assert!(testing::seen().evicted.contains(&Session(1)));
    }

    #[test]
    fn it_agrees_with_a_list() {
        let mut lfu = lfu(20);
        // Key, session, uses, age, and time of the last use.
        let mut list: Vec<(Key, Session, u64, u64, u64)> = Vec::new();
        let (mut number, mut age) = (1_u64, 0);
        for step in 1..5_000 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let key = key(1 + (number >> 33) % 3, 1 + (number >> 40) % 11);
            let known = list.iter().position(|(own, ..)| *own == key);
            if number >> 62 == 0 {
                list.retain(|(own, ..)| *own != key);
                lfu.delete(key);
            } else if number >> 63 == 0 {
                list.retain(|(own, ..)| *own != key);
                lfu.update(key, Session(step));
                let rank = |(_, own): &(usize, &(Key, Session, u64, u64, u64))| (own.2 + own.3, own.4);
                let victim = list.iter().enumerate().min_by_key(rank).map(|(place, _)| place);
                let victim = victim.filter(|_| list.len() == 20).map(|place| list.remove(place));
                victim.iter().for_each(|(_, _, uses, own, _)| age = uses + own);
                assert_eq!(testing::seen().evicted, Vec::from_iter(victim.map(|own| own.1)));
                list.push((key, Session(step), 0, age, step));
            } else {
                assert_eq!(lfu.lookup(key), known.map(|place| list[place].1));
                let used = known.map(|place| &mut list[place]);
                used.into_iter().for_each(|own| (own.2, own.3, own.4) = ((own.2 + 1).min(USES_MAX), age, step));
            }
        }
        list.sort_by_key(|own| own.0);
        assert_eq!(testing::fold(&lfu), Vec::from_iter(list.iter().map(|own| (own.0, own.1))));
    }
}
