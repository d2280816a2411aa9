//! The contract between the host and the code that decides about sessions: a component, or native code.

use std::sync::Arc;

use crate::contract::{
    callback::Callback,
    fault::{Fault, Misuse},
    limits::Limits,
    scalar::{Acc, CacheRef, Claim, Element, FoldFun, InitArgs, Key, Level, PartialKey, Session, SessionInfo},
};

/// One running instance of a guest: OTP's `ssl_session_cache_api`, with sessions as numbers.
///
/// An error drops the instance; the cache builds a new one from the vault. Calls never overlap.
pub trait Callbacks: Send {
    /// Opens a cache.
    fn init(&mut self, call: &mut Call, args: &InitArgs) -> Result<CacheRef, Fault>;
    /// Closes a cache.
    fn terminate(&mut self, call: &mut Call, cache: CacheRef) -> Result<(), Fault>;
    /// Registers a session.
    fn update(&mut self, call: &mut Call, cache: CacheRef, key: Key, session: Session) -> Result<(), Fault>;
    /// Forgets the session under a key, if there is one.
    fn delete(&mut self, call: &mut Call, cache: CacheRef, key: Key) -> Result<(), Fault>;
    /// Finds the session under a key.
    fn lookup(&mut self, call: &mut Call, cache: CacheRef, key: Key) -> Result<Option<Claim>, Fault>;
    /// Gives the sessions of a partial key, best first.
    fn select_session(&mut self, call: &mut Call, cache: CacheRef, partial: PartialKey) -> Result<Vec<Claim>, Fault>;
    /// Counts the sessions.
    fn size(&mut self, call: &mut Call, cache: CacheRef) -> Result<u64, Fault>;
    /// Threads the accumulator through [`Call::apply`] for each session.
    fn foldl(&mut self, call: &mut Call, fun: FoldFun, acc: Acc, cache: CacheRef) -> Result<Acc, Fault>;
    /// The instance's memory in bytes, where it has one of its own. Runs nothing of the guest's.
    fn memory_bytes(&self) -> Option<usize> {
        None
    }
    /// Checks that the running thread can call the guest: that it has the stack for it. The host asks before each call.
    fn check_thread(&self) -> Result<(), Fault> {
        Ok(())
    }
}

/// A guest that is ready to run: makes instances.
pub trait Guest: Send + Sync {
    /// Makes an instance that may ask `host` and is bound by `limits`. Blocking; costs microseconds for a component.
    fn instantiate(&self, host: Arc<dyn Host>, limits: &Limits) -> Result<Box<dyn Callbacks>, Fault>;
}

/// The host as an instance may ask it at any time: the `host` interface of the WIT package, without the calls that
/// depend on the running callback (those are [`Call`]'s).
pub trait Host: Send + Sync {
    /// Tells a session's size and times, when the vault holds it.
    fn describe(&self, claim: Claim) -> Option<SessionInfo>;
    /// The time on the cache's clock.
    fn now_ms(&self) -> u64;
    /// Writes a line to the tenant's log, cut and rate limited.
    fn log(&self, level: Level, message: &str);
}

/// One running callback, with its requests to the host and its cost.
pub struct Call {
    callback: Callback,
    evictions: Vec<Claim>,
    elements: Vec<Element>,
    fold: Option<(FoldFun, Acc)>,
    named_max: usize,
    /// Fuel burned so far; stays zero where nothing is metered.
    pub fuel: u64,
}

impl Call {
    /// A call of `callback` that permits nothing, to stand in for a real one that was moved out, or that permits nothing
    /// either: a lookup, a selection, a count.
    #[inline]
    pub fn permitting_nothing(callback: Callback) -> Self {
        Self::new(callback, 0)
    }

    #[inline(always)]
    pub(crate) fn new(callback: Callback, named_max: usize) -> Self {
        Self { callback, evictions: Vec::new(), elements: Vec::new(), fold: None, named_max, fuel: 0 }
    }

    pub(crate) fn fold(named_max: usize, fun: FoldFun, acc: Acc) -> Self {
        Self { fold: Some((fun, acc)), ..Self::new(Callback::Foldl, named_max) }
    }

    /// The callback that runs.
    pub fn callback(&self) -> Callback {
        self.callback
    }

    /// Asks the vault to forget a session once the callback has returned.
    ///
    /// # Errors
    /// In a callback other than `update` and `delete`, or too often in one call.
    pub fn evict(&mut self, claim: Claim) -> Result<(), Misuse> {
        if !matches!(self.callback, Callback::Update | Callback::Delete) {
            return Err(Misuse::EvictOutsideOwner { callback: self.callback });
        }
        if self.evictions.len() >= self.named_max {
            return Err(Misuse::TooManyEvictions { limit: self.named_max });
        }
        self.evictions.push(claim);
        Ok(())
    }

    /// Records one element of the running fold, and gives the next accumulator.
    ///
    /// # Errors
    /// Outside a fold, with another fold's function, with an accumulator other than the last one, or too often.
    pub fn apply(&mut self, fun: FoldFun, element: Element, acc: Acc) -> Result<Acc, Misuse> {
        let Some((own_fun, last)) = self.fold else {
            return Err(Misuse::ApplyOutsideFold { callback: self.callback });
        };
        if fun != own_fun {
            return Err(Misuse::UnknownFun);
        }
        if acc != last {
            return Err(Misuse::BrokenAcc);
        }
        if self.elements.len() >= self.named_max {
            return Err(Misuse::TooManyElements { limit: self.named_max });
        }
        self.elements.push(element);
        let next = Acc(acc.0 + 1);
        self.fold = Some((fun, next));
        Ok(next)
    }

    pub(crate) fn into_evictions(self) -> Vec<Claim> {
        self.evictions
    }

    /// The elements of a fold that returned `last`, or none if that is not the last accumulator.
    pub(crate) fn into_elements(self, last: Acc) -> Option<Vec<Element>> {
        let (_, own_last) = self.fold?;
        (own_last == last).then_some(self.elements)
    }
}
