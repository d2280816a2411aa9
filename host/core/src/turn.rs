//! What an owner thread does in a cache's turn: one unit of work, chosen in a fixed order.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    Budget, Call, Callback, Claim, Fault, Key, OwnedName, Refusal, Session, TakenOut, Terms, Value,
    cache::{Cache, Instance, Running, Trouble, sleep},
    line::Line,
    mailbox::Message,
    moving::Origin,
    stats::ReadCounts,
    sync::{atomic::Ordering, mpsc::SyncSender},
    upgrade::{Previous, Upgrade},
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
    /// Which line it is served by, from the next turn on.
    fn line(&self) -> &Line;
    /// What it may take before others have their turn, in nanoseconds. One in debt is first given `quanta_ns`. Owner thread only.
    fn earn(&self, quanta_ns: i64) -> i64;
    /// Pays for a turn that has taken `turn_ns` on a core, and at least `least_ns` of its line's time. Owner thread only.
    fn pay(&self, turn_ns: u64, least_ns: i64);
}

/// The periodic sweep looks at this part of the vault in one turn, at least so many slots.
const SWEEP_PARTS: usize = 16;
const SWEEP_SLOTS_MIN: usize = 256;
/// The time between two turns of the periodic sweep, at least and at most.
const SWEEP_MS_MIN: u64 = 10;
const SWEEP_MS_MAX: u64 = 60_000;

/// What the owner thread keeps to itself; the owner's handle touches it as it ends.
pub(crate) struct OwnerSide {
    /// Who waits for the cache to end.
    ending: Option<SyncSender<()>>,
    /// Keys that have left the vault, and from which instance on the guest is still to be told. They come before any
    /// message, so that a `delete` never follows a later `update` of its key.
    owed: VecDeque<(usize, Key)>,
    pub(crate) restart: Option<Restart>,
    pub(crate) upgrade: Option<Upgrade>,
    /// The guest before the last upgrade, while the new one is on probation.
    pub(crate) previous: Option<Previous>,
    /// Instances that an upgrade has replaced, to be terminated.
    pub(crate) outgoing: VecDeque<Running>,
    /// Replay and messages take turns.
    is_replays_turn: bool,
    /// Whether the instances of a suspended cache have been dropped.
    pub(crate) is_purged: bool,
    sweep_ms: u64,
    sweep_at_ms: u64,
    /// When it is looked whether the guest has been asked anything, and how much it had been by the last time.
    idle_at_ms: u64,
    calls_seen: u64,
    /// The instances that are down were given up for being idle, and nothing has happened to the cache since.
    has_slept: bool,
}

/// An instance that is being built by replay.
pub(crate) struct Restart {
    number: usize,
    /// It takes the place of one that was given up for being idle, not of one that failed.
    is_wake: bool,
    replay: Replay,
}

/// An instance that is given every session of the vault.
///
/// A session that a reader takes meanwhile stays in the queue until the guest is to be told: the reader may ask this very
/// instance for it.
pub(crate) struct Replay {
    pub(crate) running: Running,
    /// What is still to be replayed, oldest first.
    pub(crate) queue: VecDeque<(Key, Session)>,
}

impl Replay {
    /// Leaves out what the guest has not been told of and is to forget.
    pub(crate) fn forget(&mut self, key: Key) {
        self.queue.retain(|(own, _)| *own != key);
    }
}

/// How many calls a replay makes in one turn at most. The turn also ends once they have burned the fuel of one `update`, or
/// have taken as long as a turn may that others do not notice.
const REPLAY_CALLS_MAX: usize = 256;
const REPLAY_TIME: Duration = Duration::from_micros(500);

#[expect(clippy::disallowed_methods, reason = "ends a turn early; nothing else is decided by it")]
fn start() -> Instant {
    Instant::now()
}

impl OwnerSide {
    pub(crate) fn new(now_ms: u64, lifetime_ms: u64, idle_ms: Option<u64>) -> Self {
        let sweep_ms = (lifetime_ms / 256).clamp(SWEEP_MS_MIN, SWEEP_MS_MAX);
        Self {
            ending: None,
            owed: VecDeque::new(),
            restart: None,
            upgrade: None,
            previous: None,
            outgoing: VecDeque::new(),
            is_replays_turn: false,
            is_purged: false,
            sweep_ms,
            sweep_at_ms: now_ms + sweep_ms,
            idle_at_ms: idle_ms.map_or(u64::MAX, |idle_ms| now_ms.saturating_add(idle_ms)),
            calls_seen: 0,
            has_slept: false,
        }
    }

