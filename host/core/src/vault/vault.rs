//! The vault: every live session of one cache, filed under its real name, and the judge of every claim.
//!
//! A plain data structure: no lock, no thread, no clock; callers pass the time. The vault never asks a guest anything,
//! and does not know which guest decides about its sessions.

use std::{collections::HashMap, hash::BuildHasherDefault, time::Duration};

use crate::{
    contract::{
        error::Refusal,
        limits::SESSIONS_MAX,
        scalar::{Claim, Key, Session, SessionInfo},
    },
    vault::{
        name::{KeyHasher, Name, OwnedName},
        order::Order,
        secret::Value,
    },
};

/// The sessions that go when a vault is full and the guest has not chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The sessions registered longest ago, as many as needed.
    #[default]
    EvictOldest,
    /// Every session but the one just registered.
    InvalidateAll,
}

/// The bounds of a vault.
#[derive(Clone, Copy, Debug)]
pub struct VaultBounds {
    /// Sessions, from 1 to [`VaultBounds::SESSIONS_END`] - 1.
    pub sessions: u32,
    /// One session with its name, in bytes.
    pub session_bytes: usize,
    /// All sessions with their names, in bytes.
    pub bytes: usize,
    /// The life of a session, in milliseconds.
    pub lifetime_ms: u64,
    /// The sessions that go when the vault is full.
    pub overflow: Overflow,
}

impl VaultBounds {
    /// One past the largest number of sessions a vault can hold.
    pub const SESSIONS_END: u32 = SESSIONS_MAX + 1;
}

/// The terms on which a session is registered: the state of the vault when the session's handshake began, and the
/// longest life of the session where the vault would keep it longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    epoch: u64,
    lifetime_ms: u64,
    expires_ms: u64,
    /// The time of its first registration, if another cache has done that.
    created_ms: Option<u64>,
}

impl Terms {
    /// No longer than `lifetime` from its registration on.
    #[must_use]
    pub fn lifetime(self, lifetime: Duration) -> Self {
        let lifetime_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        Self { lifetime_ms: self.lifetime_ms.min(lifetime_ms), ..self }
    }

    /// No longer than until `expires_ms` on the cache's clock. A session that comes of another one inherits its end, so
    /// that a chain of them has one.
    #[must_use]
    pub fn until(self, expires_ms: u64) -> Self {
        Self { expires_ms: self.expires_ms.min(expires_ms), ..self }
    }

    /// Registered at `created_ms` on the cache's clock, in another cache, from where its life counts.
    #[must_use]
    pub fn since(self, created_ms: u64) -> Self {
        Self { created_ms: Some(created_ms), ..self }
    }
}

/// A session that was taken out and given away.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken<V> {
    /// The session's number, which is dead now.
    pub session: Session,
    /// The session.
    pub value: V,
    /// The time of its registration, on the cache's clock.
    pub created_ms: u64,
    /// The end of its life, had it stayed, on the cache's clock.
    pub expires_ms: u64,
}

/// The cause for which the vault has no session under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotHeld {
    /// None is filed under it.
    Absent,
    /// The session under it is past its life.
    Expired,
}

/// The sessions that [`Vault::commit`] took out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TakenOut {
    /// Sessions that the guest chose. It knows.
    pub evicted: Vec<Key>,
    /// Sessions that the overflow policy chose. The guest is to be told.
    pub victims: Vec<Key>,
}

/// A live session, borrowed from the vault.
pub struct Held<'a, V> {
    /// The session's number.
    pub session: Session,
    /// The key that the guest sees it under.
    pub key: Key,
    /// The name that it is filed under.
    pub name: Name<'a>,
    /// The session itself.
    pub value: &'a V,
    /// The end of its life, on the cache's clock.
    pub expires_ms: u64,
}

/// A session's number is its slot's generation and the slot's index. A slot whose generations are used up is retired,
/// so that no number is ever issued twice.
const SLOT_BITS: u32 = 24;
const GENERATION_END: u32 = 1 << (53 - SLOT_BITS);

struct Slot<V> {
    generation: u32,
    entry: Option<Entry<V>>,
    /// The key of the generation before.
    last: Option<Key>,
}

