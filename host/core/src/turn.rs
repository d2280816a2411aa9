//! What an owner thread does in a cache's turn: one unit of work, chosen in a fixed order.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering, mpsc::SyncSender},
};

use crate::{
    Callback, Claim, Fault, Key, OwnedName, Refusal, Session, Value,
    cache::{Cache, Instance, Running},
    mailbox::Message,
};

/// What a cache wants after a turn.
pub(crate) enum Turn {
    /// Another turn, after the other caches of the thread.
    Again,
    /// A turn when something is posted, and at `due_ms` on the cache's clock at the latest.
    Idle { due_ms: u64 },
    /// Nothing any more.
    Ended,
}

/// A cache, whatever it keeps, as its owner thread sees it.
pub(crate) trait Work: Send + Sync {
    /// Does one unit of work. Owner thread only.
    fn turn(self: Arc<Self>) -> Turn;
    /// Marks the cache as queued. False if it was.
    fn queue(&self) -> bool;
    /// Ends the cache without asking the guest.
    fn close(&self);
}

/// The periodic sweep looks at this part of the vault in one turn, at least so many slots.
const SWEEP_PARTS: usize = 16;
const SWEEP_SLOTS_MIN: usize = 256;
/// The time between two turns of the periodic sweep, at least and at most.
const SWEEP_MS_MIN: u64 = 10;
const SWEEP_MS_MAX: u64 = 60_000;

/// What the owner thread keeps to itself; the owner's handle touches it as it ends.
pub(crate) struct OwnerSide {
    /// Who waits for the cache to open.
    opening: Option<SyncSender<Result<(), Fault>>>,
    /// Who waits for the cache to end.
    ending: Option<SyncSender<()>>,
    /// Keys that have left the vault, and from which instance on the guest is still to be told. They come before any
    /// message, so that a `delete` never follows a later `update` of its key.
    owed: VecDeque<(usize, Key)>,
    restart: Option<Restart>,
    /// Replay and messages take turns.
    is_replays_turn: bool,
    /// Whether the instances of a suspended cache have been dropped.
    is_purged: bool,
    sweep_ms: u64,
    sweep_at_ms: u64,
}

/// An instance that is being built by replay.
struct Restart {
    number: usize,
    running: Running,
    /// What is still to be replayed, oldest first. Each step takes one out and each update meanwhile puts one in.
    queue: VecDeque<(Key, Session)>,
}

impl OwnerSide {
    pub(crate) fn new(opening: SyncSender<Result<(), Fault>>, now_ms: u64, lifetime_ms: u64) -> Self {
        let sweep_ms = (lifetime_ms / 256).clamp(SWEEP_MS_MIN, SWEEP_MS_MAX);
        Self {
            opening: Some(opening),
            ending: None,
            owed: VecDeque::new(),
            restart: None,
            is_replays_turn: false,
            is_purged: false,
            sweep_ms,
            sweep_at_ms: now_ms + sweep_ms,
        }
    }

    fn owe(&mut self, first: usize, keys: Vec<Key>) {
        self.owed.extend(keys.into_iter().map(|key| (first, key)));
    }

    pub(crate) fn on_end(&mut self, reply: SyncSender<()>) {
        self.ending = Some(reply);
    }
}

impl<V: Value> Work for Cache<V> {
    fn turn(self: Arc<Self>) -> Turn {
        self.is_queued.store(false, Ordering::Release);
        let mut side = self.owner_side.lock();
        if self.is_ended.load(Ordering::Acquire) {
            return Turn::Ended;
        }
        if let Some(reply) = side.opening.take() {
            return self.open(&mut side, &reply);
        }
        if self.is_closing.load(Ordering::Acquire) {
            self.terminate();
            self.end(&mut side);
            return Turn::Ended;
        }
        side.is_replays_turn = !side.is_replays_turn;
        let side = &mut *side;
        self.purge(side);
        // The sweep comes round seldom, so it cannot hold up messages; they could hold up the sweep.
        let did_work = side.is_replays_turn && self.restart_step(side)
            || self.owed_step(side)
            || self.sweep_step(side)
            || self.message_step(side)
            || self.echo_step()
            || self.restart_step(side);
        match did_work {
            true => Turn::Again,
            false => Turn::Idle { due_ms: self.due_ms(side) },
        }
    }

    fn queue(&self) -> bool {
        !self.is_queued.swap(true, Ordering::AcqRel)
    }

    fn close(&self) {
        self.end(&mut self.owner_side.lock());
    }
}

/// The steps. Each says whether there was something to do.
impl<V: Value> Cache<V> {
    fn open(self: &Arc<Self>, side: &mut OwnerSide, reply: &SyncSender<Result<(), Fault>>) -> Turn {
        for instance in &self.instances {
            match self.start() {
                Ok(running) => instance.put(running),
                Err(fault) => {
                    self.end(side);
                    // Who opens waits for the reply; if it is gone, nobody needs it.
                    let _ = reply.send(Err(fault));
                    return Turn::Ended;
                }
            }
        }
        let _ = reply.send(Ok(()));
        Turn::Again
    }

