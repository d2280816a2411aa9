//! Every lock of this crate, from one place, so that a schedule explorer can take their place.

use std::time::Duration;

pub(crate) use parking_lot::{Condvar, MutexGuard, RwLock};

/// A mutex that can be waited for with a deadline. A panic while it is held does not poison it.
#[derive(Default)]
pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(parking_lot::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock()
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock()
    }

    /// Takes the lock, or gives up after `deadline`.
    pub(crate) fn lock_within(&self, deadline: Duration) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock_for(deadline)
    }
}
