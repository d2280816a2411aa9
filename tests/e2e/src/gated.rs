//! A guest whose calls wait until the test lets them go on.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use innkeeper_doubles::{before, intercepted};
use innkeeper_proxy::core::{Callback, Guest};

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

/// A shut gate, which opens when this is dropped.
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
    /// Makes an open gate.
    pub fn new(callback: Callback) -> Self {
        Self { callback, state: Arc::default() }
    }

    /// Shuts the gate until the returned value is dropped.
    pub fn shut(&self) -> Shut {
        self.lock().is_shut = true;
        Shut(self.clone())
    }

    /// Waits until this number of calls wait at the gate.
    ///
    /// # Panics
    /// If fewer come.
    pub fn await_calls(&self, calls: usize) {
        let state = self.state.1.wait_timeout_while(self.lock(), WAIT_MAX, |state| state.waiting < calls);
        let waited = state.unwrap_or_else(PoisonError::into_inner).1;
        assert!(!waited.timed_out(), "calls come to the gate");
    }

    /// The number of calls that wait at the gate.
    pub fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// Wraps a guest so that its calls wait at this gate.
    pub fn around(&self, guest: Arc<dyn Guest>) -> Arc<dyn Guest> {
        let gate = self.clone();
        intercepted(guest, move |_host| {
            let gate = gate.clone();
            before(move |call| {
                gate.pass(call.callback());
                Ok(())
            })
        })
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
