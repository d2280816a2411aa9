//! One cache as every thread sees it, and how its instances are asked.
//!
//! # Concurrency
//!
//! Three kinds of thread meet here. *Readers* are the caller's threads: they ask instances, and take sessions out of
//! the vault. The *owner thread* gives the cache its turns: it alone registers sessions, builds, seats and removes
//! instances. *Posters* are any threads: they put messages into the inbox, revoke, suspend and resume. None of them
//! waits for another for longer than one call of a guest, except the owner's handle, which waits for its reply.
//!
//! ## Locks, in their order
//!
//! | lock | guards | held for | who waits |
//! |---|---|---|---|
//! | `Owned::side` | the owner's side | a turn | the owner's handle, to end the cache |
//! | `Seat::live` | one instance | one call of its guest, and the vault operation that belongs to it | readers, for the read grant's time; the owner thread, for one call |
//! | `SharedState::vault` | the vault | one operation | everybody |
//!
//! A thread takes them in this order only. Of two vaults, the one that a session leaves comes first. Nobody waits for a
//! seat while it holds a vault; a guest that asks `describe` takes the vault for reading under its seat. No lock is
//! held while a fold's function runs.
//!
//! Every other lock is a leaf, held for an instant, and nothing is taken while it is held: `life`, `guest`,
//! `Inbox::messages`, `Echoes::keys`, `RunQueue::state`, `Schedule::lane`, `Seat::lookup_ns`, `RecentEvents`, the log's
//! rate, and the two buckets of a `Budget`. Two are leaves with one exception: a run queue marks caches as queued under
//! `RunQueue::state`, and `life` reads `Seat::is_down` of each seat.
//!
//! ## Atomics
//!
//! | atomic | written by | order | tells |
//! |---|---|---|---|
//! | `SharedLife::published` | whoever changes the phase, under `life` | SeqCst | the phase, to threads without the lock |
//! | `ReadCounts::taking` | readers that take a session | SeqCst | the owner thread, which puts the cache to sleep: of the two, one sees the other |
//! | `Seat::is_down` | whoever holds the seat | Release, Acquire | that the seat is empty; a fault empties its seat before it takes `life` |
//! | `SharedVault::version` | writers of the vault, under its lock, before they change it | AcqRel, Acquire | a reader that has asked its guest: its view of the vault still holds |
//! | `Inbox::on_their_way` | whoever posts or does an update, under `messages` | Release, Acquire | that an update is on its way: a read that misses may wait for it |
//! | `Schedule::is_queued` | posters, and the owner thread as a turn begins | AcqRel, Release | that a turn comes: a post before the flag falls is seen by that turn |
//! | `Schedule::is_long` | the owner thread | Release, Acquire | the run queue of the next turn |
//! | `Budget`'s `time_until_ms` | whoever pays for time | Release, Relaxed | readers that the time is used up; a late look costs one call |
//! | `Schedule::balance_ns`, counters, `Echoes::paused_until_ms`, `Seat::memory_bytes` | one thread each, or any for counts | Relaxed | numbers that nothing else hangs on |
//!
//! ## Waiting
//!
//! `Inbox::arrival` is the one condition that readers wait for: an update that is on its way, or an instance that is
//! being built for a cache that was idle. Both waits end with the read grant's time. Whoever changes the answer takes
//! `messages` once, and then notifies. `RunQueue::wake` is the one that owner threads wait for.
//!
//! `cargo xtask explore` runs these threads under many thousand schedules. It explores interleavings of sequentially
//! consistent steps only, so it cannot see a missing Acquire or Release; deadlines never pass in it, and the polling
//! window is off. Three models under loom hold what depends on weaker orderings: `version`, `on_their_way`, `is_queued`.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::{
    cache::{
        echoes::Echoes,
        inbox::{Inbox, Message, Posted},
        phase::{Effects, Event, Phase, SharedLife},
        run_queue::Schedule,
        seat::Seat,
        shared_state::SharedState,
        stats::{CacheState, CacheStats, Sources, lookup_times},
    },
    contract::{
        callback::Callback,
        callbacks::Guest,
        error::Miss,
        fault::Fault,
        scalar::{Acc, Claim, FoldFun, InitArgs, Key},
    },
    guest::{
        budget::{Budget, Permit},
        instance::{Account, Live, Outcome, Payer, Refused},
        meter::CallCounts,
    },
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    vault::{fingerprint::Fingerprints, secret::Value},
};

