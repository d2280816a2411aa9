//! One cache: its keeper, its instances, and how an instance is asked.
//!
//! Two locks: an instance's, held while its guest runs, and the vault's, held for one operation of the vault. The
//! instance's is taken first; nobody waits for an instance while holding the vault.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use hdrhistogram::Histogram;

use crate::{
    Acc, Budget, CacheRef, CacheState, CacheStats, Call, Callback, Callbacks, Fault, FoldFun, Guest, InitArgs, Key,
    Miss, Value,
    breaker::Breaker,
    budget::{Purse, TIMED},
    fingerprint::Fingerprints,
    keeper::Keeper,
    lane::Lines,
    mailbox::Messages,
    owner::OwnerSide,
    stats::{CallCounts, ReadCounts, Reading, start},
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
};

/// Everything that the owner, the readers and the owner thread of a cache share.
pub(crate) struct Cache<V> {
    pub(crate) keeper: Arc<Keeper<V>>,
    pub(crate) fingerprints: Fingerprints,
    /// What new instances are made of. An upgrade changes it.
    pub(crate) guest: Mutex<Arc<dyn Guest>>,
    pub(crate) init_args: InitArgs,
    /// The first instance is the owner's: only its evictions count.
    pub(crate) instances: Box<[Instance]>,
    pub(crate) breaker: Mutex<Breaker>,
    /// Mirrors the breaker's, as the next one does: no reader asks any instance.
    pub(crate) is_suspended: AtomicBool,
    /// An operator has suspended the cache: nobody asks any instance, the owner included. It is suspended as well then.
    pub(crate) is_held: AtomicBool,
    /// The guest is the one from before the last upgrade, since the new one's faults suspended it.
    pub(crate) is_rolled_back: AtomicBool,
    /// How long the guest may be asked nothing before its instances are given up.
    pub(crate) idle_ms: Option<u64>,
    pub(crate) sleep: AtomicU8,
    /// What reads come to, one for each instance.
    pub(crate) reads: Box<[ReadCounts]>,
    /// Keys lately looked up in other instances, to be echoed into the first. Bounded, lossy.
    pub(crate) echoes: Mutex<VecDeque<Key>>,
    /// When the first instance is to be told of lookups again, at the earliest.
    pub(crate) echo_at_ms: AtomicU64,
    /// Folds begun, so that each has tokens of its own.
    pub(crate) folds: AtomicU64,
    pub(crate) messages: Mutex<Messages<V>>,
    /// How many keys have an update on its way. Mirrors what `messages` says of it.
    pub(crate) on_their_way: AtomicUsize,
    /// Signalled with `messages` when an update has been done.
    pub(crate) arrival: Condvar,
    /// Only the owner thread takes this lock.
    pub(crate) owner_side: Mutex<OwnerSide>,
    pub(crate) lines: Lines,
    /// What of the running turn an upgrade has taken, which pays for itself. The owner thread's.
    pub(crate) upgrade_ns: AtomicU64,
    /// Whether the owner thread has this cache in its queue.
    pub(crate) is_queued: AtomicBool,
    /// Set once, by the owner handle or by its end; the owner thread then closes the cache.
    pub(crate) is_closing: AtomicBool,
    pub(crate) is_ended: AtomicBool,
}

/// Whether a cache sleeps.
pub(crate) mod sleep {
    /// It does not: an instance that is down is being built, or waits for its backoff to end.
    pub(crate) const AWAKE: u8 = 0;
    /// Its instances have been given up. Whoever has need of one wakes the cache.
    pub(crate) const IDLE: u8 = 1;
    /// The first of them is being built, and nothing has failed so far: it is worth waiting for.
    pub(crate) const WAKING: u8 = 2;
}

/// How many echoes wait at most.
pub(crate) const ECHOES_MAX: usize = 256;

/// How long readers note no echoes once the owner thread has been given some. With those it makes for some ten thousand in a
/// second, which is a sample where there are more, and takes a hundredth of the owner thread's time.
const ECHO_PAUSE_MS: u64 = 10;

/// The longest lookup that is told apart: 10 s. Bounds the histogram to some KiB.
const LOOKUP_NS_MAX: u64 = 10_000_000_000;

/// A place for one running instance. Two share no cache line, since readers on different threads have one each; processors
/// fetch lines of 64 bytes in pairs.
#[repr(align(128))]
pub(crate) struct Instance {
    seat: Mutex<Seat>,
    /// Mirrors "the seat is empty", for those without the lock. Written by those who hold it.
    is_down: AtomicBool,
    /// The instance's memory as last seen. Written by those who hold the lock.
    memory_bytes: AtomicU64,
    /// Written by those who hold the lock.
    counts: CallCounts,
    /// Its own lock, held for an instant, so that a reading of counters never waits for a guest.
    lookup_ns: Mutex<Histogram<u32>>,
}

