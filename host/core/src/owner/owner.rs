//! The owner of a cache: the handle that alone may update and delete, and wait for it.

use std::{sync::Arc, time::Duration};

use crate::{
    cache::{
        cache::Cache,
        inbox::{Message, UpgradeReport},
        mailbox::Mailbox,
        phase::Event,
        stats::CacheStats,
    },
    contract::{
        callbacks::Guest,
        error::{Refusal, UpgradeError},
    },
    owner::turn::Owned,
    sync::{
        mpsc::{Receiver, SyncSender, sync_channel},
        receive_within,
    },
    vault::{name::Name, secret::Value},
};

/// The one handle that may update and delete and wait for it. Not cloneable. Dropping it ends the cache: readers then
/// find nothing, and the memory is given back.
pub struct Owner<V: Value> {
    pub(crate) owned: Arc<Owned<V>>,
}

impl<V: Value> Owner<V> {
    pub(crate) fn cache(&self) -> &Arc<Cache<V>> {
        &self.owned.cache
    }

    /// Registers a session: OTP's `update/3`. Blocks until the owner thread has done it; every thread then sees it.
    ///
    /// # Errors
    /// A session that the vault does not take. A guest that fails does not make this fail: the vault keeps the session.
    pub fn update(&mut self, name: Name<'_>, value: V) -> Result<(), Refusal> {
        let key = self.cache().fingerprints.key(name);
        let terms = self.cache().state.vault.read().terms();
        let message = |reply| Message::Update { key, name: name.into(), value, terms, reply: Some(reply) };
        self.ask(message).unwrap_or(Err(Refusal::Ended))
    }

    /// Forgets the session under a name: OTP's `delete/2`. Blocks until done. False if the vault held none.
    pub fn delete(&mut self, name: Name<'_>) -> bool {
        self.ask(|reply| Message::Delete { name: name.into(), reply: Some(reply) }).unwrap_or(false)
    }

    /// Takes out every session past its life. Blocks until done. The owner thread does the same bit by bit.
    pub fn sweep(&mut self) {
        self.ask(|reply| Message::Sweep { reply }).unwrap_or(());
    }

    /// Exchanges the running guest for another one, and keeps every session.
    ///
    /// The new guest is opened, and every session replayed into it, while the old one serves. A canary then asks it for
    /// a sample of the sessions, and calls each other callback once. Only then are the instances exchanged: a reader
    /// waits for at most one call. Whatever fails leaves the old guest as it was. For an hour after the exchange the
    /// new guest is on probation: if its faults suspend it, the old guest comes back.
    ///
    /// Blocks until the exchange has been made; the old instances are terminated afterwards. Costs one `update` for
    /// each session and instance, in turns.
    ///
    /// # Errors
    /// The fault of the new guest.
    pub fn upgrade(&mut self, guest: Arc<dyn Guest>) -> Result<UpgradeReport, UpgradeError> {
        self.ask(|reply| Message::Upgrade { guest, reply }).unwrap_or(Err(UpgradeError::Ended))
    }

    /// Undoes the last upgrade, if that was within the hour: the guest before it takes its place again, in instances
    /// that are built anew by replay. Says whether there was one. Blocks until it has been noted, not for the replay;
    /// reads are misses until an instance runs.
    pub fn undo_upgrade(&mut self) -> bool {
        self.ask(|reply| Message::UndoUpgrade { reply }).unwrap_or(false)
    }

    /// Blocks until everything posted before has been done.
    pub fn settle(&mut self) {
        self.ask(|reply| Message::Fence { reply }).unwrap_or(());
    }

    /// The cache's counters.
    pub fn stats(&self) -> CacheStats {
        self.cache().stats()
    }

    /// A mailbox for other threads.
    pub fn mailbox(&self) -> Mailbox<V> {
        Mailbox::new(Arc::clone(self.cache()))
    }

    /// Ends the cache: OTP's `terminate/1`. Blocks until the guest has been told, for at most its grant, and every
    /// session has been wiped.
    pub fn terminate(self) {
        let (reply, answer) = sync_channel(1);
        {
            let mut side = self.owned.side.lock();
            if self.cache().life.is_ended() {
                return;
            }
            side.ending = Some(reply);
        }
        self.close();
        // An error means that the thread has ended, and with it the cache.
        let _ = answer.recv();
    }

    pub(crate) fn ask<T>(&self, message: impl FnOnce(SyncSender<T>) -> Message<V>) -> Option<T> {
        let (reply, answer): (_, Receiver<T>) = sync_channel(1);
        self.cache().post_from_owner(message(reply));
        answer.recv().ok()
    }

    /// Like [`Owner::ask`], and gives up after `within`. The owner thread may still do it.
    pub(crate) fn ask_within<T>(
        &self,
        within: Duration,
        message: impl FnOnce(SyncSender<T>) -> Message<V>,
    ) -> Option<T> {
        let (reply, answer): (_, Receiver<T>) = sync_channel(1);
        self.cache().post_from_owner(message(reply));
        receive_within(&answer, within)
    }

    fn close(&self) {
        self.cache().on(Event::Close);
        self.cache().schedule.at_once();
    }
}

impl<V: Value> Drop for Owner<V> {
    fn drop(&mut self) {
        self.close();
    }
}
