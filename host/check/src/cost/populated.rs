//! One instance with sessions, and a record of them, which makes calls of each kind as a host does.

use std::collections::HashMap;

use innkeeper_core::{Fault, Guest, Key, Limits, Outcome, PartialKey, SCALAR_END, SessionId, SessionInfo, Solo};

use super::{
    options::PriceOptions,
    row::{Item, Sample},
    stopwatch::Stopwatch,
};
use crate::model::Numbers;

/// Sessions that the cache may hold beyond those registered, so that it is not yet full.
pub(super) const ROOM: u32 = 16;

/// An instance and the sessions that live.
pub(super) struct Populated<'a> {
    stopwatch: &'a Stopwatch,
    solo: Solo,
    sessions_max: usize,
    info: SessionInfo,
    /// In no order.
    live: Vec<(Key, u64)>,
    /// The place of a session in `live`.
    places: HashMap<u64, usize>,
    numbers: Numbers,
    registered: u64,
    /// The partial key that the next of its ten sessions goes to.
    group: PartialKey,
    /// True after a failed call, which leaves the instance useless.
    is_broken: bool,
}

/// A tenth of the sessions has partial keys of ten sessions each; the others have one each.
const GROUP: u64 = 10;
/// The size of each session in the vault, by `describe`.
const STORED_BYTES: u32 = 300;
/// The host's time.
const NOW_MS: u64 = 1_000_000;

impl<'a> Populated<'a> {
    /// Opens a cache in a fresh instance. The sample covers both.
    pub(super) fn open(
        guest: &dyn Guest,
        limits: &Limits,
        options: &PriceOptions,
        stopwatch: &'a Stopwatch,
    ) -> Result<(Self, Sample), Fault> {
        let properties = options.properties.clone();
        let (opened, ns) = stopwatch.time(|| Solo::open(guest, limits, options.role, properties, NOW_MS));
        let (solo, fuel) = opened.map_err(|unopened| unopened.fault)?;
        let lifetime_ms = u64::try_from(limits.lifetime.as_millis()).unwrap_or(u64::MAX);
        let expires_ms = NOW_MS.saturating_add(lifetime_ms);
        let mut numbers = Numbers(SEED);
        let populated = Self {
            stopwatch,
            solo,
            sessions_max: limits.sessions as usize,
            info: SessionInfo { stored_bytes: STORED_BYTES, created_ms: NOW_MS, expires_ms },
            live: Vec::new(),
            places: HashMap::new(),
            group: new_partial(&mut numbers),
            numbers,
            registered: 0,
            is_broken: false,
        };
        Ok((populated, Sample { ns, fuel, is_right: true }))
    }

    pub(super) fn held(&self) -> usize {
        self.live.len()
    }

    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    pub(super) fn memory_bytes(&self) -> Option<usize> {
        self.solo.memory_bytes()
    }

    /// Registers a session under a new key: each tenth one in a group, the others alone.
    pub(super) fn register(&mut self) -> Result<Sample, Fault> {
        let number = self.registered;
        if number.is_multiple_of(GROUP * GROUP) {
            self.group = new_partial(&mut self.numbers);
        }
        let partial = if number.is_multiple_of(GROUP) { self.group } else { new_partial(&mut self.numbers) };
        let key = new_key(&mut self.numbers, partial);
        self.update(key)
    }

    /// Fills the cache to its maximum, or as far as the guest does.
    pub(super) fn fill_up(&mut self) -> Result<(), Fault> {
        for _ in 0..self.sessions_max.saturating_sub(self.held()).min(ROOM as usize) {
            self.register()?;
        }
        Ok(())
    }

    /// Looks a session up, deletes it, and registers another. Returns the fuel of the three.
    pub(super) fn cycle(&mut self) -> Result<u64, Fault> {
        let (key, session) = self.any();
        let calls = [self.lookup(key, Some(session))?, self.delete(key, session)?, self.renew(key)?];
        Ok(calls.iter().map(|sample| sample.fuel).sum())
    }

    /// The partial keys that have so many sessions.
    pub(super) fn partials_of(&self, sessions: usize) -> Vec<PartialKey> {
        let mut counts: HashMap<PartialKey, usize> = HashMap::new();
        for (key, _) in &self.live {
            *counts.entry(key.partial).or_default() += 1;
        }
        // In the order of `live`, which is the same in every run.
        let mut partials: Vec<PartialKey> = self.live.iter().map(|(key, _)| key.partial).collect();
        partials.retain(|partial| counts.remove(partial) == Some(sessions));
        partials
    }

