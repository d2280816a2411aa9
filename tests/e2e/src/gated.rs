//! A guest that waits on purpose, for as long as a test wants.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use innkeeper_proxy::core::{
    Acc, CacheRef, Call, Callback, Callbacks, Claim, Fault, FoldFun, Guest, Host, InitArgs, Key, Limits, PartialKey,
    Session,
};

/// A gate that calls of one callback wait at while it is shut.
#[derive(Clone)]
pub struct Gate {
    callback: Callback,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    is_shut: bool,
    waiting: usize,
}

/// A gate that is shut.
#[expect(unnameable_types, reason = "it is held and dropped")]
#[must_use = "the gate is open as soon as it is dropped"]
pub struct Shut(Gate);

impl Drop for Shut {
    fn drop(&mut self) {
        self.0.lock().is_shut = false;
        self.0.state.1.notify_all();
    }
}

/// Longer than any test.
const WAIT_MAX: Duration = Duration::from_secs(120);

impl Gate {
    /// A gate that is open.
    pub fn new(callback: Callback) -> Self {
        Self { callback, state: Arc::default() }
    }

    /// Shuts the gate, until what this gives is dropped.
    pub fn shut(&self) -> Shut {
        self.lock().is_shut = true;
        Shut(self.clone())
    }

    /// Waits until a call waits at the gate.
    ///
    /// # Panics
    /// When none comes.
    pub fn await_call(&self) {
        let state = self.state.1.wait_timeout_while(self.lock(), WAIT_MAX, |state| state.waiting == 0);
        let waited = state.unwrap_or_else(PoisonError::into_inner).1;
        assert!(!waited.timed_out(), "a call comes to the gate");
    }

    /// A guest whose calls wait here.
    pub fn around(&self, guest: Arc<dyn Guest>) -> Arc<dyn Guest> {
        Arc::new(Gated { guest, gate: self.clone() })
    }

    fn pass(&self, callback: Callback) {
        if callback != self.callback {
            return;
        }
        let mut state = self.lock();
        state.waiting += 1;
        self.state.1.notify_all();
        let waited = self.state.1.wait_timeout_while(state, WAIT_MAX, |state| state.is_shut);
        waited.unwrap_or_else(PoisonError::into_inner).0.waiting -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Gated {
    guest: Arc<dyn Guest>,
    gate: Gate,
}

impl Guest for Gated {
    fn instantiate(&self, host: Arc<dyn Host>, limits: &Limits) -> Result<Box<dyn Callbacks>, Fault> {
        let inner = self.guest.instantiate(host, limits)?;
        Ok(Box::new(GatedInstance { inner, gate: self.gate.clone() }))
    }
}

struct GatedInstance {
    inner: Box<dyn Callbacks>,
    gate: Gate,
}

impl Callbacks for GatedInstance {
    fn init(&mut self, call: &mut Call, args: &InitArgs) -> Result<CacheRef, Fault> {
        self.gate.pass(Callback::Init);
        self.inner.init(call, args)
    }

    fn terminate(&mut self, call: &mut Call, cache: CacheRef) -> Result<(), Fault> {
        self.gate.pass(Callback::Terminate);
        self.inner.terminate(call, cache)
    }

    fn update(&mut self, call: &mut Call, cache: CacheRef, key: Key, session: Session) -> Result<(), Fault> {
        self.gate.pass(Callback::Update);
        self.inner.update(call, cache, key, session)
    }

    fn delete(&mut self, call: &mut Call, cache: CacheRef, key: Key) -> Result<(), Fault> {
        self.gate.pass(Callback::Delete);
        self.inner.delete(call, cache, key)
    }

    fn lookup(&mut self, call: &mut Call, cache: CacheRef, key: Key) -> Result<Option<Claim>, Fault> {
        self.gate.pass(Callback::Lookup);
        self.inner.lookup(call, cache, key)
    }

    fn select_session(&mut self, call: &mut Call, cache: CacheRef, partial: PartialKey) -> Result<Vec<Claim>, Fault> {
        self.gate.pass(Callback::SelectSession);
        self.inner.select_session(call, cache, partial)
    }

    fn size(&mut self, call: &mut Call, cache: CacheRef) -> Result<u64, Fault> {
        self.gate.pass(Callback::Size);
        self.inner.size(call, cache)
    }

    fn foldl(&mut self, call: &mut Call, fun: FoldFun, acc: Acc, cache: CacheRef) -> Result<Acc, Fault> {
        self.gate.pass(Callback::Foldl);
        self.inner.foldl(call, fun, acc, cache)
    }
}