/// Everything that the owner, the readers and the owner thread of a cache share.
pub(crate) struct Cache<V> {
    pub(crate) state: Arc<SharedState<V>>,
    pub(crate) fingerprints: Fingerprints,
    pub(crate) life: SharedLife,
    pub(crate) guest: Mutex<Installed>,
    pub(crate) init_args: InitArgs,
    /// The first instance is the owner's: only its evictions count.
    pub(crate) seats: Box<[Seat]>,
    pub(crate) inbox: Inbox<V>,
    pub(crate) echoes: Echoes,
    /// Folds begun, so that each has tokens of its own.
    pub(crate) folds: AtomicU64,
    pub(crate) schedule: Schedule,
}

/// The guest that new instances are made of.
#[derive(Clone)]
pub(crate) struct Installed {
    pub(crate) guest: Arc<dyn Guest>,
    pub(crate) origin: GuestOrigin,
}

/// The way a guest came to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GuestOrigin {
    /// The cache was opened with it, or an upgrade installed it.
    Chosen,
    /// It is the guest from before the last upgrade, since the new one's faults suspended it.
    RolledBack,
}

/// A bad answer of a guest, or the reason for a missing one.
pub(crate) enum Trouble<'a> {
    /// It named another session than the one asked for, or a dead one.
    FalseClaim,
    /// Its instance was busy for too long.
    Busy,
    /// The guest was not called, for its tenant's budget or the calling thread's stack.
    Refused { callback: Callback, refused: Refused },
    /// The call did not end as it should.
    Fault { callback: Callback, fault: &'a Fault },
}

impl<V: Value> Cache<V> {
    /// The function and the first accumulator of a new fold. Those of the next 2^24 folds are others.
    pub(crate) fn fold_tokens(&self) -> (FoldFun, Acc) {
        let fold = 1 + self.folds.fetch_add(1, Ordering::Relaxed) % (1 << 24);
        (FoldFun(fold), Acc(fold << 28))
    }