    /// Tells each instance that the cache ends. What it answers does not matter any more.
    fn terminate(&self) {
        for instance in &self.instances {
            let Some(mut running) = instance.remove() else { continue };
            let mut call = self.call(Callback::Terminate);
            let ended = running.call(&mut call, |callbacks, call, cache| callbacks.terminate(call, cache));
            self.count(&call);
            if let Err(fault) = ended {
                self.keeper.stats.faults[fault.kind() as usize].add(1);
                tracing::warn!(cache = self.keeper.label, "guest fault in `terminate`: {fault}");
            }
        }
    }

    /// Drops instances, messages and sessions.
    fn end(&self, side: &mut OwnerSide) {
        self.is_ended.store(true, Ordering::Release);
        self.close_mailbox();
        for instance in &self.instances {
            drop(instance.remove());
        }
        side.restart = None;
        side.owed = VecDeque::new();
        self.keeper.vault.write().reset();
        if let Some(reply) = side.ending.take() {
            let _ = reply.send(());
        }
    }

    fn owed_step(self: &Arc<Self>, side: &mut OwnerSide) -> bool {
        let Some((first, key)) = side.owed.pop_front() else { return false };
        self.tell_delete(side, first, key);
        true
    }

    fn message_step(self: &Arc<Self>, side: &mut OwnerSide) -> bool {
        let Some(message) = self.messages.lock().pop() else { return false };
        // A reply fails when the owner's handle no longer waits: then nobody needs it.
        match message {
            Message::Update { key, name, value, lifetime_ms, reply } => {
                let done = self.update(side, key, name, value, lifetime_ms);
                self.arrived(key);
                let _ = reply.map(|reply| reply.send(done));
            }
            Message::Delete { name, reply } => {
                let done = self.delete(side, &name);
                let _ = reply.map(|reply| reply.send(done));
            }
            Message::Forget { key, session } => self.forget(side, key, session),
            Message::Sweep { reply } => {
                side.owe(0, self.sweep(usize::MAX));
                // Answered once the guest has been told of all.
                self.put_first(Message::Fence { reply });
            }
            Message::Fence { reply } => {
                let _ = reply.send(());
            }
        }
        true
    }

    fn update(
        self: &Arc<Self>,
        side: &mut OwnerSide,
        key: Key,
        name: OwnedName,
        value: V,
        lifetime_ms: u64,
    ) -> Result<(), Refusal> {
        let stats = &self.keeper.stats;
        let now_ms = self.keeper.clock.now_ms();
        let admitted = self.keeper.vault.write().admit(key, name, value, lifetime_ms, now_ms);
        let session = admitted.inspect_err(|_| stats.refused.add(1))?;
        let out = {
            let mut seat = self.instances[0].lock();
            let mut call = self.call(Callback::Update);
            let answer = self.ask(&self.instances[0], &mut seat, &mut call, |callbacks, call, cache| {
                callbacks.update(call, cache, key, session)
            });
            let evictions = answer.map_or_else(|_| Vec::new(), |()| call.into_evictions());
            // Under the instance's lock, so that no reader sees the guest's new answer and the vault's old one.
            self.keeper.vault.write().commit(session, &evictions)
        };
        stats.updates.add(1);
        stats.evicted.add(out.evicted.len() as u64);
        stats.overflowed.add(out.victims.len() as u64);
        for instance in &self.instances[1..] {
            let mut call = self.call(Callback::Update);
            // A fault has been dealt with; this instance's evictions do not count.
            let _ = self.ask(instance, &mut instance.lock(), &mut call, |callbacks, call, cache| {
                callbacks.update(call, cache, key, session)
            });
        }
        if let Some(restart) = &mut side.restart {
            restart.queue.push_back((key, session));
        }
        side.owe(1, out.evicted);
        side.owe(0, out.victims);
        Ok(())
    }

    fn delete(self: &Arc<Self>, side: &mut OwnerSide, name: &OwnedName) -> bool {
        let key = self.fingerprints.key(name.name());
        let was_held = self.keeper.vault.write().remove(key, name.name());
        self.tell_delete(side, 0, key);
        was_held
    }

    /// Tells the guest that a reader took `session`, unless its key stands for another one by now.
    fn forget(self: &Arc<Self>, side: &mut OwnerSide, key: Key, session: Session) {
        let current = self.keeper.vault.read().under_key(key);
        if current.is_none_or(|current| current == session) {
            self.tell_delete(side, 0, key);
        }
    }

