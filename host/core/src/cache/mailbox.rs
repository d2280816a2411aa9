//! The way to the owner: one bounded mailbox for each cache, open to any thread.

use std::sync::Arc;

use crate::{
    cache::{cache::Cache, inbox::Message},
    contract::scalar::{Key, Session},
    vault::{name::Name, secret::Value, vault::Terms},
};

/// Posts to the owner of a cache. Any thread; never blocks; a message that does not fit is dropped and counted, since a
/// cache may lose.
pub struct Mailbox<V> {
    cache: Arc<Cache<V>>,
}

impl<V> Clone for Mailbox<V> {
    fn clone(&self) -> Self {
        Self { cache: Arc::clone(&self.cache) }
    }
}

impl<V: Value> Mailbox<V> {
    pub(crate) fn new(cache: Arc<Cache<V>>) -> Self {
        Self { cache }
    }

    /// Posts an `update`. False when the mailbox is full or the cache has ended; the value is then wiped.
    pub fn update(&self, name: Name<'_>, value: V) -> bool {
        self.update_on(name, value, self.terms())
    }

    /// The terms of a session whose handshake begins now. One that is registered after a later [`Mailbox::revoke`] is
    /// refused.
    pub fn terms(&self) -> Terms {
        self.cache.state.vault.read().terms()
    }

    /// Posts an `update` of a session on its own terms.
    pub fn update_on(&self, name: Name<'_>, value: V, terms: Terms) -> bool {
        let key = self.cache.fingerprints.key(name);
        self.cache.post(Message::Update { key, name: name.into(), value, terms, reply: None })
    }

    /// Wipes every session at once, and refuses those whose handshake has begun. Gives their number.
    ///
    /// For the operator; any thread. Waits for no guest: once it has returned, no reader finds a session that was there
    /// before. O(sessions).
    pub fn revoke(&self) -> usize {
        let keys = self.cache.state.vault.write().revoke();
        let revoked = keys.len();
        self.cache.state.stats.revoked.add(revoked as u64);
        self.revoked(keys);
        revoked
    }

    /// Suspends the cache: its guest is asked nothing more until [`Mailbox::resume`]. Reads are misses of the kind
    /// [`Miss::Down`](crate::Miss::Down), and use nothing up; what is posted goes on in the vault. The owner thread
    /// drops the instances in its next turn. An upgrade can be made; the new guest is asked nothing either, except by
    /// its canary.
    ///
    /// For the operator; any thread. Waits for no guest: a call or a replay that has begun may still end.
    pub fn suspend(&self) {
        self.cache.suspend();
    }

    /// Ends an operator's suspension, and one for too many faults. The owner thread builds new instances by replay at
    /// once.
    ///
    /// For the operator; any thread. Waits for no guest: reads are misses until an instance runs.
    pub fn resume(&self) {
        self.cache.resume();
    }

    /// Posts a `delete`. False when the mailbox is full or the cache has ended.
    pub fn delete(&self, name: Name<'_>) -> bool {
        self.cache.post(Message::Delete { name: name.into(), reply: None })
    }

    pub(crate) fn forget(&self, key: Key, session: Session) -> bool {
        self.cache.post(Message::Forget { key, session })
    }

    pub(crate) fn revoked(&self, keys: Vec<Key>) -> bool {
        self.cache.post(Message::Revoked { keys })
    }
}