/// Where an instance sits while it runs.
#[derive(Default)]
pub(crate) struct Seat(Option<Running>);

impl Seat {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// An instance whose `init` has succeeded.
pub(crate) struct Running {
    callbacks: Box<dyn Callbacks>,
    cache_ref: CacheRef,
    purse: Purse,
}

impl Running {
    fn memory_bytes(&self) -> u64 {
        self.callbacks.memory_bytes().map_or(0, |bytes| bytes as u64)
    }
}

impl Instance {
    pub(crate) fn empty() -> Self {
        let lookup_ns = Histogram::new(2).expect("two significant digits are allowed");
        Self {
            seat: Mutex::default(),
            is_down: AtomicBool::new(true),
            memory_bytes: AtomicU64::new(0),
            counts: CallCounts::default(),
            lookup_ns: Mutex::new(lookup_ns),
        }
    }

    pub(crate) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Acquire)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Seat> {
        self.seat.lock()
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, Seat>> {
        self.seat.try_lock()
    }

    pub(crate) fn lock_within(&self, deadline: Duration) -> Option<MutexGuard<'_, Seat>> {
        self.seat.lock_within(deadline)
    }

    /// Seats an instance. Waits for at most the running call. The one before it, if any, is the caller's to end.
    pub(crate) fn put(&self, running: Running) -> Option<Running> {
        let mut seat = self.seat.lock();
        self.see_memory(&running);
        self.is_down.store(false, Ordering::Release);
        seat.0.replace(running)
    }

    fn see_memory(&self, running: &Running) {
        self.memory_bytes.store(running.memory_bytes(), Ordering::Relaxed);
    }

    /// Empties a locked seat of this instance's.
    fn vacate(&self, seat: &mut Seat) -> Option<Running> {
        self.is_down.store(true, Ordering::Release);
        self.memory_bytes.store(0, Ordering::Relaxed);
        seat.0.take()
    }

    /// Notes how long a lookup took. The caller holds the lock.
    pub(crate) fn note_lookup(&self, _: &Seat, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).min(LOOKUP_NS_MAX);
        self.counts.time(Callback::Lookup, time);
        self.lookup_ns.lock().record(ns).expect("the histogram grows by itself");
    }

    /// Notes that a lookup gave its session. The caller holds the lock.
    #[inline(always)]
    pub(crate) fn note_hit(&self, _: &Seat) {
        self.counts.hit();
    }

    /// Empties the seat. The instance is dropped after the lock.
    pub(crate) fn remove(&self) -> Option<Running> {
        self.vacate(&mut self.seat.lock())
    }
}

/// An instance may be called: by [`Cache::may_ask`].
#[derive(Clone, Copy)]
pub(crate) struct Permit {
    /// The fuel that the call may burn.
    grant: u64,
}

/// What is wrong with a guest's answer, or why there is none.
pub(crate) enum Trouble<'a> {
    /// It named another session than the one asked for, or a dead one.
    FalseClaim,
    /// Its instance was busy for too long.
    Busy,
    /// Its tenant's budget does not have the fuel or the time for a call.
    Over(Miss),
    /// The calling thread is none to call a guest on.
    Thread { callback: Callback, fault: &'a Fault },
    /// The call did not end as it should.
    Fault { callback: Callback, fault: &'a Fault },
}

/// Calls an instance, and counts the call.
#[inline(always)]
fn metered<T>(
    counts: &CallCounts,
    running: &mut Running,
    call: &mut Call,
    ask: impl FnOnce(&mut dyn Callbacks, &mut Call, CacheRef) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let (callbacks, cache_ref) = (&mut *running.callbacks, running.cache_ref);
    // A lookup is measured where its caller waits for it.
    let start = (call.callback() != Callback::Lookup).then(start);
    let answer = guarded(|| ask(callbacks, call, cache_ref));
    if let Some(start) = start {
        counts.time(call.callback(), start.elapsed());
    }
    counts.call(call.callback(), call.fuel);
    answer
}

/// A panic of the host's own code on the way to a guest or back ends at this boundary.
#[inline(always)]
fn guarded<T>(ask: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(ask)).unwrap_or(Err(Fault::Panic))
}

impl<V: Value> Cache<V> {
    pub(crate) fn call(&self, callback: Callback) -> Call {
        Call::new(callback, self.keeper.limits.sessions_named())
    }