    /// The account of a call that `payer` pays for.
    #[inline(always)]
    pub(crate) fn account<'a>(&'a self, counts: &'a CallCounts, payer: Payer<'a>) -> Account<'a> {
        Account { limits: &self.state.limits, clock: &self.state.clock, counts, payer }
    }

    /// The account of a call of an instance that is not in a seat.
    pub(crate) fn unseated<'a>(&'a self, budget: &'a Budget) -> Account<'a> {
        self.account(&self.state.stats.calls, Payer::Budget(budget))
    }

    /// Makes an instance of a guest and opens the cache in it. `budget` pays.
    pub(crate) fn start(&self, budget: &Budget, guest: &dyn Guest) -> Result<Live, Fault> {
        let host = Arc::clone(&self.state) as _;
        Live::open(guest, host, &self.init_args, &self.state.budget, self.unseated(budget)).answer
    }

    /// Permits a reader to ask the instance in a locked seat: it runs, no operator has suspended the cache, the
    /// tenant's budget has the call's grant, and this thread the stack.
    ///
    /// # Errors
    /// The reason why not, which has been counted.
    #[inline(always)]
    pub(crate) fn permit(&self, now_ms: u64, live: &mut Option<Live>, callback: Callback) -> Result<Permit, Miss> {
        if self.life.is_nobody_to_ask() {
            return Err(Miss::Down);
        }
        let live = live.as_mut().ok_or(Miss::Down)?;
        let permit = live.permit(now_ms, &self.state.limits, callback);
        permit.map_err(|refused| self.trouble(Trouble::Refused { callback, refused }))
    }

    /// Asks the instance in a locked seat for a reader that has a permit.
    #[inline(always)]
    pub(crate) fn ask_for_reader<T>(
        &self,
        (now_ms, permit): (u64, Permit),
        (seat, live): (&Seat, &mut Option<Live>),
        callback: Callback,
        ask: impl FnOnce(&mut Live, Account<'_>) -> Outcome<T>,
    ) -> Result<T, Miss> {
        let account = self.account(&seat.counts, Payer::Reader { now_ms, permit });
        self.ask(account, (seat, live), callback, ask).map(|outcome| outcome.0)
    }

    /// Asks the instance in a seat for the owner, and gives its evictions besides. The turn has waited for the budget.
    ///
    /// While the operator has suspended the cache, nothing is asked. An instance that would miss a change by that is
    /// dropped: the one that comes after it has every session by replay.
    pub(crate) fn ask_for_owner<T>(
        &self,
        (seat, live): (&Seat, &mut Option<Live>),
        callback: Callback,
        ask: impl FnOnce(&mut Live, Account<'_>) -> Outcome<T>,
    ) -> Result<(T, Vec<Claim>), Miss> {
        if self.life.is_nobody_to_ask() {
            drop(seat.vacate(live));
            return Err(Miss::Down);
        }
        self.ask(self.account(&seat.counts, Payer::Budget(&self.state.budget)), (seat, live), callback, ask)
    }

    /// The one place where a fault empties a seat.
    #[inline(always)]
    fn ask<T>(
        &self,
        account: Account<'_>,
        (seat, locked): (&Seat, &mut Option<Live>),
        callback: Callback,
        ask: impl FnOnce(&mut Live, Account<'_>) -> Outcome<T>,
    ) -> Result<(T, Vec<Claim>), Miss> {
        let live = locked.as_mut().ok_or(Miss::Down)?;
        let Outcome { answer, evicted, .. } = ask(live, account);
        seat.see_memory(live);
        match answer {
            Ok(answer) => Ok((answer, evicted)),
            // The guest knows nothing of that.
            Err(fault @ Fault::ThreadStack { .. }) => {
                Err(self.trouble(Trouble::Refused { callback, refused: Refused::Thread(fault) }))
            }
            Err(fault) => {
                drop(seat.vacate(locked));
                Err(self.trouble(Trouble::Fault { callback, fault: &fault }))
            }
        }
    }

    /// The one place that decides the consequences of trouble with a guest. For the call it is always a miss; for the
    /// cache:
    ///
    /// | trouble | consequence |
    /// |---|---|
    /// | false claim, busy, over budget | it is counted |
    /// | a thread with too little stack | it is counted and logged; the instance goes on |
    /// | fault | it is counted; the instance has been dropped, and a new one is due after the backoff |
    /// | the eighth fault within a minute of another | no instance is asked for the longest backoff |
    #[cold]
    pub(crate) fn trouble(&self, trouble: Trouble<'_>) -> Miss {
        let (tenant, role) = (self.state.tenant.as_str(), self.state.role.name());
        match trouble {
            Trouble::FalseClaim => {
                self.state.stats.false_claims.add(1);
                Miss::FalseClaim
            }
            Trouble::Busy => Miss::Busy,
            Trouble::Refused { refused: Refused::Budget(miss), .. } => miss,
            Trouble::Refused { callback, refused: Refused::Thread(fault) } => {
                self.state.note_fault(callback, &fault);
                if self.state.may_log() {
                    tracing::warn!(tenant, role, callback = callback.name(), "the guest was not asked: {fault}");
                }
                Miss::Fault
            }
            Trouble::Fault { callback, fault } => {
                self.on(Event::Fault);
                // Afterwards: whoever sees it counted sees its consequences.
                self.state.note_fault(callback, fault);
                let (kind, callback) = (fault.kind().name(), callback.name());
                let is_suspended = self.life.is_suspended();
                tracing::warn!(tenant, role, callback, kind, is_suspended, "guest fault: {fault}");
                self.schedule.soon();
                Miss::Fault
            }
        }
    }

    /// Runs the host's own code for a read. A panic in it is a fault of this cache, and a miss.
    #[inline(always)]
    pub(crate) fn guard_read<T>(&self, callback: Callback, read: impl FnOnce() -> Result<T, Miss>) -> Result<T, Miss> {
        catch_unwind(AssertUnwindSafe(read))
            .unwrap_or_else(|_| Err(self.trouble(Trouble::Fault { callback, fault: &Fault::Panic })))
    }

    /// Takes an event of the cache's life in, and tells readers that wait for an instance.
    pub(crate) fn on(&self, event: Event) -> Effects {
        self.on_seats(|_| event)
    }

    /// Like [`Cache::on`], for an event that depends on whether every instance runs.
    pub(crate) fn on_seats(&self, event: impl FnOnce(bool) -> Event) -> Effects {
        let effects = self.life.on(self.state.clock.now_ms(), || event(!self.is_any_down()));
        if effects.ends_waiting {
            self.inbox.tell_waiting();
        }
        effects
    }

    /// True if any seat is empty.
    pub(crate) fn is_any_down(&self) -> bool {
        self.seats.iter().any(Seat::is_down)
    }

    /// Posts a message for the owner. False if it was dropped, which is counted.
    pub(crate) fn post(&self, message: Message<V>) -> bool {
        match self.inbox.post(message) {
            Posted::Queued => self.schedule.soon(),
            // A thread in its polling window comes before the mailbox is full.
            Posted::HalfFull => self.schedule.at_once(),
            Posted::Dropped => {
                self.state.stats.posts_dropped.add(1);
                return false;
            }
        }
        true
    }

    /// Posts a message of the owner's handle, which waits for the reply.
    pub(crate) fn post_from_owner(&self, message: Message<V>) {
        self.inbox.post_from_owner(message);
        self.schedule.at_once();
    }

    /// Suspends the cache until [`Cache::resume`]. The owner thread drops the instances in its next turn.
    pub(crate) fn suspend(&self) {
        tracing::info!(tenant = self.state.tenant, role = self.state.role.name(), "suspended by the operator");
        self.retire();
    }

    /// Suspends the cache, as it gives way to another one.
    pub(crate) fn retire(&self) {
        self.on(Event::Suspended);
        self.schedule.at_once();
    }

    /// Ends every suspension. The owner thread builds the instances that are down.
    pub(crate) fn resume(&self) {
        self.on_seats(|is_whole| Event::Resumed { is_whole });
        tracing::info!(tenant = self.state.tenant, role = self.state.role.name(), "resumed by the operator");
        self.schedule.at_once();
    }

    /// Has the owner thread build instances again, if they have been given up. [`Cache::await_seat`] waits for the
    /// first.
    pub(crate) fn wake(&self) {
        if self.life.is_idle() && self.on(Event::Wanted).is_new {
            self.schedule.at_once();
        }
    }

    /// Waits for an update of a key that is on its way, if there is one, for at most a read's time.
    ///
    /// A client may come back with a session before the owner thread has had its turn. A stranger's invention is not on
    /// its way, and waits for nothing.
    pub(crate) fn await_update(&self, key: Key) {
        if self.inbox.is_on_its_way(key) {
            self.schedule.hurry();
            self.inbox.await_update(key, self.state.limits.read.time);
        }
    }

    /// Waits for the first instance of a cache that wakes, for at most a read's time. True if one runs.
    pub(crate) fn await_seat(&self) -> bool {
        let is_all_down = || self.seats.iter().all(Seat::is_down);
        self.inbox.await_seat(|| self.life.is_waking() && is_all_down(), self.state.limits.read.time);
        !is_all_down()
    }

    /// The number of calls that have been made into the instances in seats.
    pub(crate) fn calls_made(&self) -> u64 {
        self.seats.iter().map(|seat| seat.counts.all()).sum()
    }

    fn cache_state(&self, phase: Phase) -> CacheState {
        match phase {
            Phase::Closing { .. } | Phase::Ended => CacheState::Ended,
            Phase::Suspended { .. } => CacheState::Suspended,
            Phase::Idle => CacheState::Idle,
            Phase::Waking | Phase::Restarting { .. } => CacheState::Restarting,
            Phase::Opening | Phase::Running if self.is_any_down() => CacheState::Restarting,
            Phase::Opening | Phase::Running => CacheState::Running,
        }
    }

    /// The cache's counters. Waits for no guest.
    pub(crate) fn stats(&self) -> CacheStats {
        let mut lookup_ns = lookup_times();
        self.seats.iter().for_each(|seat| seat.add_lookup_times(&mut lookup_ns));
        let phase = self.life.phase();
        let (sessions, vault_bytes) = {
            let vault = self.state.vault.read();
            (vault.len() as u64, vault.bytes() as u64)
        };
        self.state.stats.reading(Sources {
            state: self.cache_state(phase),
            is_suspended_by_operator: phase.is_suspended_by_operator(),
            is_rolled_back: self.guest.lock().origin == GuestOrigin::RolledBack,
            reads: self.seats.iter().map(|seat| &seat.reads).collect(),
            calls: self.seats.iter().map(|seat| &seat.counts).collect(),
            lookup_ns,
            sessions,
            vault_bytes,
            memory_bytes: self.seats.iter().map(Seat::memory_bytes).sum(),
        })
    }
}
