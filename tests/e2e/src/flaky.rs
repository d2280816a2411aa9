//! Faults on purpose: a guest whose every callback fails now and then.

use std::sync::{Arc, Mutex, PoisonError};

use innkeeper_proxy::core::{
    Acc, CacheRef, Call, Callbacks, Claim, Fault, FoldFun, Guest, Host, InitArgs, Key, Limits, PartialKey, Session,
};

/// A guest that fails one call in so many, before the real guest is asked. Which ones is the same each time.
pub struct Flaky {
    guest: Arc<dyn Guest>,
    one_in: u64,
    numbers: Arc<Mutex<u64>>,
}

impl Flaky {
    /// Wraps a guest.
    pub fn new(guest: Arc<dyn Guest>, one_in: u64) -> Self {
        Self { guest, one_in, numbers: Arc::new(Mutex::new(1)) }
    }
}

impl Guest for Flaky {
    fn instantiate(&self, host: Arc<dyn Host>, limits: &Limits) -> Result<Box<dyn Callbacks>, Fault> {
        let inner = self.guest.instantiate(host, limits)?;
        Ok(Box::new(FlakyInstance { inner, one_in: self.one_in, numbers: Arc::clone(&self.numbers) }))
    }
}

struct FlakyInstance {
    inner: Box<dyn Callbacks>,
    one_in: u64,
    numbers: Arc<Mutex<u64>>,
}

impl FlakyInstance {
    fn fail_now_and_then(&self) -> Result<(), Fault> {
        let mut number = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        // Numerical Recipes' generator; its upper bits are random enough for this.
        *number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match (*number >> 33).is_multiple_of(self.one_in) {
            true => Err(Fault::Trap { reason: "injected".into() }),
            false => Ok(()),
        }
    }
}

impl Callbacks for FlakyInstance {
    fn init(&mut self, call: &mut Call, args: &InitArgs) -> Result<CacheRef, Fault> {
        self.inner.init(call, args)
    }

    fn terminate(&mut self, call: &mut Call, cache: CacheRef) -> Result<(), Fault> {
        self.fail_now_and_then()?;
        self.inner.terminate(call, cache)
    }

    fn update(&mut self, call: &mut Call, cache: CacheRef, key: Key, session: Session) -> Result<(), Fault> {
        self.fail_now_and_then()?;
        self.inner.update(call, cache, key, session)
    }

    fn delete(&mut self, call: &mut Call, cache: CacheRef, key: Key) -> Result<(), Fault> {
        self.fail_now_and_then()?;
        self.inner.delete(call, cache, key)
    }

    fn lookup(&mut self, call: &mut Call, cache: CacheRef, key: Key) -> Result<Option<Claim>, Fault> {
        self.fail_now_and_then()?;
        self.inner.lookup(call, cache, key)
    }

    fn select_session(&mut self, call: &mut Call, cache: CacheRef, partial: PartialKey) -> Result<Vec<Claim>, Fault> {
        self.fail_now_and_then()?;
        self.inner.select_session(call, cache, partial)
    }

    fn size(&mut self, call: &mut Call, cache: CacheRef) -> Result<u64, Fault> {
        self.fail_now_and_then()?;
        self.inner.size(call, cache)
    }

    fn foldl(&mut self, call: &mut Call, fun: FoldFun, acc: Acc, cache: CacheRef) -> Result<Acc, Fault> {
        self.fail_now_and_then()?;
        self.inner.foldl(call, fun, acc, cache)
    }
}
