//! Doubles for tests: a guest around another guest, and an open cache.
//!
//! The outer guest changes the callbacks that a test is about; the inner guest answers the rest.
//!
//! A test implements [`Intercept`] for what it changes, or passes a closure that runs before every callback:
//!
//! ```
//! use innkeeper_core::{Callback, Fault};
//! use innkeeper_doubles::hooked;
//!
//! let guest = hooked(|call| match call.callback() {
//!     Callback::Lookup => Err(Fault::Trap { reason: "injected".into() }),
//!     _ => Ok(()),
//! });
//! # drop(guest);
//! ```

#![forbid(unsafe_code)]

mod cache;

use std::sync::Arc;

use innkeeper_core::{
    Acc, CacheRef, Call, Callbacks, Claim, Fault, FoldFun, Guest, Host, InitArgs, Key, Limits, NativeLru, PartialKey,
    Session,
};

pub use crate::cache::{TestCache, await_state, come_back, name, patient, secret};

/// Changes to an instance. Every method has a default that hands the call on to `inner` unchanged.
///
/// The value lives as long as the instance; state that instances share goes behind an `Arc`.
pub trait Intercept: Send {
    /// Runs before every callback. An error is the answer, and the inner guest is not called.
    fn before(&mut self, _call: &mut Call) -> Result<(), Fault> {
        Ok(())
    }

    /// Opens a cache.
    fn init(&mut self, inner: &mut dyn Callbacks, call: &mut Call, args: &InitArgs) -> Result<CacheRef, Fault> {
        inner.init(call, args)
    }

    /// Closes a cache.
    fn terminate(&mut self, inner: &mut dyn Callbacks, call: &mut Call, cache: CacheRef) -> Result<(), Fault> {
        inner.terminate(call, cache)
    }

    /// Registers a session.
    fn update(
        &mut self,
        inner: &mut dyn Callbacks,
        call: &mut Call,
        cache: CacheRef,
        key: Key,
        session: Session,
    ) -> Result<(), Fault> {
        inner.update(call, cache, key, session)
    }

    /// Forgets a session.
    fn delete(&mut self, inner: &mut dyn Callbacks, call: &mut Call, cache: CacheRef, key: Key) -> Result<(), Fault> {
        inner.delete(call, cache, key)
    }

    /// Finds a session.
    fn lookup(
        &mut self,
        inner: &mut dyn Callbacks,
        call: &mut Call,
        cache: CacheRef,
        key: Key,
    ) -> Result<Option<Claim>, Fault> {
        inner.lookup(call, cache, key)
    }

    /// Gives the sessions of a partial key.
    fn select_session(
        &mut self,
        inner: &mut dyn Callbacks,
        call: &mut Call,
        cache: CacheRef,
        partial: PartialKey,
    ) -> Result<Vec<Claim>, Fault> {
        inner.select_session(call, cache, partial)
    }

    /// Counts the sessions.
    fn size(&mut self, inner: &mut dyn Callbacks, call: &mut Call, cache: CacheRef) -> Result<u64, Fault> {
        inner.size(call, cache)
    }

    /// Visits every session.
    fn foldl(
        &mut self,
        inner: &mut dyn Callbacks,
        call: &mut Call,
        fun: FoldFun,
        acc: Acc,
        cache: CacheRef,
    ) -> Result<Acc, Fault> {
        inner.foldl(call, fun, acc, cache)
    }

    /// The instance's memory in bytes, if it has memory of its own.
    fn memory_bytes(&self, inner: &dyn Callbacks) -> Option<usize> {
        inner.memory_bytes()
    }

    /// Checks that the running thread can call the guest.
    fn check_thread(&self, inner: &dyn Callbacks) -> Result<(), Fault> {
        inner.check_thread()
    }
}

/// The change that a closure makes: it runs before every callback.
pub struct Before<F>(F);