struct Entry<V> {
    key: Key,
    name: OwnedName,
    value: V,
    bytes: usize,
    created_ms: u64,
    expires_ms: u64,
    /// Set by `commit`; before that only `describe` sees the entry.
    committed: bool,
}

/// The store of one cache's live sessions. Values and ids are wiped as they leave.
pub struct Vault<V> {
    bounds: VaultBounds,
    slots: Vec<Slot<V>>,
    free: Vec<u32>,
    /// Committed entries, each in `order` as well.
    index: HashMap<Key, u32, BuildHasherDefault<KeyHasher>>,
    order: Order,
    bytes: usize,
    sweep_next: usize,
    /// The number of revocations of everything.
    epoch: u64,
}

impl<V: Value> Vault<V> {
    /// An empty vault; memory is taken as sessions come.
    pub fn new(bounds: VaultBounds) -> Self {
        Self {
            bounds,
            slots: Vec::new(),
            free: Vec::new(),
            index: HashMap::default(),
            order: Order::new(),
            bytes: 0,
            sweep_next: 0,
            epoch: 0,
        }
    }

    /// The terms of a session whose handshake begins now: as long a life as the vault gives.
    pub fn terms(&self) -> Terms {
        Terms { epoch: self.epoch, lifetime_ms: u64::MAX, expires_ms: u64::MAX, created_ms: None }
    }

