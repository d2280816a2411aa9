//! A guest that keeps at most `quota` sessions of each partial key, 16 unless the operator says otherwise: one more,
//! and the oldest of that partial key goes. The host limits the total.

use std::collections::BTreeMap;

use innkeeper_guest::{Fold, InitArgs, Key, PartialKey, SELECTED_MAX, Session, SessionCache, host};

/// The sessions, findable by key, and by how long ago they were registered under their partial key.
pub struct Quota {
    quota: usize,
    /// The registrations so far.
    registered: u64,
    /// The last registration of each key.
    numbers: BTreeMap<Key, u64>,
    /// The sessions of each partial key that has any, by their registrations.
    partials: BTreeMap<PartialKey, BTreeMap<u64, (Key, Session)>>,
}

innkeeper_guest::export!(Quota);

const QUOTA_DEFAULT: usize = 16;

impl SessionCache for Quota {
    fn init(args: InitArgs) -> Result<Self, String> {
        let quota = match args.property("quota") {
            None => QUOTA_DEFAULT,
            Some(text) => match text.parse() {
                Ok(quota) if quota > 0 => quota,
                _ => return Err(format!("property `quota` is not a number above zero: {text}")),
            },
        };
        Ok(Self { quota, registered: 0, numbers: BTreeMap::new(), partials: BTreeMap::new() })
    }

    fn update(&mut self, key: Key, session: Session) {
        self.delete(key);
        let own = self.partials.entry(key.partial).or_default();
        if own.len() >= self.quota
            && let Some((_, (oldest, session))) = own.pop_first()
        {
            self.numbers.remove(&oldest);
            host::evict(session);
        }
        self.registered += 1;
        own.insert(self.registered, (key, session));
        self.numbers.insert(key, self.registered);
    }

    fn delete(&mut self, key: Key) {
        if let Some(number) = self.numbers.remove(&key)
            && let Some(own) = self.partials.get_mut(&key.partial)
        {
            own.remove(&number);
            if own.is_empty() {
                self.partials.remove(&key.partial);
            }
        }
    }

    fn lookup(&mut self, key: Key) -> Option<Session> {
        let number = self.numbers.get(&key)?;
        self.partials.get(&key.partial)?.get(number).map(|(_, session)| *session)
    }

    /// The newest first: they live longest.
    fn select_session(&mut self, partial: PartialKey) -> Vec<Session> {
        let own = self.partials.get(&partial).into_iter().flat_map(|own| own.values().rev());
        own.map(|(_, session)| *session).take(SELECTED_MAX).collect()
    }

    fn size(&self) -> u64 {
        self.numbers.len() as u64
    }

    fn foldl(&self, fold: &mut Fold) {
        let all = self.partials.values().flat_map(BTreeMap::values);
        all.for_each(|(key, session)| fold.apply(*key, *session));
    }
}

#[cfg(test)]
mod tests {
    use innkeeper_guest::testing::{self, key};

    use super::*;

    fn quota(quota: &str) -> Result<Quota, String> {
        testing::open(1_000, &[("quota", quota)])
    }

    #[test]
    fn the_oldest_of_a_partial_key_goes() {
        let mut quota = quota("2").unwrap();
        quota.update(key(2, 1), Session(21));
        quota.update(key(1, 1), Session(11));
        quota.update(key(1, 2), Session(12));
        assert_eq!(quota.lookup(key(1, 1)), Some(Session(11)), "which does not make it newer");
        quota.update(key(1, 3), Session(13));
        assert_eq!(testing::seen().evicted, [Session(11)]);
        assert_eq!(quota.lookup(key(1, 1)), None);
        assert_eq!(quota.select_session(PartialKey(1)), [Session(13), Session(12)]);
        assert_eq!(quota.select_session(PartialKey(2)), [Session(21)]);
    }

    #[test]
    fn a_key_registered_again_is_new_and_its_old_session_dead() {
        let mut quota = quota("2").unwrap();
        quota.update(key(1, 1), Session(11));
        quota.update(key(1, 2), Session(12));
        quota.update(key(1, 1), Session(13));
        assert!(testing::seen().evicted.is_empty());
        quota.update(key(1, 3), Session(14));
        assert_eq!(testing::seen().evicted, [Session(12)]);
        assert_eq!((quota.lookup(key(1, 1)), quota.size()), (Some(Session(13)), 2));
    }

    #[test]
    fn a_setting_that_is_no_number_above_zero_is_refused() {
        for text in ["0", "", "-1", "many"] {
            let refusal = format!("property `quota` is not a number above zero: {text}");
            assert_eq!(quota(text).err(), Some(refusal));
        }
    }

    #[test]
    fn it_agrees_with_a_list() {
        let mut quota: Quota = testing::open(1_000, &[]).unwrap();
        let mut list: Vec<(Key, Session)> = Vec::new();
        let mut number = 1_u64;
        for step in 1..5_000 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let key = key(1 + (number >> 33) % 5, 1 + (number >> 40) % 40);
            let known = list.iter().position(|(own, _)| *own == key);
            assert_eq!(quota.lookup(key), known.map(|place| list[place].1));
            list.retain(|(own, _)| *own != key);
            if number >> 62 == 0 {
                quota.delete(key);
                continue;
            }
            quota.update(key, Session(step));
            let of_partial = || list.iter().filter(|(own, _)| own.partial == key.partial);
            let victim = of_partial().next().copied().filter(|_| of_partial().count() == QUOTA_DEFAULT);
            assert_eq!(testing::seen().evicted, Vec::from_iter(victim.map(|(_, session)| session)));
            list.retain(|element| Some(*element) != victim);
            list.push((key, Session(step)));
            assert_eq!(quota.size(), list.len() as u64);
        }
        // The fold goes partial key by partial key, and so does a stable sort.
        list.sort_by_key(|(key, _)| key.partial);
        assert_eq!(testing::fold(&quota), list);
    }
}