impl<F: FnMut(&mut Call) -> Result<(), Fault> + Send> Intercept for Before<F> {
    fn before(&mut self, call: &mut Call) -> Result<(), Fault> {
        (self.0)(call)
    }
}

/// Runs a closure before every callback; its error is the callback's answer.
pub fn before<F: FnMut(&mut Call) -> Result<(), Fault> + Send>(run: F) -> Before<F> {
    Before(run)
}

/// Wraps a guest. `make` returns the change for each new instance, which may ask the host that it is given.
pub fn intercepted<F, I>(guest: Arc<dyn Guest>, make: F) -> Arc<dyn Guest>
where
    F: Fn(&Arc<dyn Host>) -> I + Send + Sync + 'static,
    I: Intercept + 'static,
{
    Arc::new(Intercepting { guest, make })
}

/// Runs a closure before every callback of every instance of the native guest.
pub fn hooked(hook: impl Fn(&mut Call) -> Result<(), Fault> + Send + Sync + 'static) -> Arc<dyn Guest> {
    let hook = Arc::new(hook);
    intercepted(Arc::new(NativeLru), move |_host| {
        let hook = Arc::clone(&hook);
        before(move |call| hook(call))
    })
}

struct Intercepting<F> {
    guest: Arc<dyn Guest>,
    make: F,
}

impl<F, I> Guest for Intercepting<F>
where
    F: Fn(&Arc<dyn Host>) -> I + Send + Sync,
    I: Intercept + 'static,
{
    fn instantiate(&self, host: Arc<dyn Host>, limits: &Limits) -> Result<Box<dyn Callbacks>, Fault> {
        let inner = self.guest.instantiate(Arc::clone(&host), limits)?;
        Ok(Box::new(Intercepted { by: (self.make)(&host), inner }))
    }
}

/// A running instance, and the change that comes before it.
struct Intercepted<I> {
    by: I,
    inner: Box<dyn Callbacks>,
}

impl<I: Intercept> Callbacks for Intercepted<I> {
    fn init(&mut self, call: &mut Call, args: &InitArgs) -> Result<CacheRef, Fault> {
        self.by.before(call)?;
        self.by.init(&mut *self.inner, call, args)
    }

    fn terminate(&mut self, call: &mut Call, cache: CacheRef) -> Result<(), Fault> {
        self.by.before(call)?;
        self.by.terminate(&mut *self.inner, call, cache)
    }

    fn update(&mut self, call: &mut Call, cache: CacheRef, key: Key, session: Session) -> Result<(), Fault> {
        self.by.before(call)?;
        self.by.update(&mut *self.inner, call, cache, key, session)
    }

    fn delete(&mut self, call: &mut Call, cache: CacheRef, key: Key) -> Result<(), Fault> {
        self.by.before(call)?;
        self.by.delete(&mut *self.inner, call, cache, key)
    }

    fn lookup(&mut self, call: &mut Call, cache: CacheRef, key: Key) -> Result<Option<Claim>, Fault> {
        self.by.before(call)?;
        self.by.lookup(&mut *self.inner, call, cache, key)
    }

    fn select_session(&mut self, call: &mut Call, cache: CacheRef, partial: PartialKey) -> Result<Vec<Claim>, Fault> {
        self.by.before(call)?;
        self.by.select_session(&mut *self.inner, call, cache, partial)
    }

    fn size(&mut self, call: &mut Call, cache: CacheRef) -> Result<u64, Fault> {
        self.by.before(call)?;
        self.by.size(&mut *self.inner, call, cache)
    }

    fn foldl(&mut self, call: &mut Call, fun: FoldFun, acc: Acc, cache: CacheRef) -> Result<Acc, Fault> {
        self.by.before(call)?;
        self.by.foldl(&mut *self.inner, call, fun, acc, cache)
    }

    fn check_thread(&self) -> Result<(), Fault> {
        self.by.check_thread(&*self.inner)
    }

    fn memory_bytes(&self) -> Option<usize> {
        self.by.memory_bytes(&*self.inner)
    }
}
