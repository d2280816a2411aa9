//! One live instance of a guest: the one way to call it, to count the call, and to pay for it.
//!
//! Readers, the owner thread, a replay, the candidates of an upgrade and [`Solo`](crate::Solo) all call through
//! [`Live`].

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::{
    clock::Clock,
    contract::{
        callback::Callback,
        callbacks::{Call, Callbacks, Guest, Host},
        error::Miss,
        fault::Fault,
        limits::Limits,
        scalar::{Acc, CacheRef, Claim, Element, FoldFun, InitArgs, Key, PartialKey, Session},
    },
    guest::{
        budget::{Budget, Credit, Permit},
        meter::{CallCounts, start},
    },
};

/// The result of one call.
#[derive(Debug)]
pub struct Outcome<T> {
    /// The guest's answer, or its fault.
    pub answer: Result<T, Fault>,
    /// The fuel that it burned. Nothing where nothing is metered.
    pub fuel: u64,
    /// The claims that it asked the vault to forget, in order.
    pub evicted: Vec<Claim>,
}

/// Whoever pays for a call.
#[derive(Clone, Copy)]
pub(crate) enum Payer<'a> {
    /// A reader: the instance's local credit, which has the grant already. It pays for time by a sample.
    Reader { now_ms: u64, permit: Permit },
    /// The owner thread, or an upgrade: a budget that was not overdrawn when the turn began. Its turn pays for time.
    Budget(&'a Budget),
    /// Nobody: the caller bounds its calls itself.
    Nobody,
}

/// The account of a call: the limits that bound it, the counters that it is counted in, and who pays.
#[derive(Clone, Copy)]
pub(crate) struct Account<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) clock: &'a Clock,
    pub(crate) counts: &'a CallCounts,
    pub(crate) payer: Payer<'a>,
}

impl Account<'_> {
    /// The price of a call: all that it has burned, in host calls and in start functions as well; at least its grant if
    /// it failed.
    fn cost(&self, callback: Callback, fuel: u64, fault: Option<&Fault>) -> u64 {
        match fault {
            // The guest was not called.
            Some(Fault::ThreadStack { .. }) => 0,
            Some(_) => fuel.max(self.limits.grant(callback).fuel),
            None => fuel,
        }
    }

    fn overdraw(&self, budget: &Budget, cost: u64) {
        budget.overdraw(self.clock.now_ms(), cost);
    }
}

/// The reason why a reader may not call an instance.
pub(crate) enum Refused {
    /// The tenant's budget is used up.
    Budget(Miss),
    /// The calling thread has too little stack.
    Thread(Fault),
}

/// A panic of the host's own code on the way to a guest or back ends at this boundary.
#[inline(always)]
fn guarded<T>(ask: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(ask)).unwrap_or(Err(Fault::Panic))
}

/// An instance whose `init` has succeeded, with the cache that is open in it.
pub(crate) struct Live {
    callbacks: Box<dyn Callbacks>,
    cache: CacheRef,
    credit: Credit,
}

impl Live {
    /// Makes an instance of a guest and opens a cache in it. `budget` is the one that readers' calls are paid from
    /// later.
    pub(crate) fn open(
        guest: &dyn Guest,
        host: Arc<dyn Host>,
        args: &InitArgs,
        budget: &Budget,
        account: Account<'_>,
    ) -> Outcome<Self> {
        let callbacks = match guarded(|| guest.instantiate(host, account.limits)) {
            Ok(callbacks) => callbacks,
            Err(fault) => return Self::not_made(account, fault),
        };
        let mut live = Self { callbacks, cache: CacheRef(0), credit: Credit::new(budget.clone()) };
        let Outcome { answer, fuel, evicted } = live.open_another(args, account);
        Outcome { answer: answer.map(|_| live), fuel, evicted }
    }

    /// Counts and pays for an instance that could not be made.
    fn not_made(account: Account<'_>, fault: Fault) -> Outcome<Self> {
        account.counts.call(Callback::Init, 0);
        if let Payer::Budget(budget) = account.payer {
            account.overdraw(budget, account.cost(Callback::Init, 0, Some(&fault)));
        }
        Outcome { answer: Err(fault), fuel: 0, evicted: Vec::new() }
    }

    /// Opens one more cache in the instance; later calls are about that one.
    pub(crate) fn open_another(&mut self, args: &InitArgs, account: Account<'_>) -> Outcome<CacheRef> {
        let outcome = self.call(account, Callback::Init, |callbacks, call, _| callbacks.init(call, args));
        if let Ok(cache) = outcome.answer {
            self.cache = cache;
        }
        outcome
    }

    /// The guest's own name for the cache that calls are about.
    pub(crate) fn cache(&self) -> CacheRef {
        self.cache
    }

    /// Makes later calls about another of the caches that are open in the instance.
    pub(crate) fn turn_to(&mut self, cache: CacheRef) {
        self.cache = cache;
    }

    /// The instance's memory in bytes, where it has one of its own.
    pub(crate) fn memory_bytes(&self) -> Option<usize> {
        self.callbacks.memory_bytes()
    }

