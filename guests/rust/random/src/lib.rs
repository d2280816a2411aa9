//! A guest that forgets a random session once the vault is full. The numbers are the same in each instance, so that two
//! with the same history answer the same.

use innkeeper_guest::{Fold, InitArgs, Key, PartialKey, SELECTED_MAX, Session, SessionCache, host, index::ByPartial};

/// The sessions, findable by key, by partial key, and by a number below their count.
pub struct Random {
    sessions_max: usize,
    /// The place of each key in `sessions`.
    places: ByPartial<usize>,
    sessions: Vec<(Key, Session)>,
    numbers: Numbers,
}

innkeeper_guest::export!(Random);

impl SessionCache for Random {
    fn init(args: InitArgs) -> Result<Self, String> {
        let sessions_max = args.sessions_max;
        let (places, sessions) = (ByPartial::with_capacity(sessions_max), Vec::with_capacity(sessions_max));
        Ok(Self { sessions_max, places, sessions, numbers: Numbers(1) })
    }

    fn update(&mut self, key: Key, session: Session) {
        self.delete(key);
        if self.sessions.len() >= self.sessions_max {
            let (key, session) = self.sessions[self.numbers.below(self.sessions.len())];
            self.delete(key);
            host::evict(session);
        }
        self.places.insert(key, self.sessions.len());
        self.sessions.push((key, session));
    }

    fn delete(&mut self, key: Key) {
        let Some(place) = self.places.remove(key) else { return };
        self.sessions.swap_remove(place);
        // The last session has moved to where the forgotten one was.
        if let Some((moved, _)) = self.sessions.get(place) {
            self.places.insert(*moved, place);
        }
    }

    fn lookup(&mut self, key: Key) -> Option<Session> {
        let place = *self.places.get(key)?;
        Some(self.sessions[place].1)
    }

    fn select_session(&mut self, partial: PartialKey) -> Vec<Session> {
        self.places.of_partial(partial).map(|(_, place)| self.sessions[*place].1).take(SELECTED_MAX).collect()
    }

    fn size(&self) -> u64 {
        self.sessions.len() as u64
    }

    fn foldl(&self, fold: &mut Fold) {
        self.sessions.iter().for_each(|(key, session)| fold.apply(*key, *session));
    }
}

/// Random numbers from a fixed start: splitmix64.
struct Numbers(u64);

impl Numbers {
    /// The next number, below `end`, which is above zero.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % end as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use innkeeper_guest::testing::{self, key};

    use super::*;

    fn random(sessions_max: usize) -> Random {
        testing::open(sessions_max, &[]).unwrap()
    }

    #[test]
    fn a_key_stands_for_its_last_session() {
        let mut random = random(2);
        random.update(key(1, 1), Session(11));
        random.update(key(1, 1), Session(12));
        assert_eq!((random.lookup(key(1, 1)), random.size()), (Some(Session(12)), 1));
        assert!(testing::seen().evicted.is_empty(), "the vault has dropped the old session by itself");
    }

    #[test]
    fn every_session_may_go_but_the_new_one() {
        let mut random = random(4);
        (1..=4).for_each(|id| random.update(key(1, id), Session(id)));
        let mut victims = Vec::new();
        for id in 5..500 {
            random.update(key(1, id), Session(id));
            let [Session(victim)] = testing::seen().evicted[..] else { panic!("one goes for one that comes") };
            victims.push(id - victim);
        }
        assert!(!victims.contains(&0));
        assert!((1..=8).all(|age| victims.contains(&age)), "young and old");
    }

    #[test]
    fn two_instances_agree() {
        let (mut one, mut two) = (random(50), random(50));
        for id in 1..1_000 {
            one.update(key(1, id), Session(id));
            let evicted = testing::seen().evicted;
            two.update(key(1, id), Session(id));
            assert_eq!(testing::seen().evicted, evicted);
        }
        assert_eq!(testing::fold(&one), testing::fold(&two));
    }

    #[test]
    fn it_agrees_with_a_list() {
        let mut random = random(20);
        let mut list: Vec<(Key, Session)> = Vec::new();
        let mut numbers = Numbers(7);
        for step in 1..5_000 {
            let key = key(1 + numbers.below(3) as u64, 1 + numbers.below(11) as u64);
            let known = list.iter().find(|(own, _)| *own == key).map(|(_, session)| *session);
            assert_eq!(random.lookup(key), known);
            list.retain(|(own, _)| *own != key);
            if numbers.below(4) == 0 {
                random.delete(key);
            } else {
                random.update(key, Session(step));
                let evicted = testing::seen().evicted;
                assert_eq!(evicted.len(), usize::from(list.len() == 20));
                list.retain(|(_, session)| !evicted.contains(session));
                list.push((key, Session(step)));
            }
            assert_eq!(random.size(), list.len() as u64);
        }
        let mut shown = testing::fold(&random);
        list.sort();
        shown.sort();
        assert_eq!(shown, list);
    }
}