    /// The function and the first accumulator of a new fold. Those of the next 2^24 folds are others.
    pub(crate) fn fold_tokens(&self) -> (FoldFun, Acc) {
        let fold = 1 + self.folds.fetch_add(1, Ordering::Relaxed) % (1 << 24);
        (FoldFun(fold), Acc(fold << 28))
    }

    /// Makes an instance of a guest and opens the cache in it.
    pub(crate) fn start(&self, budget: &Budget, guest: &dyn Guest) -> Result<Running, Fault> {
        let mut call = self.call(Callback::Init);
        let started = guarded(|| {
            let mut callbacks = guest.instantiate(Arc::clone(&self.keeper) as _, &self.keeper.limits)?;
            let start = start();
            let answer = callbacks.init(&mut call, &self.init_args);
            self.keeper.stats.calls.time(Callback::Init, start.elapsed());
            Ok(Running { callbacks, cache_ref: answer?, purse: Purse::new(self.keeper.budget.clone()) })
        });
        self.keeper.stats.calls.call(Callback::Init, call.fuel);
        budget.overdraw(self.keeper.clock.now_ms(), self.cost(&call, started.is_err()));
        started
    }

    /// Calls an instance that is not seated on the owner thread, whatever the budget has left.
    pub(crate) fn call_on<T>(
        &self,
        budget: &Budget,
        running: &mut Running,
        call: &mut Call,
        ask: impl FnOnce(&mut dyn Callbacks, &mut Call, CacheRef) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let answer = metered(&self.keeper.stats.calls, running, call, ask);
        budget.overdraw(self.keeper.clock.now_ms(), self.cost(call, answer.is_err()));
        answer
    }

    /// Asks the instance in a locked seat. On a fault the instance is dropped and the owner thread told.
    ///
    /// While an operator holds the cache, nothing is asked. An instance that would miss a change by that is dropped: the one
    /// that comes after it has every session by replay.
    ///
    /// A reader's call is made if the tenant's budget has its grant; an owner's always, since an owner's turn has waited
    /// for the budget.
    pub(crate) fn ask<T>(
        self: &Arc<Self>,
        instance: &Instance,
        seat: &mut Seat,
        call: &mut Call,
        ask: impl FnOnce(&mut dyn Callbacks, &mut Call, CacheRef) -> Result<T, Fault>,
    ) -> Result<T, Miss> {
        self.ask_by(self.keeper.clock.now_ms(), instance, seat, call, ask)
    }

    /// Like [`Cache::ask`], by a time that has been looked up a moment ago.
    #[inline(always)]
    pub(crate) fn ask_by<T>(
        self: &Arc<Self>,
        now_ms: u64,
        instance: &Instance,
        seat: &mut Seat,
        call: &mut Call,
        ask: impl FnOnce(&mut dyn Callbacks, &mut Call, CacheRef) -> Result<T, Fault>,
    ) -> Result<T, Miss> {
        let is_owners = call.callback().is_owners();
        let permit = match is_owners {
            true if self.is_held.load(Ordering::Acquire) => {
                drop(instance.vacate(seat));
                return Err(Miss::Down);
            }
            true => Permit { grant: self.grant(call) },
            false => self.may_ask(now_ms, seat, call.callback())?,
        };
        self.ask_permitted(now_ms, permit, (instance, seat), call, ask)
    }

    /// Like [`Cache::ask_by`], where [`Cache::may_ask`] has just said that it may be.
    #[inline(always)]
    pub(crate) fn ask_permitted<T>(
        self: &Arc<Self>,
        now_ms: u64,
        Permit { grant }: Permit,
        (instance, seat): (&Instance, &mut Seat),
        call: &mut Call,
        ask: impl FnOnce(&mut dyn Callbacks, &mut Call, CacheRef) -> Result<T, Fault>,
    ) -> Result<T, Miss> {
        let is_owners = call.callback().is_owners();
        let Some(running) = &mut seat.0 else { return Err(Miss::Down) };
        let from_ns = self.paid_calls(running, call.callback()).map(|calls| (calls, self.keeper.clock.thread_ns()));
        let answer = metered(&instance.counts, running, call, ask);
        if let Some((calls, from_ns)) = from_ns {
            let ns = self.keeper.clock.thread_ns().saturating_sub(from_ns).saturating_mul(calls);
            instance.counts.reader_time(ns);
            running.purse.pay_time(now_ms, ns);
        }
        let cost = self.cost(call, answer.is_err());
        match is_owners {
            true => self.keeper.budget.overdraw(now_ms, cost),
            false => running.purse.pay(now_ms, grant, cost),
        }
        instance.see_memory(running);
        answer.map_err(|fault| {
            // Of that the guest knows nothing.
            if matches!(fault, Fault::ThreadStack { .. }) {
                return self.trouble(Trouble::Thread { callback: call.callback(), fault: &fault });
            }
            drop(instance.vacate(seat));
            self.trouble(Trouble::Fault { callback: call.callback(), fault: &fault })
        })
    }