    /// Makes one call of a kind, and undoes its change, so that the number of sessions stays. `partials` are the
    /// partial keys to select from.
    pub(super) fn ask(&mut self, item: Item, partials: &[PartialKey]) -> Result<Sample, Fault> {
        match item {
            Item::Init => unreachable!("`init` is called when the instance is made"),
            Item::LookupHit => {
                let (key, session) = self.any();
                self.lookup(key, Some(session))
            }
            Item::LookupMiss => {
                let key = self.new_key();
                self.lookup(key, None)
            }
            Item::SelectOne => self.select(partials, 1),
            Item::SelectTen => self.select(partials, GROUP as usize),
            Item::Size => {
                let held = self.held() as u64;
                self.call(Solo::size, |size| *size == held)
            }
            Item::UpdateKnown => {
                let (key, session) = self.any();
                // The host drops the old session before it registers the new one.
                self.forget(session);
                self.update(key)
            }
            Item::Delete => {
                let (key, session) = self.any();
                let deleted = self.delete(key, session)?;
                self.renew(key)?;
                Ok(deleted)
            }
            Item::UpdateNew => {
                let (key, session) = self.any();
                self.delete(key, session)?;
                self.renew(key)
            }
            Item::UpdateFull => self.update_full(),
            Item::Foldl => {
                let held = self.held();
                self.call(Solo::foldl, |elements| elements.as_ref().is_some_and(|all| all.len() == held))
            }
            Item::Terminate => self.call(Solo::terminate, |()| true),
        }
    }

    fn lookup(&mut self, key: Key, session: Option<u64>) -> Result<Sample, Fault> {
        self.call(|solo| solo.lookup(key), |claim| claim.map(|claim| claim.0) == session)
    }

    fn select(&mut self, partials: &[PartialKey], sessions: usize) -> Result<Sample, Fault> {
        let partial = *one_of(&mut self.numbers, partials);
        self.call(|solo| solo.select_session(partial), |claims| claims.len() == sessions)
    }

    /// Registers a session in a full cache. Where the guest evicts none, the host does.
    fn update_full(&mut self) -> Result<Sample, Fault> {
        let key = self.new_key();
        let updated = self.update(key)?;
        if self.held() > self.sessions_max {
            let (victim, session) = self.any();
            self.delete(victim, session)?;
        }
        Ok(updated)
    }

    /// Registers a session instead of a deleted one, so that the partial keys of ten and of one stay as many.
    fn renew(&mut self, deleted: Key) -> Result<Sample, Fault> {
        let key = new_key(&mut self.numbers, deleted.partial);
        self.update(key)
    }

    fn update(&mut self, key: Key) -> Result<Sample, Fault> {
        self.registered += 1;
        // A host's numbers: beyond 32 bits, with a slot below.
        let session = ((self.registered << 24) | (self.registered & 0xff_ffff)) % SCALAR_END;
        self.remember(key, session);
        let mut evicted = Vec::new();
        let updated = self.call(
            |solo| {
                let mut outcome = solo.update(key, session);
                evicted = std::mem::take(&mut outcome.evicted);
                outcome
            },
            |()| true,
        );
        evicted.iter().for_each(|claim| self.forget(claim.0));
        if updated.is_err() {
            self.forget(session);
        }
        updated
    }

    fn delete(&mut self, key: Key, session: u64) -> Result<Sample, Fault> {
        self.forget(session);
        self.call(|solo| solo.delete(key), |()| true)
    }

    fn call<T>(
        &mut self,
        call: impl FnOnce(&mut Solo) -> Outcome<T>,
        is_right: impl FnOnce(&T) -> bool,
    ) -> Result<Sample, Fault> {
        let (outcome, ns) = self.stopwatch.time(|| call(&mut self.solo));
        self.is_broken |= outcome.answer.is_err();
        let is_right = is_right(&outcome.answer?);
        Ok(Sample { ns, fuel: outcome.fuel, is_right })
    }
}

impl Populated<'_> {
    /// Any live session; without one, a session that never was.
    fn any(&mut self) -> (Key, u64) {
        match self.live.is_empty() {
            true => (self.new_key(), fingerprint(&mut self.numbers)),
            false => *one_of(&mut self.numbers, &self.live),
        }
    }

    /// A new key.
    fn new_key(&mut self) -> Key {
        let partial = new_partial(&mut self.numbers);
        new_key(&mut self.numbers, partial)
    }

    fn remember(&mut self, key: Key, session: u64) {
        self.solo.set_info(session, Some(self.info));
        self.places.insert(session, self.live.len());
        self.live.push((key, session));
    }

    fn forget(&mut self, session: u64) {
        let Some(place) = self.places.remove(&session) else { return };
        self.solo.set_info(session, None);
        self.live.swap_remove(place);
        if let Some((_, moved)) = self.live.get(place) {
            self.places.insert(*moved, place);
        }
    }
}

/// The same numbers in every run.
const SEED: u64 = 0x1a2b_3c4d_5e6f_7788;

/// Spread evenly below 2^53 and never zero, like the fingerprints that a guest sees.
fn fingerprint(numbers: &mut Numbers) -> u64 {
    numbers.below(SCALAR_END).max(1)
}

fn one_of<'a, T>(numbers: &mut Numbers, all: &'a [T]) -> &'a T {
    // Below the length, which fits.
    &all[numbers.below(all.len() as u64) as usize]
}

fn new_partial(numbers: &mut Numbers) -> PartialKey {
    PartialKey(fingerprint(numbers))
}

fn new_key(numbers: &mut Numbers, partial: PartialKey) -> Key {
    Key { partial, id: SessionId(fingerprint(numbers)) }
}
