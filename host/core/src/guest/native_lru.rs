//! The native implementation of the eight callbacks: the floor in benchmarks, the double in tests.

use std::{
    collections::{BTreeSet, HashMap},
    hash::BuildHasherDefault,
    sync::Arc,
};

use crate::{
    contract::{
        callbacks::{Call, Callbacks, Guest, Host},
        fault::Fault,
        limits::Limits,
        scalar::{Acc, CacheRef, Claim, Element, FoldFun, InitArgs, Key, PartialKey, Session, SessionId},
    },
    vault::{name::KeyHasher, order::Order},
};

/// A guest in the host's own code, which forgets the least recently used session. It keeps at most `max-sessions`.
#[derive(Clone, Copy, Debug, Default)]
pub struct NativeLru;

impl Guest for NativeLru {
    fn instantiate(&self, _: Arc<dyn Host>, _: &Limits) -> Result<Box<dyn Callbacks>, Fault> {
        Ok(Box::new(Caches(Vec::new())))
    }
}

/// The caches of one instance; a cache-ref is a place here.
struct Caches(Vec<Lru>);

impl Caches {
    fn of(&mut self, cache: CacheRef) -> Result<&mut Lru, Fault> {
        let lru = usize::try_from(cache.0).ok().and_then(|place| self.0.get_mut(place));
        lru.ok_or_else(|| Fault::Trap { reason: format!("there is no cache {}", cache.0) })
    }
}

struct Lru {
    sessions_max: usize,
    slots: Vec<(Key, Session)>,
    free: Vec<u32>,
    index: HashMap<Key, u32, BuildHasherDefault<KeyHasher>>,
    /// The same keys, in the order of their partial keys.
    keys: BTreeSet<Key>,
    /// Least recently used first.
    recency: Order,
}

impl Lru {
    fn forget(&mut self, key: Key) {
        let Some(slot) = self.index.remove(&key) else { return };
        self.keys.remove(&key);
        self.recency.remove(slot);
        self.free.push(slot);
    }

    fn remember(&mut self, key: Key, session: Session) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((key, session));
            u32::try_from(self.slots.len() - 1).expect("a vault has fewer sessions than 2^24")
        });
        self.slots[slot as usize] = (key, session);
        self.index.insert(key, slot);
        self.keys.insert(key);
        self.recency.push_back(slot);
    }
}

impl Callbacks for Caches {
    fn init(&mut self, _: &mut Call, args: &InitArgs) -> Result<CacheRef, Fault> {
        self.0.push(Lru {
            sessions_max: args.sessions_max as usize,
            slots: Vec::new(),
            free: Vec::new(),
            index: HashMap::default(),
            keys: BTreeSet::new(),
            recency: Order::new(),
        });
        Ok(CacheRef(self.0.len() as u64 - 1))
    }

    fn terminate(&mut self, _: &mut Call, cache: CacheRef) -> Result<(), Fault> {
        let lru = self.of(cache)?;
        let keys = std::mem::take(&mut lru.keys);
        keys.into_iter().for_each(|key| lru.forget(key));
        Ok(())
    }

    fn update(&mut self, call: &mut Call, cache: CacheRef, key: Key, session: Session) -> Result<(), Fault> {
        let lru = self.of(cache)?;
        lru.forget(key);
        while lru.index.len() >= lru.sessions_max {
            let Some(oldest) = lru.recency.front() else { break };
            let (key, session) = lru.slots[oldest as usize];
            lru.forget(key);
            call.evict(session.into())?;
        }
        lru.remember(key, session);
        Ok(())
    }

    fn delete(&mut self, _: &mut Call, cache: CacheRef, key: Key) -> Result<(), Fault> {
        self.of(cache)?.forget(key);
        Ok(())
    }

    fn lookup(&mut self, _: &mut Call, cache: CacheRef, key: Key) -> Result<Option<Claim>, Fault> {
        let lru = self.of(cache)?;
        let Some(slot) = lru.index.get(&key).copied() else { return Ok(None) };
        lru.recency.remove(slot);
        lru.recency.push_back(slot);
        Ok(Some(lru.slots[slot as usize].1.into()))
    }

    fn select_session(&mut self, _: &mut Call, cache: CacheRef, partial: PartialKey) -> Result<Vec<Claim>, Fault> {
        let lru = self.of(cache)?;
        let first = Key { partial, id: SessionId(0) };
        let last = Key { partial, id: SessionId(u64::MAX) };
        let claim = |key| Claim::from(lru.slots[lru.index[key] as usize].1);
        Ok(lru.keys.range(first..=last).map(claim).collect())
    }

    fn size(&mut self, _: &mut Call, cache: CacheRef) -> Result<u64, Fault> {
        Ok(self.of(cache)?.index.len() as u64)
    }

    fn foldl(&mut self, call: &mut Call, fun: FoldFun, mut acc: Acc, cache: CacheRef) -> Result<Acc, Fault> {
        let lru = self.of(cache)?;
        for slot in lru.recency.iter() {
            let (key, session) = lru.slots[slot as usize];
            acc = call.apply(fun, Element { key, session: session.into() }, acc)?;
        }
        Ok(acc)
    }
}