    /// Whether a reader may call the instance in a locked seat by now: it runs, nobody holds the cache, and the tenant's budget has
    /// what the call may use.
    ///
    /// # Errors
    /// Why it may not, which has been counted.
    #[inline(always)]
    pub(crate) fn may_ask(self: &Arc<Self>, now_ms: u64, seat: &mut Seat, callback: Callback) -> Result<Permit, Miss> {
        if self.is_held.load(Ordering::Acquire) {
            return Err(Miss::Down);
        }
        let Some(running) = &mut seat.0 else { return Err(Miss::Down) };
        let grant = self.keeper.limits.grant(callback).fuel;
        match running.purse.hold(now_ms, grant) {
            Ok(()) => Ok(Permit { grant }),
            Err(miss) => Err(self.trouble(Trouble::Over(miss))),
        }
    }

    /// For how many calls a reader's next one pays in time, if it is timed at all. What an owner thread calls is paid with its turn.
    #[inline(always)]
    fn paid_calls(&self, running: &mut Running, callback: Callback) -> Option<u64> {
        match callback {
            Callback::Lookup => running.purse.is_timed().then_some(TIMED),
            Callback::SelectSession | Callback::Size | Callback::Foldl => Some(1),
            Callback::Init | Callback::Update | Callback::Delete | Callback::Terminate => None,
        }
    }

    /// The one place that says what trouble with a guest leads to. For the call it is always a miss; for the cache:
    ///
    /// | trouble | what follows |
    /// |---|---|
    /// | false claim, busy, over budget | it is counted |
    /// | a thread with too little stack | it is counted and told; the instance goes on |
    /// | fault | it is counted; the instance has been dropped, and a new one is due after the backoff |
    /// | the eighth fault within a minute of another | no instance is asked for the longest backoff |
    pub(crate) fn trouble(self: &Arc<Self>, trouble: Trouble<'_>) -> Miss {
        match trouble {
            Trouble::FalseClaim => {
                self.keeper.stats.false_claims.add(1);
                Miss::FalseClaim
            }
            Trouble::Busy => Miss::Busy,
            Trouble::Over(miss) => miss,
            Trouble::Thread { callback, fault } => {
                self.keeper.note_fault(callback, fault);
                if self.keeper.may_log() {
                    let (tenant, role) = (self.keeper.tenant.as_str(), self.keeper.role.name());
                    tracing::warn!(tenant, role, callback = callback.name(), "the guest was not asked: {fault}");
                }
                Miss::Fault
            }
            Trouble::Fault { callback, fault } => {
                let is_suspended = self.with_breaker(|breaker| {
                    breaker.fault(self.keeper.clock.now_ms());
                    breaker.is_suspended()
                });
                self.end_waking();
                // Afterwards: whoever sees it counted sees what follows from it.
                self.keeper.note_fault(callback, fault);
                let (tenant, role) = (self.keeper.tenant.as_str(), self.keeper.role.name());
                let (kind, callback) = (fault.kind().name(), callback.name());
                tracing::warn!(tenant, role, callback, kind, is_suspended, "guest fault: {fault}");
                self.schedule();
                Miss::Fault
            }
        }
    }

    /// Runs the host's own code for a read. A panic in it is a fault of this cache, and a miss.
    #[inline(always)]
    pub(crate) fn guard_read<T>(
        self: &Arc<Self>,
        callback: Callback,
        read: impl FnOnce() -> Result<T, Miss>,
    ) -> Result<T, Miss> {
        catch_unwind(AssertUnwindSafe(read))
            .unwrap_or_else(|_| Err(self.trouble(Trouble::Fault { callback, fault: &Fault::Panic })))
    }

    fn grant(&self, call: &Call) -> u64 {
        self.keeper.limits.grant(call.callback()).fuel
    }

    /// What a call costs: what it has burned, in host calls and in start functions as well; at least its grant if it failed.
    fn cost(&self, call: &Call, is_fault: bool) -> u64 {
        if is_fault { call.fuel.max(self.grant(call)) } else { call.fuel }
    }