    pub(crate) fn owe(&mut self, first: usize, keys: Vec<Key>) {
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
        self.purge(&mut side);
        if self.is_closing.load(Ordering::Acquire) {
            // A guest may take all of its grant to end.
            if !self.lines.leave() {
                return Turn::Again;
            }
            if let Some(running) = self.instances.iter().find_map(Instance::remove) {
                self.terminate_one(running);
                return Turn::Again;
            }
            self.end(&mut side);
            return Turn::Ended;
        }
        let side = &mut *side;
        // Where the guest is not asked, nothing has to be paid for.
        if !self.is_held.load(Ordering::Acquire)
            && let Some(due_ms) = self.keeper.budget.overdrawn_until(self.keeper.clock.now_ms())
        {
            self.keeper.stats.put_off.add(1);
            return Turn::Idle { due_ms };
        }
        side.is_replays_turn = !side.is_replays_turn;
        // The sweep comes round seldom, so it cannot hold up messages; they could hold up the sweep.
        let did_work = side.is_replays_turn && (self.restart_step(side) || self.upgrade_step(side))
            || self.owed_step(side)
            || self.outgoing_step(side)
            || self.sweep_step(side)
            || self.message_step(side)
            || self.echo_step()
            || self.restart_step(side)
            || self.upgrade_step(side)
            || self.idle_step(side);
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

    fn line(&self) -> &Line {
        self.lines.line()
    }

    fn earn(&self, quanta_ns: i64) -> i64 {
        let balance = &self.lines.balance_ns;
        let left = balance.load(Ordering::Relaxed);
        if left > 0 {
            return left;
        }
        balance.store(left.saturating_add(quanta_ns), Ordering::Relaxed);
        left.saturating_add(quanta_ns)
    }

    fn pay(&self, turn_ns: u64, least_ns: i64) {
        let now_ms = self.keeper.clock.now_ms();
        self.lines.pay(now_ms, turn_ns, least_ns);
        self.keeper.stats.owner_ns.add(turn_ns);
        // What an upgrade takes is not taken from the guest that serves.
        let upgrade_ns = self.upgrade_ns.swap(0, Ordering::Relaxed);
        self.keeper.budget.pay_time(now_ms, turn_ns.saturating_sub(upgrade_ns));
    }
}

/// The steps. Each says whether there was something to do.
impl<V: Value> Cache<V> {
    /// Opens each instance. Before any owner thread knows the cache.
    pub(crate) fn open(&self) -> Result<(), Fault> {
        let guest = Arc::clone(&self.guest.lock());
        let from_ns = self.keeper.clock.thread_ns();
        let opened = self.instances.iter().try_for_each(|instance| {
            drop(instance.put(self.start(&self.keeper.budget, &*guest)?));
            Ok(())
        });
        let took_ns = self.keeper.clock.thread_ns().saturating_sub(from_ns);
        self.keeper.stats.owner_ns.add(took_ns);
        self.keeper.budget.pay_time(self.keeper.clock.now_ms(), took_ns);
        opened
    }

    /// Tells an instance that its cache ends, and drops it. What it answers does not matter any more.
    fn terminate_one(&self, mut running: Running) {
        let mut call = self.call(Callback::Terminate);
        let ended = self.call_on(&self.keeper.budget, &mut running, &mut call, |callbacks, call, cache| {
            callbacks.terminate(call, cache)
        });
        if let Err(fault) = ended {
            self.keeper.note_fault(Callback::Terminate, &fault);
            let (tenant, role) = (self.keeper.tenant.as_str(), self.keeper.role.name());
            tracing::warn!(tenant, role, "guest fault in `terminate`: {fault}");
        }
    }

    fn outgoing_step(&self, side: &mut OwnerSide) -> bool {
        let Some(running) = side.outgoing.pop_front() else { return false };
        self.terminate_one(running);
        true
    }