    /// Permits a reader one call of `callback` on this thread: its grant is in the local credit from then on.
    ///
    /// # Errors
    /// The reason why not.
    #[inline(always)]
    pub(crate) fn permit(&mut self, now_ms: u64, limits: &Limits, callback: Callback) -> Result<Permit, Refused> {
        self.callbacks.check_thread().map_err(Refused::Thread)?;
        self.credit.permit(now_ms, limits.grant(callback).fuel).map_err(Refused::Budget)
    }

    /// Finds the session under a key.
    #[inline(always)]
    pub(crate) fn lookup(&mut self, account: Account<'_>, key: Key) -> Outcome<Option<Claim>> {
        self.read(account, Callback::Lookup, |callbacks, call, cache| callbacks.lookup(call, cache, key))
    }

    /// Registers a session.
    pub(crate) fn update(&mut self, account: Account<'_>, key: Key, session: Session) -> Outcome<()> {
        self.call(account, Callback::Update, |callbacks, call, cache| callbacks.update(call, cache, key, session))
    }

    /// Forgets the session under a key.
    pub(crate) fn delete(&mut self, account: Account<'_>, key: Key) -> Outcome<()> {
        self.call(account, Callback::Delete, |callbacks, call, cache| callbacks.delete(call, cache, key))
    }

    /// Gives the sessions of a partial key.
    pub(crate) fn select_session(&mut self, account: Account<'_>, partial: PartialKey) -> Outcome<Vec<Claim>> {
        self.read(account, Callback::SelectSession, |callbacks, call, cache| {
            callbacks.select_session(call, cache, partial)
        })
    }

    /// Counts the sessions.
    pub(crate) fn size(&mut self, account: Account<'_>) -> Outcome<u64> {
        self.read(account, Callback::Size, |callbacks, call, cache| callbacks.size(call, cache))
    }

    /// Folds, and gives the elements in the guest's order, or none if it did not give back the last accumulator.
    pub(crate) fn foldl(&mut self, account: Account<'_>, fun: FoldFun, acc: Acc) -> Outcome<Option<Vec<Element>>> {
        let mut call = Call::fold(account.limits.sessions_named(), fun, acc);
        let answer = self.metered(account, &mut call, |callbacks, call, cache| callbacks.foldl(call, fun, acc, cache));
        let fuel = call.fuel;
        Outcome { answer: answer.map(|last| call.into_elements(last)), fuel, evicted: Vec::new() }
    }

    /// Closes the cache.
    pub(crate) fn terminate(&mut self, account: Account<'_>) -> Outcome<()> {
        self.call(account, Callback::Terminate, |callbacks, call, cache| callbacks.terminate(call, cache))
    }

    /// Makes a call in which the guest may evict nothing.
    #[inline(always)]
    fn read<T>(
        &mut self,
        account: Account<'_>,
        callback: Callback,
        ask: impl FnOnce(&mut dyn Callbacks, &mut Call, CacheRef) -> Result<T, Fault>,
    ) -> Outcome<T> {
        let mut call = Call::permitting_nothing(callback);
        let answer = self.metered(account, &mut call, ask);
        Outcome { answer, fuel: call.fuel, evicted: Vec::new() }
    }

    #[inline(always)]
    fn call<T>(
        &mut self,
        account: Account<'_>,
        callback: Callback,
        ask: impl FnOnce(&mut dyn Callbacks, &mut Call, CacheRef) -> Result<T, Fault>,
    ) -> Outcome<T> {
        let mut call = Call::new(callback, account.limits.sessions_named());
        let answer = self.metered(account, &mut call, ask);
        Outcome { answer, fuel: call.fuel, evicted: call.into_evictions() }
    }

    /// Calls the guest, counts the call, and pays for it.
    #[inline(always)]
    fn metered<T>(
        &mut self,
        account: Account<'_>,
        call: &mut Call,
        ask: impl FnOnce(&mut dyn Callbacks, &mut Call, CacheRef) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let Account { clock, counts, payer, .. } = account;
        let callback = call.callback();
        let timed = match payer {
            Payer::Reader { .. } => self.credit.timed_calls(callback).map(|calls| (calls, clock.thread_ns())),
            Payer::Budget(_) | Payer::Nobody => {
                self.callbacks.check_thread()?;
                None
            }
        };
        // The time of a lookup is shown where its reader waits for it.
        let start = (callback != Callback::Lookup).then(start);
        let (callbacks, cache) = (&mut *self.callbacks, self.cache);
        let answer = guarded(|| ask(callbacks, call, cache));
        if let Some(start) = start {
            counts.time(callback, start.elapsed());
        }
        counts.call(callback, call.fuel);
        let cost = account.cost(callback, call.fuel, answer.as_ref().err());
        match payer {
            Payer::Reader { now_ms, permit } => {
                if let Some((calls, from_ns)) = timed {
                    let ns = clock.thread_ns().saturating_sub(from_ns).saturating_mul(calls);
                    counts.reader_time(ns);
                    self.credit.pay_time(now_ms, ns);
                }
                self.credit.pay(now_ms, permit, cost);
            }
            Payer::Budget(budget) => account.overdraw(budget, cost),
            Payer::Nobody => {}
        }
        answer
    }
}
