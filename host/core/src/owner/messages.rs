//! Messages: sessions registered and forgotten, and the guest told of both.

use crate::{
    cache::{inbox::Message, shared_state::Origin},
    contract::{
        callback::Callback,
        error::Refusal,
        scalar::{Claim, Key, Session},
    },
    owner::{side::Turn, upgrade::Upgrade},
    vault::{
        name::OwnedName,
        secret::Value,
        vault::{TakenOut, Terms},
    },
};

/// The periodic sweep looks at this part of the vault in one turn, at least at so many slots.
const SWEEP_PARTS: usize = 16;
const SWEEP_SLOTS_MIN: usize = 256;

/// The steps. Each says whether it did something.
impl<V: Value> Turn<'_, V> {
    /// Tells the guest of one key that has left the vault.
    pub(crate) fn owed_step(&mut self) -> bool {
        let Some((first, key)) = self.side.owed.pop_front() else { return false };
        self.tell_delete(first, key);
        true
    }

    /// Does the oldest message.
    pub(crate) fn message_step(&mut self) -> bool {
        let Some(message) = self.cache.inbox.pop() else { return false };
        if message.wants_guest() {
            // The guest is to have its say, in the instance that is then built.
            self.cache.wake();
        }
        // A reply fails when the owner's handle no longer waits: then nobody needs it.
        match message {
            Message::Update { key, name, value, terms, reply } => {
                let done = self.update(key, name, value, terms, None);
                self.cache.inbox.arrived(key);
                let _ = reply.map(|reply| reply.send(done));
            }
            Message::Delete { name, reply } => {
                let done = self.delete(&name);
                let _ = reply.map(|reply| reply.send(done));
            }
            Message::Forget { key, session } => self.forget(key, session),
            Message::HandOver { key, name, value, terms, origin, reply } => {
                let now_ms = self.cache.state.clock.now_ms();
                let is_new = self.cache.state.vault.read().probe(key, name.name(), now_ms).is_err();
                let is_done = is_new && self.update(key, name, value, terms, Some(&origin)).is_ok();
                let _ = reply.send(is_done);
            }
            Message::Revoked { mut keys } => {
                // A session that has come since stands in for the one that was revoked.
                let vault = self.cache.state.vault.read();
                keys.retain(|key| vault.under_key(*key).is_none());
                drop(vault);
                self.side.owe(0, keys);
            }
            Message::Upgrade { guest, reply } => self.side.upgrade = Some(Upgrade::new(self.cache, guest, reply)),
            Message::UndoUpgrade { reply } => {
                let _ = reply.send(self.undo_upgrade());
            }
            Message::Sweep { reply } => {
                let expired = self.sweep(usize::MAX);
                self.side.owe(0, expired);
                // Answered once the guest has been told of all.
                self.cache.inbox.put_first(Message::Fence { reply });
            }
            Message::Fence { reply } => {
                let _ = reply.send(());
            }
        }
        true
    }

    /// Registers a session, which may come from another cache.
    fn update(
        &mut self,
        key: Key,
        name: OwnedName,
        value: V,
        terms: Terms,
        origin: Option<&Origin<V>>,
    ) -> Result<(), Refusal> {
        let (state, stats) = (&self.cache.state, &self.cache.state.stats);
        let admitted = state.vault.write().admit(key, name, value, terms, state.clock.now_ms());
        let session = admitted.inspect_err(|_| stats.refused.add(1))?;
        let (first, others) = self.cache.seats.split_first().expect("a cache has a seat");
        let (out, revoked) = {
            let mut live = first.lock();
            let answer = self.cache.ask_for_owner((first, &mut live), Callback::Update, |live, account| {
                live.update(account, key, session)
            });
            let evictions = answer.map_or_else(|_| Vec::new(), |((), evictions)| evictions);
            // Under the instance's lock, so that no reader sees the guest's new answer and the vault's old one.
            self.commit(session, &evictions, origin)
        };
        stats.updates.add(u64::from(revoked.is_none()));
        stats.refused.add(u64::from(revoked.is_some()));
        stats.evicted.add(out.evicted.len() as u64);
        stats.overflowed.add(out.victims.len() as u64);
        for seat in others {
            // A fault has been dealt with; this instance's evictions do not count.
            let _ = self.cache.ask_for_owner((seat, &mut seat.lock()), Callback::Update, |live, account| {
                live.update(account, key, session)
            });
        }
        if let Some(restart) = &mut self.side.restart {
            restart.replay.queue.push_back((key, session));
        }
        if let Some(upgrade) = &mut self.side.upgrade {
            upgrade.give(key, session);
        }
        self.side.owe(1, out.evicted);
        self.side.owe(0, out.victims);
        if let Some(key) = revoked {
            self.side.owe(0, vec![key]);
            return Err(Refusal::Revoked);
        }
        Ok(())
    }

    /// Makes a session live, unless the one that it comes from has been revoked: then it is taken out before anybody
    /// sees it.
    fn commit(&self, session: Session, evictions: &[Claim], origin: Option<&Origin<V>>) -> (TakenOut, Option<Key>) {
        let commit = |is_revoked| {
            let mut vault = self.cache.state.vault.write();
            let out = vault.commit(session, evictions);
            let revoked = if is_revoked { vault.evict(session.into()) } else { None };
            (out, revoked)
        };
        match origin {
            Some(origin) => origin.judge(commit),
            None => commit(false),
        }
    }

    fn delete(&mut self, name: &OwnedName) -> bool {
        let key = self.cache.fingerprints.key(name.name());
        let was_held = self.cache.state.vault.write().remove(key, name.name());
        self.tell_delete(0, key);
        was_held
    }

    /// Tells the guest that a reader took `session`, unless its key stands for another one since.
    fn forget(&mut self, key: Key, session: Session) {
        let current = self.cache.state.vault.read().under_key(key);
        if current.is_none_or(|current| current == session) {
            self.tell_delete(0, key);
        }
    }

    /// Calls `delete` in the instances from `first` on, and in those being built.
    fn tell_delete(&mut self, first: usize, key: Key) {
        for (number, seat) in self.cache.seats.iter().enumerate().skip(first) {
            let answer = self
                .cache
                .ask_for_owner((seat, &mut seat.lock()), Callback::Delete, |live, account| live.delete(account, key));
            if let (0, Ok(((), evictions))) = (number, answer) {
                let evicted = self.evict(evictions);
                self.side.owe(1, evicted);
            }
        }
        self.delete_in_candidates(key);
        self.delete_in_restart(first, key);
    }

    /// Takes the sessions that the guest has evicted out of the vault, and gives their keys.
    pub(crate) fn evict(&self, evictions: Vec<Claim>) -> Vec<Key> {
        if evictions.is_empty() {
            return Vec::new();
        }
        let mut vault = self.cache.state.vault.write();
        let evicted: Vec<Key> = evictions.into_iter().filter_map(|claim| vault.evict(claim)).collect();
        self.cache.state.stats.evicted.add(evicted.len() as u64);
        evicted
    }

    /// Gives the first instance one of the lookups that another one served, so that its recency stays true.
    pub(crate) fn echo_step(&self) -> bool {
        let Some(key) = self.cache.echoes.pop() else { return false };
        // Taken or deleted since: the guest is asked for sessions that the vault holds, and for nothing else.
        if self.cache.state.vault.read().under_key(key).is_none() {
            return true;
        }
        let first = &self.cache.seats[0];
        let mut live = first.lock();
        // Only the guest's own bookkeeping matters here; a fault has been dealt with.
        let now_ms = self.cache.state.clock.now_ms();
        if let Ok(permit) = self.cache.permit(now_ms, &mut live, Callback::Lookup) {
            let _ =
                self.cache.ask_for_reader((now_ms, permit), (first, &mut live), Callback::Lookup, |live, account| {
                    live.lookup(account, key)
                });
        }
        true
    }

    /// Takes expired sessions out of the next part of the vault, when that is due.
    pub(crate) fn sweep_step(&mut self) -> bool {
        let now_ms = self.cache.state.clock.now_ms();
        if now_ms < self.side.sweep.at_ms {
            return false;
        }
        self.side.sweep.at_ms = now_ms + self.side.sweep.every_ms;
        let slots = (self.cache.state.vault.read().slots() / SWEEP_PARTS).max(SWEEP_SLOTS_MIN);
        let expired = self.sweep(slots);
        self.side.owe(0, expired);
        true
    }

    fn sweep(&self, slots: usize) -> Vec<Key> {
        let now_ms = self.cache.state.clock.now_ms();
        let expired = self.cache.state.vault.write().sweep(now_ms, slots);
        self.cache.state.stats.expired.add(expired.len() as u64);
        expired
    }
}