    /// Puts the cache into the queue of its owner thread, unless it is there. The thread comes to it in a moment.
    pub(crate) fn schedule(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::AcqRel) {
            self.lines.line().push(Arc::clone(self) as _);
        }
    }

    /// Like [`Cache::schedule`], for what somebody waits for.
    pub(crate) fn hurry(self: &Arc<Self>) {
        self.schedule();
        self.lines.line().hurry();
    }

    /// Notes that every instance runs, if it does.
    pub(crate) fn recovered(&self) {
        self.with_breaker(|breaker| {
            // A fault empties its seat before it takes the breaker, so none can come in between unseen.
            if !self.instances.iter().any(Instance::is_down) {
                breaker.recovered();
            }
        });
    }

    /// The one place that changes the breaker, and what mirrors it.
    pub(crate) fn with_breaker<T>(&self, change: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breaker = self.breaker.lock();
        let changed = change(&mut breaker);
        self.is_held.store(breaker.is_held(), Ordering::Release);
        self.is_suspended.store(breaker.is_held() || breaker.is_suspended(), Ordering::Release);
        changed
    }

    /// Asks no instance any more, until [`Cache::resume`]. The owner thread drops them in its next turn.
    pub(crate) fn suspend(self: &Arc<Self>) {
        tracing::info!(tenant = self.keeper.tenant, role = self.keeper.role.name(), "suspended by the operator");
        self.retire();
    }

    /// Asks no instance any more, as the cache gives way to another one.
    pub(crate) fn retire(self: &Arc<Self>) {
        self.with_breaker(Breaker::hold);
        self.end_waking();
        self.hurry();
    }

    /// Ends every suspension. The owner thread builds the instances that are down.
    pub(crate) fn resume(self: &Arc<Self>) {
        self.with_breaker(Breaker::release);
        tracing::info!(tenant = self.keeper.tenant, role = self.keeper.role.name(), "resumed by the operator");
        self.hurry();
    }

    /// Has the owner thread build instances again, if they have been given up. [`Cache::await_seat`] waits for the first.
    pub(crate) fn wake(self: &Arc<Self>) {
        let is_suspended = || self.is_suspended.load(Ordering::Acquire);
        if is_suspended() {
            return;
        }
        if self.go_over(sleep::IDLE, sleep::WAKING) {
            self.hurry();
        }
        // Nothing is built for one that has been suspended meanwhile.
        if is_suspended() {
            self.end_waking();
        }
    }

    /// Goes over from one state of sleep to another, if it is the one that there is.
    pub(crate) fn go_over(&self, from: u8, to: u8) -> bool {
        self.sleep.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Whether the instances have been given up.
    pub(crate) fn is_idle(&self) -> bool {
        self.sleep.load(Ordering::SeqCst) == sleep::IDLE
    }

    /// How many calls have been made into the seated instances.
    pub(crate) fn calls_made(&self) -> u64 {
        self.instances.iter().map(|instance| instance.counts.all()).sum()
    }

    pub(crate) fn is_all_down(&self) -> bool {
        self.instances.iter().all(Instance::is_down)
    }

    /// Whether the first instance has lately been told of as many lookups as it is told at a time.
    pub(crate) fn are_echoes_late(&self) -> bool {
        self.keeper.clock.now_ms() < self.echo_at_ms.load(Ordering::Relaxed)
    }

    /// Begins a pause in which readers note no lookups.
    pub(crate) fn pause_echoes(&self) {
        self.echo_at_ms.store(self.keeper.clock.now_ms() + ECHO_PAUSE_MS, Ordering::Relaxed);
    }

    pub(crate) fn state(&self) -> CacheState {
        if self.is_ended.load(Ordering::Acquire) {
            CacheState::Ended
        } else if self.is_suspended.load(Ordering::Acquire) {
            CacheState::Suspended
        } else if self.is_idle() {
            CacheState::Idle
        } else if self.instances.iter().any(Instance::is_down) {
            CacheState::Restarting
        } else {
            CacheState::Running
        }
    }

    pub(crate) fn stats(&self) -> CacheStats {
        let mut lookup_ns: Histogram<u32> = Histogram::new(2).expect("two significant digits are allowed");
        for instance in &self.instances {
            lookup_ns.add(&*instance.lookup_ns.lock()).expect("the sum grows by itself");
        }
        let memory_bytes = self.instances.iter().map(|instance| instance.memory_bytes.load(Ordering::Relaxed)).sum();
        let state = self.state();
        let is_held = state == CacheState::Suspended && self.is_held.load(Ordering::Acquire);
        let is_rolled_back = self.is_rolled_back.load(Ordering::Acquire);
        let calls = self.instances.iter().map(|instance| &instance.counts).collect();
        let reads = &self.reads;
        self.keeper.stats(Reading { reads, calls, state, is_held, is_rolled_back, memory_bytes, lookup_ns })
    }
}
