//! Moving a vault: the sessions of one cache handed over to another, which takes its place.
//!
//! A session is in one vault or in no vault, never in both. What has left the first and is not yet in the second can still
//! be revoked in either.

use std::{sync::Arc, time::Duration};

use crate::{Key, OwnedName, Owner, Taken, Terms, Value, cache::Cache, mailbox::Message};

/// The cache that a session comes from, as it was when the session was taken out.
pub(crate) struct Origin<V> {
    cache: Arc<Cache<V>>,
    terms: Terms,
}

impl<V: Value> Origin<V> {
    /// Tells `commit` whether the session has been revoked where it comes from. No revocation there comes in between.
    ///
    /// `commit` may take another cache's vault: of two, the one that a session leaves is taken first.
    pub(crate) fn judge<T>(&self, commit: impl FnOnce(bool) -> T) -> T {
        let vault = self.cache.keeper.vault();
        commit(vault.terms() != self.terms)
    }
}

/// How many sessions are taken out at once.
const BATCH: usize = 64;

/// How long a cache is handed over. What is left then is not worth waiting for.
const HAND_OVER_MS_MAX: u64 = 10 * 1_000;
const HAND_OVER: Duration = Duration::from_millis(HAND_OVER_MS_MAX);

/// Some sessions that have been taken out.
struct Batch<V> {
    /// What the vault was as they were.
    terms: Terms,
    /// The keys of all, those past their life included.
    keys: Vec<Key>,
    /// Oldest first.
    sessions: Vec<(OwnedName, Taken<V>)>,
}

impl<V: Value> Cache<V> {
    fn take_batch(&self) -> Batch<V> {
        let now_ms = self.keeper.clock.now_ms();
        let mut vault = self.keeper.vault_mut();
        let oldest: Vec<_> = vault.oldest_first().take(BATCH).collect();
        let mut batch = Batch { terms: vault.terms(), keys: Vec::new(), sessions: Vec::new() };
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
    /// Hands every live session over to another cache, oldest first, and says how many that has registered. For a tenant
    /// whose cache is opened anew, with other limits or properties.
    ///
    /// A session keeps its name, and ends no later than it would have here; so both caches must be of the same
    /// [`Owners`](crate::Owners), which have one clock. Where `to` has a live session of a name, that one is newer, and stays.
    /// What `to` refuses is wiped, as is what its own limits then take out. `terms` are those of `to` from before anybody could
    /// revoke it. A revocation in either cache since then is final.
    ///
    /// The guest here is asked nothing any more, so that what has been posted goes into the vault at once, however slow it is. Blocks
    /// until done, for ten seconds at most: for a call that runs here, and then for one `update` of each session in `to`, as that
    /// guest's budget allows. What is left then stays here, or is
    /// wiped on the way. A read of a session that is between the two misses it. No lock is held for longer
    /// than it takes to take 64 sessions out.
    pub fn hand_over(&mut self, to: &mut Self, terms: Terms) -> usize {
        let clock = self.cache.keeper.clock.clone();
        let end_ms = clock.now_ms().saturating_add(HAND_OVER_MS_MAX);
        self.cache.retire();
        if self.ask_within(HAND_OVER, |reply| Message::Fence { reply }).is_none() {
            return 0;
        }
        let mut handed = 0;
        loop {
            if clock.now_ms() >= end_ms {
                return handed;
            }
            let Batch { terms: origin, keys, sessions } = self.cache.take_batch();
            if keys.is_empty() {
                return handed;
            }
            // Those of a batch that are late are dropped with it, and wiped.
            for (name, taken) in sessions {
                let left = Duration::from_millis(end_ms.saturating_sub(clock.now_ms()));
                if left.is_zero() {
                    break;
                }
                let origin = Origin { cache: Arc::clone(&self.cache), terms: origin };
                handed += usize::from(to.adopt(name, taken, terms, origin, left));
            }
            self.mailbox().revoked(keys);
        }
    }

    fn adopt(&self, name: OwnedName, taken: Taken<V>, terms: Terms, origin: Origin<V>, within: Duration) -> bool {
        let key = self.cache.fingerprints.key(name.name());
        let Taken { value, created_ms, expires_ms, .. } = taken;
        let terms = terms.since(created_ms).until(expires_ms);
        self.ask_within(within, |reply| Message::Adopt { key, name, value, terms, origin, reply }).unwrap_or(false)
    }
}
