//! The native implementation of the eight callbacks: the floor in benchmarks, the double in tests.

use std::{
    collections::{BTreeSet, HashMap},
    hash::BuildHasherDefault,
    sync::Arc,
};

use crate::{
    Acc, CacheRef, Call, Callbacks, Claim, Element, Fault, FoldFun, Guest, Host, InitArgs, Key, Limits, PartialKey,
    Session, SessionId, order::Order, vault::KeyHasher,
};

/// A guest in the host's own code, which forgets the least recently used session. It keeps at most `max-sessions`.
#[derive(Clone, Copy, Debug, Default)]
pub struct NativeLru;

impl Guest for NativeLru {
    fn instantiate(&self, _: Arc<dyn Host>, _: &Limits) -> Result<Box<dyn Callbacks>, Fault> {
        Ok(Box::new(Lru {
            sessions_max: 0,
            slots: Vec::new(),
            free: Vec::new(),
            index: HashMap::default(),
            keys: BTreeSet::new(),
            recency: Order::new(),
        }))
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

impl Callbacks for Lru {
    fn init(&mut self, _: &mut Call, args: &InitArgs) -> Result<CacheRef, Fault> {
        self.sessions_max = args.sessions_max as usize;
        Ok(CacheRef(0))
    }

    fn terminate(&mut self, _: &mut Call, _: CacheRef) -> Result<(), Fault> {
        Ok(())
    }

    fn update(&mut self, call: &mut Call, _: CacheRef, key: Key, session: Session) -> Result<(), Fault> {
        self.forget(key);
        while self.index.len() >= self.sessions_max {
            let Some(oldest) = self.recency.front() else { break };
            let (key, session) = self.slots[oldest as usize];
            self.forget(key);
            call.evict(session.into())?;
        }
        self.remember(key, session);
        Ok(())
    }

    fn delete(&mut self, _: &mut Call, _: CacheRef, key: Key) -> Result<(), Fault> {
        self.forget(key);
        Ok(())
    }

    fn lookup(&mut self, _: &mut Call, _: CacheRef, key: Key) -> Result<Option<Claim>, Fault> {
        let Some(slot) = self.index.get(&key) else { return Ok(None) };
        self.recency.remove(*slot);
        self.recency.push_back(*slot);
        Ok(Some(self.slots[*slot as usize].1.into()))
    }

    fn select_session(&mut self, _: &mut Call, _: CacheRef, partial: PartialKey) -> Result<Vec<Claim>, Fault> {
        let first = Key { partial, id: SessionId(0) };
        let last = Key { partial, id: SessionId(u64::MAX) };
        let claim = |key| Claim::from(self.slots[self.index[key] as usize].1);
        Ok(self.keys.range(first..=last).map(claim).collect())
    }

    fn size(&mut self, _: &mut Call, _: CacheRef) -> Result<u64, Fault> {
        Ok(self.index.len() as u64)
    }

    fn foldl(&mut self, call: &mut Call, fun: FoldFun, mut acc: Acc, _: CacheRef) -> Result<Acc, Fault> {
        for slot in self.recency.iter() {
            let (key, session) = self.slots[slot as usize];
            acc = call.apply(fun, Element { key, session: session.into() }, acc)?;
        }
        Ok(acc)
    }
}