    /// Drops instances, messages and sessions.
    fn end(&self, side: &mut OwnerSide) {
        self.is_ended.store(true, Ordering::Release);
        self.close_mailbox();
        for instance in &self.instances {
            drop(instance.remove());
        }
        side.restart = None;
        // Whoever waits for an upgrade learns that the cache has ended.
        side.upgrade = None;
        side.outgoing = VecDeque::new();
        side.owed = VecDeque::new();
        self.keeper.vault_mut().reset();
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
        if matches!(message, Message::Update { .. } | Message::Adopt { .. } | Message::Upgrade { .. }) {
            // The guest is to have its say, in the instance that is then built.
            self.wake();
        }
        // A reply fails when the owner's handle no longer waits: then nobody needs it.
        match message {
            Message::Update { key, name, value, terms, reply } => {
                let done = self.update(side, key, name, value, terms, None);
                self.arrived(key);
                let _ = reply.map(|reply| reply.send(done));
            }
            Message::Delete { name, reply } => {
                let done = self.delete(side, &name);
                let _ = reply.map(|reply| reply.send(done));
            }
            Message::Forget { key, session } => self.forget(side, key, session),
            Message::Adopt { key, name, value, terms, origin, reply } => {
                let is_new = self.keeper.vault().probe(key, name.name(), self.keeper.clock.now_ms()).is_err();
                let is_done = is_new && self.update(side, key, name, value, terms, Some(&origin)).is_ok();
                let _ = reply.send(is_done);
            }
            Message::Revoked { mut keys } => {
                // A session that has come since stands in for the one that was revoked.
                let vault = self.keeper.vault();
                keys.retain(|key| vault.under_key(*key).is_none());
                side.owe(0, keys);
            }
            Message::Upgrade { guest, reply } => self.begin_upgrade(side, guest, reply),
            Message::UndoUpgrade { reply } => {
                let _ = reply.send(self.undo_upgrade(side));
            }
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

    /// Registers a session, which may come from another cache.
    fn update(
        self: &Arc<Self>,
        side: &mut OwnerSide,
        key: Key,
        name: OwnedName,
        value: V,
        terms: Terms,
        origin: Option<&Origin<V>>,
    ) -> Result<(), Refusal> {
        let stats = &self.keeper.stats;
        let now_ms = self.keeper.clock.now_ms();
        let admitted = self.keeper.vault_mut().admit(key, name, value, terms, now_ms);
        let session = admitted.inspect_err(|_| stats.refused.add(1))?;
        let (out, revoked) = {
            let mut seat = self.instances[0].lock();
            let mut call = self.call(Callback::Update);
            let answer = self.ask(&self.instances[0], &mut seat, &mut call, |callbacks, call, cache| {
                callbacks.update(call, cache, key, session)
            });
            let evictions = answer.map_or_else(|_| Vec::new(), |()| call.into_evictions());
            // Under the instance's lock, so that no reader sees the guest's new answer and the vault's old one.
            self.commit(session, &evictions, origin)
        };
        stats.updates.add(u64::from(revoked.is_none()));
        stats.refused.add(u64::from(revoked.is_some()));
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
            restart.replay.queue.push_back((key, session));
        }
        Self::give_candidates(side, key, session);
        side.owe(1, out.evicted);
        side.owe(0, out.victims);
        if let Some(key) = revoked {
            side.owe(0, vec![key]);
            return Err(Refusal::Revoked);
        }
        Ok(())
    }

    /// Makes a session live, unless what it comes from has been revoked: then it is taken out before anybody sees it.
    fn commit(&self, session: Session, evictions: &[Claim], origin: Option<&Origin<V>>) -> (TakenOut, Option<Key>) {
        let commit = |is_revoked| {
            let mut vault = self.keeper.vault_mut();
            let out = vault.commit(session, evictions);
            let revoked = if is_revoked { vault.evict(session.into()) } else { None };
            (out, revoked)
        };
        match origin {
            Some(origin) => origin.judge(commit),
            None => commit(false),
        }
    }

    fn delete(self: &Arc<Self>, side: &mut OwnerSide, name: &OwnedName) -> bool {
        let key = self.fingerprints.key(name.name());
        let was_held = self.keeper.vault_mut().remove(key, name.name());
        self.tell_delete(side, 0, key);
        was_held
    }

    /// Tells the guest that a reader took `session`, unless its key stands for another one by now.
    fn forget(self: &Arc<Self>, side: &mut OwnerSide, key: Key, session: Session) {
        let current = self.keeper.vault().under_key(key);
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
        self.delete_in_candidates(side, key);
        if self.is_held.load(Ordering::Acquire) {
            side.restart = None;
        }
        if let Some(restart) = &mut side.restart {
            restart.replay.forget(key);
        }
        let Some(mut restart) = side.restart.take_if(|restart| restart.number >= first) else { return };
        let mut call = self.call(Callback::Delete);
        let answer =
            self.call_on(&self.keeper.budget, &mut restart.replay.running, &mut call, |callbacks, call, cache| {
                callbacks.delete(call, cache, key)
            });
        match answer {
            Ok(()) => side.restart = Some(restart),
            Err(fault) => {
                self.trouble(Trouble::Fault { callback: Callback::Delete, fault: &fault });
            }
        }
    }

    pub(crate) fn evict(&self, evictions: Vec<Claim>) -> Vec<Key> {
        if evictions.is_empty() {
            return Vec::new();
        }
        let mut vault = self.keeper.vault_mut();
        let evicted: Vec<Key> = evictions.into_iter().filter_map(|claim| vault.evict(claim)).collect();
        self.keeper.stats.evicted.add(evicted.len() as u64);
        evicted
    }

    /// Gives the first instance one of the lookups that another one served, so that its recency stays true.
    fn echo_step(self: &Arc<Self>) -> bool {
        let Some(key) = self.echoes.lock().pop_front() else { return false };
        // Taken or deleted since: the guest is asked for what the vault holds, and for nothing else.
        if self.keeper.vault().under_key(key).is_none() {
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
        let slots = (self.keeper.vault().slots() / SWEEP_PARTS).max(SWEEP_SLOTS_MIN);
        side.owe(0, self.sweep(slots));
        true
    }

    fn sweep(&self, slots: usize) -> Vec<Key> {
        let now_ms = self.keeper.clock.now_ms();
        let expired = self.keeper.vault_mut().sweep(now_ms, slots);
        self.keeper.stats.expired.add(expired.len() as u64);
        expired
    }

    /// As a cache is suspended, drops the instances that it still has, and undoes an upgrade on probation. An operator's
    /// suspension says nothing against the guest, and undoes none.
    fn purge(&self, side: &mut OwnerSide) {
        let now_ms = self.keeper.clock.now_ms();
        side.previous.take_if(|previous| previous.until_ms <= now_ms);
        if !self.is_suspended.load(Ordering::Acquire) {
            side.is_purged = false;
            return;
        }
        let (is_held, is_tripped) = {
            let breaker = self.breaker.lock();
            (breaker.is_held(), breaker.is_suspended())
        };
        let is_tripping = is_tripped && !side.is_purged;
        // While an operator holds the cache, each time: an upgrade may have seated others. A cache that has faulted too often
        // may be trying its guest again.
        if is_held || is_tripping {
            side.restart = None;
            side.has_slept = false;
            self.instances.iter().filter(|instance| !instance.is_down()).for_each(|instance| drop(instance.remove()));
        }
        if is_held {
            // They are told nothing either.
            side.outgoing = VecDeque::new();
        }
        side.is_purged = is_tripped && !(is_tripping && self.roll_back(side));
    }

    /// Gives the instances up if the guest has been asked nothing since this was last looked at. They are told that their
    /// cache ends. The sessions stay.
    fn idle_step(&self, side: &mut OwnerSide) -> bool {
        let Some(idle_ms) = self.idle_ms else { return false };
        let now_ms = self.keeper.clock.now_ms();
        if now_ms < side.idle_at_ms || self.is_idle() {
            return false;
        }
        side.idle_at_ms = now_ms.saturating_add(idle_ms);
        let calls = self.calls_made();
        let is_unused = std::mem::replace(&mut side.calls_seen, calls) == calls && side.upgrade.is_none();
        // First: a reader that sees an instance down sees why.
        if !is_unused || self.instances.iter().any(Instance::is_down) || !self.go_over(sleep::AWAKE, sleep::IDLE) {
            return false;
        }
        // Whoever takes a session now sees that there will be nobody to ask. Who has begun to take one asks these instances,
        // since those that come after them are not told of it.
        if self.reads.iter().any(ReadCounts::is_taking) {
            self.go_over(sleep::IDLE, sleep::AWAKE);
            self.end_waking();
            return false;
        }
        side.has_slept = true;
        side.outgoing.extend(self.instances.iter().filter_map(Instance::remove));
        true
    }

    /// Begins to build an instance that is down, once its backoff is over, or goes on replaying into it.
    fn restart_step(self: &Arc<Self>, side: &mut OwnerSide) -> bool {
        if self.is_held.load(Ordering::Acquire) {
            return false;
        }
        // A read that had begun failed as its instance was given up: what follows from that is no sleep.
        if self.is_idle() && self.breaker.lock().retry_at().is_some() {
            self.go_over(sleep::IDLE, sleep::AWAKE);
        }
        if self.is_idle() {
            return false;
        }
        if let Some(restart) = side.restart.take() {
            side.restart = self.replay_restart(side, restart);
            return true;
        }
        let Some(number) = self.instances.iter().position(Instance::is_down) else {
            side.has_slept = false;
            self.end_waking();
            return false;
        };
        let retry_at = self.breaker.lock().retry_at();
        if retry_at.is_some_and(|at| self.keeper.clock.now_ms() < at) {
            // Nobody waits for as long as that.
            self.end_waking();
            return false;
        }
        let is_wake = side.has_slept && retry_at.is_none();
        let guest = Arc::clone(&self.guest.lock());
        match self.start(&self.keeper.budget, &*guest) {
            Ok(running) => side.restart = Some(Restart { number, is_wake, replay: self.replay(running) }),
            Err(fault) => {
                self.trouble(Trouble::Fault { callback: Callback::Init, fault: &fault });
            }
        }
        true
    }

    /// Replays some sessions, and seats the instance when there is none left. Gives back what is still to be done.
    fn replay_restart(self: &Arc<Self>, side: &mut OwnerSide, mut restart: Restart) -> Option<Restart> {
        let mut evictions = Vec::new();
        let replayed = self.replay_some(&self.keeper.budget, &mut restart.replay, |_, _, call| {
            evictions.extend(call.into_evictions())
        });
        if restart.number == 0 {
            side.owe(1, self.evict(evictions));
        }
        match replayed {
            Ok(false) => Some(restart),
            Ok(true) => {
                drop(self.instances[restart.number].put(restart.replay.running));
                let stats = &self.keeper.stats;
                if restart.is_wake {
                    stats.wakes.add(1)
                } else {
                    stats.restarts.add(1)
                }
                self.recovered();
                self.has_come_back(side);
                None
            }
            Err(fault) => {
                self.trouble(Trouble::Fault { callback: Callback::Update, fault: &fault });
                None
            }
        }
    }

    /// Notes that an instance has been seated: the cache does not sleep. It may have been idle for long by its calls, and is to
    /// be used first.
    pub(crate) fn has_come_back(&self, side: &mut OwnerSide) {
        self.go_over(sleep::IDLE, sleep::AWAKE);
        self.end_waking();
        if let Some(idle_ms) = self.idle_ms {
            side.idle_at_ms = self.keeper.clock.now_ms().saturating_add(idle_ms);
        }
    }

    pub(crate) fn replay(&self, running: Running) -> Replay {
        Replay { running, queue: self.keeper.vault().oldest_first().collect() }
    }

    /// Replays sessions for the length of a turn. True when there is none left.
    pub(crate) fn replay_some(
        &self,
        budget: &Budget,
        replay: &mut Replay,
        mut note: impl FnMut(Key, Session, Call),
    ) -> Result<bool, Fault> {
        let (mut fuel, start) = (0, start());
        for _ in 0..REPLAY_CALLS_MAX {
            let Some((key, session)) = replay.queue.pop_front() else { return Ok(true) };
            let mut call = self.call(Callback::Update);
            self.call_on(budget, &mut replay.running, &mut call, |callbacks, call, cache| {
                callbacks.update(call, cache, key, session)
            })?;
            fuel += call.fuel;
            note(key, session, call);
            if fuel >= self.keeper.limits.write.fuel || start.elapsed() >= REPLAY_TIME {
                break;
            }
        }
        Ok(false)
    }

    /// When the cache wants a turn at the latest.
    fn due_ms(&self, side: &OwnerSide) -> u64 {
        let is_down = self.instances.iter().any(Instance::is_down);
        let retry_at = self.breaker.lock().next_try().filter(|_| is_down);
        let upgrade_at = side.upgrade.as_ref().and_then(|upgrade| upgrade.overdrawn_until(self.keeper.clock.now_ms()));
        let idle_at = (!is_down && !self.is_idle()).then_some(side.idle_at_ms);
        [retry_at, upgrade_at, idle_at].into_iter().flatten().fold(side.sweep_at_ms, u64::min)
    }
}
