//! Handover: the sessions of one cache go to another, which takes its place.
//!
//! A session is in one vault or in no vault, never in both. What has left the first and is not yet in the second can
//! still be revoked in either.

use std::{sync::Arc, time::Duration};

use crate::{
    cache::{cache::Cache, inbox::Message, shared_state::Origin},
    contract::scalar::Key,
    owner::owner::Owner,
    vault::{
        name::OwnedName,
        secret::Value,
        vault::{Taken, Terms},
    },
};

/// The number of sessions that are taken out at once.
const BATCH: usize = 64;

/// The longest time of a handover. The sessions left then are not worth the wait.
const HANDOVER_MS_MAX: u64 = 10 * 1_000;
const HANDOVER: Duration = Duration::from_millis(HANDOVER_MS_MAX);

/// Some sessions that have been taken out.
struct Batch<V> {
    /// The terms of the vault at that time.
    terms: Terms,
    /// The keys of all, those past their life included.
    keys: Vec<Key>,
    /// Oldest first.
    sessions: Vec<(OwnedName, Taken<V>)>,
}

impl<V: Value> Batch<V> {
    fn take_from(cache: &Cache<V>) -> Self {
        let now_ms = cache.state.clock.now_ms();
        let mut vault = cache.state.vault.write();
        let oldest: Vec<_> = vault.oldest_first().take(BATCH).collect();
        let mut batch = Self { terms: vault.terms(), keys: Vec::new(), sessions: Vec::new() };
        for (key, session) in oldest {
            batch.keys.push(key);
            let name = vault.held(session.into(), now_ms).map(|held| OwnedName::from(held.name));
            let taken = name.and_then(|name| {
                let taken = vault.take(key, name.name(), now_ms).ok()?;
                Some((name, taken))
            });
            match taken {
                Some(taken) => batch.sessions.push(taken),
                // Past its life.
                None => drop(vault.evict(session.into())),
            }
        }
        batch
    }
}

impl<V: Value> Owner<V> {
    /// Hands every live session over to another cache, oldest first, and gives the number that it has registered. For a
    /// tenant whose cache is opened anew, with other limits or properties.
    ///
    /// A session keeps its name, and ends no later than it would have here; so both caches must be of the same
    /// [`Owners`](crate::Owners), which have one clock. Where `to` has a live session of a name, that one is newer, and
    /// stays. What `to` refuses is wiped, as is what its own limits then take out. `terms` are those of `to` from
    /// before anybody could revoke it. A revocation in either cache since then is final.
    ///
    /// The guest here is asked nothing any more, so that what has been posted goes into the vault at once, however slow
    /// it is. Blocks until done, for ten seconds at most: for a call that runs here, and then for one `update` of each
    /// session in `to`, as that guest's budget allows. What is left then stays here, or is wiped on the way. A read of
    /// a session that is between the two misses it. No lock is held for longer than it takes to take 64 sessions out.
    pub fn hand_over(&mut self, to: &mut Self, terms: Terms) -> usize {
        let clock = self.cache().state.clock.clone();
        let end_ms = clock.now_ms().saturating_add(HANDOVER_MS_MAX);
        self.cache().retire();
        if self.ask_within(HANDOVER, |reply| Message::Fence { reply }).is_none() {
            return 0;
        }
        let mut handed = 0;
        loop {
            if clock.now_ms() >= end_ms {
                return handed;
            }
            let Batch { terms: origin, keys, sessions } = Batch::take_from(self.cache());
            if keys.is_empty() {
                return handed;
            }
            // Those of a batch that are late are dropped with it, and wiped.
            for (name, taken) in sessions {
                let left = Duration::from_millis(end_ms.saturating_sub(clock.now_ms()));
                if left.is_zero() {
                    break;
                }
                let origin = Origin { state: Arc::clone(&self.cache().state), terms: origin };
                handed += usize::from(to.take_over(name, taken, terms, origin, left));
            }
            self.mailbox().revoked(keys);
        }
    }

    fn take_over(&self, name: OwnedName, taken: Taken<V>, terms: Terms, origin: Origin<V>, within: Duration) -> bool {
        let key = self.cache().fingerprints.key(name.name());
        let Taken { value, created_ms, expires_ms, .. } = taken;
        let terms = terms.since(created_ms).until(expires_ms);
        self.ask_within(within, |reply| Message::HandOver { key, name, value, terms, origin, reply }).unwrap_or(false)
    }
}