    /// Calls `delete` in the instances from `first` on, and in the one being built.
    fn tell_delete(self: &Arc<Self>, side: &mut OwnerSide, first: usize, key: Key) {
        for (number, instance) in self.instances.iter().enumerate().skip(first) {
            let mut call = self.call(Callback::Delete);
            let answer = self.ask(instance, &mut instance.lock(), &mut call, |callbacks, call, cache| {
                callbacks.delete(call, cache, key)
            });
            if number == 0 && answer.is_ok() {
                side.owe(1, self.evict(call.into_evictions()));
            }
        }
        let Some(mut restart) = side.restart.take_if(|restart| restart.number >= first) else { return };
        let mut call = self.call(Callback::Delete);
        let answer = restart.running.call(&mut call, |callbacks, call, cache| callbacks.delete(call, cache, key));
        self.count(&call);
        match answer {
            Ok(()) => side.restart = Some(restart),
            Err(fault) => self.faulted(Callback::Delete, &fault),
        }
    }

    fn evict(&self, evictions: Vec<Claim>) -> Vec<Key> {
        if evictions.is_empty() {
            return Vec::new();
        }
        let mut vault = self.keeper.vault.write();
        let evicted: Vec<Key> = evictions.into_iter().filter_map(|claim| vault.evict(claim)).collect();
        self.keeper.stats.evicted.add(evicted.len() as u64);
        evicted
    }

    /// Gives the first instance one of the lookups that another one served, so that its recency stays true.
    fn echo_step(self: &Arc<Self>) -> bool {
        let Some(key) = self.echoes.lock().pop_front() else { return false };
        // Taken or deleted since: the guest is asked for what the vault holds, and for nothing else.
        if self.keeper.vault.read().under_key(key).is_none() {
            return true;
        }
        let mut call = self.call(Callback::Lookup);
        // Only the guest's own bookkeeping matters here; a fault has been dealt with.
        let _ = self.ask(&self.instances[0], &mut self.instances[0].lock(), &mut call, |callbacks, call, cache| {
            callbacks.lookup(call, cache, key)
        });
        true
    }

    fn sweep_step(&self, side: &mut OwnerSide) -> bool {
        let now_ms = self.keeper.clock.now_ms();
        if now_ms < side.sweep_at_ms {
            return false;
        }
        side.sweep_at_ms = now_ms + side.sweep_ms;
        let slots = (self.keeper.vault.read().slots() / SWEEP_PARTS).max(SWEEP_SLOTS_MIN);
        side.owe(0, self.sweep(slots));
        true
    }

    fn sweep(&self, slots: usize) -> Vec<Key> {
        let now_ms = self.keeper.clock.now_ms();
        let expired = self.keeper.vault.write().sweep(now_ms, slots);
        self.keeper.stats.expired.add(expired.len() as u64);
        expired
    }

    /// Drops the instances that a cache still has as it is suspended.
    fn purge(&self, side: &mut OwnerSide) {
        let is_suspended = self.is_suspended.load(Ordering::Acquire);
        if is_suspended && !side.is_purged {
            side.restart = None;
            self.instances.iter().for_each(|instance| drop(instance.remove()));
        }
        side.is_purged = is_suspended;
    }

    /// Begins to build an instance that is down, once its backoff is over, or replays one session into it.
    fn restart_step(self: &Arc<Self>, side: &mut OwnerSide) -> bool {
        if side.restart.is_some() {
            // Two, so that the replay ends although each update in between adds one.
            for _ in 0..2 {
                side.restart = side.restart.take().and_then(|restart| self.replay(side, restart));
            }
            return true;
        }
        let Some(number) = self.instances.iter().position(Instance::is_down) else { return false };
        if self.breaker.lock().retry_at().is_some_and(|at| self.keeper.clock.now_ms() < at) {
            return false;
        }
        match self.start() {
            Ok(running) => {
                let queue = self.keeper.vault.read().oldest_first().collect();
                side.restart = Some(Restart { number, running, queue });
            }
            Err(fault) => self.faulted(Callback::Init, &fault),
        }
        true
    }

    /// Replays the next session, or seats the instance when there is none. Gives back what is still to be done.
    fn replay(self: &Arc<Self>, side: &mut OwnerSide, mut restart: Restart) -> Option<Restart> {
        let is_live = |(key, session): &(Key, Session)| self.keeper.vault.read().under_key(*key) == Some(*session);
        let next = std::iter::from_fn(|| restart.queue.pop_front()).find(is_live);
        let Some((key, session)) = next else {
            self.instances[restart.number].put(restart.running);
            self.keeper.stats.restarts.add(1);
            self.recovered();
            return None;
        };
        let mut call = self.call(Callback::Update);
        let answer =
            restart.running.call(&mut call, |callbacks, call, cache| callbacks.update(call, cache, key, session));
        self.count(&call);
        match answer {
            Ok(()) => {
                if restart.number == 0 {
                    side.owe(1, self.evict(call.into_evictions()));
                }
                Some(restart)
            }
            Err(fault) => {
                self.faulted(Callback::Update, &fault);
                None
            }
        }
    }

    fn due_ms(&self, side: &OwnerSide) -> u64 {
        let is_down = self.instances.iter().any(Instance::is_down);
        let retry_at = self.breaker.lock().retry_at().filter(|_| is_down);
        retry_at.map_or(side.sweep_at_ms, |at| at.min(side.sweep_at_ms))
    }
}