    /// The number of sessions, expired ones that no sweep has reached included.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// True if the vault is empty.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The memory of all sessions with their names, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes room for a session that no reader sees yet, and numbers it. [`Vault::commit`] must follow. The session
    /// lives as long as the vault's bounds and its terms say, whichever is shorter.
    ///
    /// # Errors
    /// A session that is too large, past its life, or older than the last revocation, or a vault that has run out of
    /// numbers. The value is wiped.
    pub fn admit(
        &mut self,
        key: Key,
        name: OwnedName,
        value: V,
        terms: Terms,
        now_ms: u64,
    ) -> Result<Session, Refusal> {
        let bytes = name.stored_bytes() + value.stored_bytes();
        let limit = self.bounds.session_bytes.min(self.bounds.bytes);
        if bytes > limit {
            return Err(Refusal::TooLarge { bytes, limit });
        }
        if terms.epoch != self.epoch {
            return Err(Refusal::Revoked);
        }
        let lifetime_ms = self.bounds.lifetime_ms.min(terms.lifetime_ms);
        let created_ms = terms.created_ms.map_or(now_ms, |created_ms| created_ms.min(now_ms));
        let expires_ms = created_ms.saturating_add(lifetime_ms).min(terms.expires_ms);
        if expires_ms <= now_ms {
            return Err(Refusal::Expired);
        }
        let entry = Entry { key, name, value, bytes, created_ms, expires_ms, committed: false };
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() <= VaultBounds::SESSIONS_END as usize => {
                self.slots.push(Slot { generation: 1, entry: None, last: None });
                u32::try_from(self.slots.len() - 1).expect("slot numbers have 24 bits")
            }
            None => return Err(Refusal::NoSlot),
        };
        let slot = &mut self.slots[index as usize];
        slot.entry = Some(entry);
        Ok(number(index, slot.generation))
    }

    /// Makes an admitted session live in place of the one under its key, takes out what the guest evicted, and then
    /// whatever the overflow policy says until the bounds hold. O(1) and O(1) for each session that goes.
    pub fn commit(&mut self, session: Session, evictions: &[Claim]) -> TakenOut {
        let mut out = TakenOut::default();
        if let Some(index) = self.find(session.into())
            && let Some(entry) = &mut self.slots[index as usize].entry
            && !entry.committed
        {
            entry.committed = true;
            let (key, bytes) = (entry.key, entry.bytes);
            if let Some(old) = self.index.insert(key, index) {
                self.order.remove(old);
                self.bytes -= self.release(old).bytes;
            }
            self.order.push_back(index);
            self.bytes += bytes;
        }
        out.evicted = evictions.iter().filter_map(|claim| self.evict(*claim)).collect();
        out.victims = self.overflow();
        out
    }

    /// Takes out the session that a guest named, and says what it was filed under.
    pub fn evict(&mut self, claim: Claim) -> Option<Key> {
        let index = self.find(claim)?;
        let entry = self.slots[index as usize].entry.as_ref()?;
        entry.committed.then(|| self.take_out(index).key)
    }

    fn overflow(&mut self) -> Vec<Key> {
        let over = |vault: &Self| vault.len() > vault.bounds.sessions as usize || vault.bytes > vault.bounds.bytes;
        let mut victims = Vec::new();
        let all = over(self) && self.bounds.overflow == Overflow::InvalidateAll;
        while self.len() > 1 && (all || over(self)) {
            let Some(oldest) = self.order.front() else { break };
            victims.push(self.take_out(oldest).key);
        }
        victims
    }

    /// Tells which live session is under a name. `key` must be the name's fingerprints.
    pub fn probe(&self, key: Key, name: Name<'_>, now_ms: u64) -> Result<Session, NotHeld> {
        self.find_under(key, name, now_ms).map(|held| held.session)
    }

    /// The live session under a name. `key` must be the name's fingerprints.
    #[inline(always)]
    pub fn find_under(&self, key: Key, name: Name<'_>, now_ms: u64) -> Result<Held<'_, V>, NotHeld> {
        let (index, entry) = self.under(key, name).ok_or(NotHeld::Absent)?;
        let Entry { expires_ms, value, .. } = entry;
        if *expires_ms <= now_ms {
            return Err(NotHeld::Expired);
        }
        let session = number(index, self.slots[index as usize].generation);
        Ok(Held { session, key, name: entry.name.name(), value, expires_ms: *expires_ms })
    }

    /// Judges a claim: the session, if it is live, unexpired, and filed under this very name.
    pub fn redeem(&self, claim: Claim, key: Key, name: Name<'_>, now_ms: u64) -> Option<&V> {
        let index = self.find(claim)?;
        let (own_index, entry) = self.under(key, name)?;
        (index == own_index && entry.expires_ms > now_ms).then_some(&entry.value)
    }

    /// True if a claim names the session under a key, or one that lately was. A guest that is told late of a change may
    /// name either.
    pub(crate) fn is_or_was(&self, claim: Claim, key: Key) -> bool {
        self.key_of(claim) == Some(key)
    }

    /// The key of the session that a claim names, or of the one that it lately named.
    pub(crate) fn key_of(&self, claim: Claim) -> Option<Key> {
        let index = usize::try_from(claim.0 & u64::from(VaultBounds::SESSIONS_END)).ok()?;
        let slot = self.slots.get(index)?;
        let generation = u64::from(slot.generation);
        match claim.0 >> SLOT_BITS {
            own if own == generation => slot.entry.as_ref().map(|entry| entry.key),
            own if own + 1 == generation => slot.last,
            _ => None,
        }
    }

    /// Takes out the session under a name and gives it away: of two callers at most one gets it.
    pub fn take(&mut self, key: Key, name: Name<'_>, now_ms: u64) -> Result<Taken<V>, NotHeld> {
        let session = self.probe(key, name, now_ms)?;
        let index = self.find(session.into()).ok_or(NotHeld::Absent)?;
        let Entry { value, created_ms, expires_ms, .. } = self.take_out(index);
        Ok(Taken { session, value, created_ms, expires_ms })
    }

    /// Takes out every session, admitted ones included, and refuses those whose handshake has already begun. Gives
    /// their keys. O(n).
    pub fn revoke(&mut self) -> Vec<Key> {
        self.epoch += 1;
        let mut keys = Vec::with_capacity(self.len());
        for index in 0..self.slots.len() {
            let Some(entry) = &self.slots[index].entry else { continue };
            let (key, is_committed) = (entry.key, entry.committed);
            let index = u32::try_from(index).expect("slot numbers have 24 bits");
            match is_committed {
                true => drop(self.take_out(index)),
                // Its guest may have been told of it.
                false => drop(self.release(index)),
            }
            keys.push(key);
        }
        keys
    }

    /// Takes out the session under a name. False if the vault has none.
    pub fn remove(&mut self, key: Key, name: Name<'_>) -> bool {
        let Some((index, _)) = self.under(key, name) else { return false };
        self.take_out(index);
        true
    }

    /// The live session that a claim names, whatever it is filed under.
    pub fn held(&self, claim: Claim, now_ms: u64) -> Option<Held<'_, V>> {
        let index = self.find(claim)?;
        let slot = &self.slots[index as usize];
        let entry = slot.entry.as_ref()?;
        (entry.committed && entry.expires_ms > now_ms).then(|| Held {
            session: number(index, slot.generation),
            key: entry.key,
            name: entry.name.name(),
            value: &entry.value,
            expires_ms: entry.expires_ms,
        })
    }

    /// Tells what may be told of a session, admitted ones included.
    pub fn describe(&self, claim: Claim) -> Option<SessionInfo> {
        let index = self.find(claim)?;
        let entry = self.slots[index as usize].entry.as_ref()?;
        Some(SessionInfo {
            stored_bytes: u32::try_from(entry.bytes).unwrap_or(u32::MAX),
            created_ms: entry.created_ms,
            expires_ms: entry.expires_ms,
        })
    }

    /// Tells which session is under a key, expired or not.
    pub fn under_key(&self, key: Key) -> Option<Session> {
        let index = *self.index.get(&key)?;
        Some(number(index, self.slots[index as usize].generation))
    }

    /// Every session with its key, oldest registration first. O(n) to walk.
    pub fn oldest_first(&self) -> impl Iterator<Item = (Key, Session)> + '_ {
        self.order.iter().filter_map(|index| {
            let slot = &self.slots[index as usize];
            slot.entry.as_ref().map(|entry| (entry.key, number(index, slot.generation)))
        })
    }

    /// Looks at the next `slots` slots for sessions past their life, takes those out, and gives their keys. Repeated
    /// calls go round the whole vault.
    pub fn sweep(&mut self, now_ms: u64, slots: usize) -> Vec<Key> {
        let mut expired = Vec::new();
        for _ in 0..slots.min(self.slots.len()) {
            let index = self.sweep_next % self.slots.len();
            self.sweep_next = index + 1;
            let entry = self.slots[index].entry.as_ref();
            if entry.is_some_and(|entry| entry.committed && entry.expires_ms <= now_ms) {
                let index = u32::try_from(index).expect("slot numbers have 24 bits");
                expired.push(self.take_out(index).key);
            }
        }
        expired
    }

    /// The number of slots: the most sessions that the vault has ever held at once.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Gives back all memory. For a vault whose cache has ended: numbers start anew, and nothing is admitted any more.
    pub(crate) fn reset(&mut self) {
        *self = Self { epoch: self.epoch + 1, ..Self::new(self.bounds) };
    }

    #[inline(always)]
    fn under(&self, key: Key, name: Name<'_>) -> Option<(u32, &Entry<V>)> {
        let index = *self.index.get(&key)?;
        let entry = self.slots[index as usize].entry.as_ref()?;
        (entry.name.name() == name).then_some((index, entry))
    }

    /// The slot of a number that is not dead.
    fn find(&self, claim: Claim) -> Option<u32> {
        let index = u32::try_from(claim.0 & u64::from(VaultBounds::SESSIONS_END)).ok()?;
        let slot = self.slots.get(index as usize)?;
        (claim.0 >> SLOT_BITS == u64::from(slot.generation) && slot.entry.is_some()).then_some(index)
    }

    /// Takes a committed entry out of everything.
    fn take_out(&mut self, index: u32) -> Entry<V> {
        self.order.remove(index);
        let entry = self.release(index);
        self.index.remove(&entry.key);
        self.bytes -= entry.bytes;
        entry
    }

    /// Empties a slot, so that its number is dead.
    fn release(&mut self, index: u32) -> Entry<V> {
        let slot = &mut self.slots[index as usize];
        let entry = slot.entry.take().expect("only full slots are released");
        slot.last = Some(entry.key);
        slot.generation += 1;
        if slot.generation < GENERATION_END {
            self.free.push(index);
        }
        entry
    }
}

fn number(index: u32, generation: u32) -> Session {
    Session(u64::from(generation) << SLOT_BITS | u64::from(index))
}
