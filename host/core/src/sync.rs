//! Every lock, channel, atomic and thread of this crate, from one place, so that a schedule explorer can take their
//! place.
//!
//! Built with `--cfg shuttle` they are shuttle's. A wait with a deadline is then one without: time does not pass in an
//! explored schedule, so a wake-up that is lost is a deadlock, and is found.

#[cfg(not(any(shuttle, loom)))]
mod real {
    use std::{
        ops::{Deref, DerefMut},
        sync::PoisonError,
        time::Duration,
    };

    use crossbeam_utils::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};

    pub(crate) use std::sync::{atomic, mpsc};
    pub(crate) use std::thread;

    pub(crate) use parking_lot::MutexGuard;

    /// Waits for an answer, for at most `deadline`.
    pub(crate) fn receive_within<T>(answer: &mpsc::Receiver<T>, deadline: Duration) -> Option<T> {
        answer.recv_timeout(deadline).ok()
    }

    /// A mutex that can be waited for with a deadline. A panic while it is held does not poison it.
    #[derive(Debug, Default)]
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

    /// A lock for one writer or many readers. Among several readers' threads it is in shards: they share no cache line,
    /// and who writes takes every shard. A panic while it is held does not poison it.
    pub(crate) enum RwLock<T> {
        Whole(parking_lot::RwLock<T>),
        Sharded(Box<ShardedLock<T>>),
    }

    pub(crate) enum ReadGuard<'a, T> {
        Whole(parking_lot::RwLockReadGuard<'a, T>),
        Sharded(ShardedLockReadGuard<'a, T>),
    }

    pub(crate) enum WriteGuard<'a, T> {
        Whole(parking_lot::RwLockWriteGuard<'a, T>),
        Sharded(ShardedLockWriteGuard<'a, T>),
    }

    impl<T> RwLock<T> {
        /// For so many readers at a time.
        pub(crate) fn new(value: T, readers: usize) -> Self {
            match readers {
                0 | 1 => Self::Whole(parking_lot::RwLock::new(value)),
                _ => Self::Sharded(Box::new(ShardedLock::new(value))),
            }
        }

        pub(crate) fn read(&self) -> ReadGuard<'_, T> {
            match self {
                Self::Whole(lock) => ReadGuard::Whole(lock.read()),
                Self::Sharded(lock) => ReadGuard::Sharded(lock.read().unwrap_or_else(PoisonError::into_inner)),
            }
        }

        pub(crate) fn write(&self) -> WriteGuard<'_, T> {
            match self {
                Self::Whole(lock) => WriteGuard::Whole(lock.write()),
                Self::Sharded(lock) => WriteGuard::Sharded(lock.write().unwrap_or_else(PoisonError::into_inner)),
            }
        }
    }

    impl<T> Deref for ReadGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            match self {
                Self::Whole(guard) => guard,
                Self::Sharded(guard) => guard,
            }
        }
    }

    impl<T> Deref for WriteGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            match self {
                Self::Whole(guard) => guard,
                Self::Sharded(guard) => guard,
            }
        }
    }

    impl<T> DerefMut for WriteGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            match self {
                Self::Whole(guard) => guard,
                Self::Sharded(guard) => guard,
            }
        }
    }

    /// A condition to wait for, with a deadline.
    #[derive(Debug, Default)]
    pub(crate) struct Condvar(parking_lot::Condvar);

    impl Condvar {
        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }

        /// Waits to be notified, or for no reason, for at most `deadline`.
        pub(crate) fn wait_for<'a, T>(&self, mut guard: MutexGuard<'a, T>, deadline: Duration) -> MutexGuard<'a, T> {
            self.0.wait_for(&mut guard, deadline);
            guard
        }

        /// Waits until `condition` does not hold, for at most `deadline`.
        pub(crate) fn wait_while_for<T>(
            &self,
            mut guard: MutexGuard<'_, T>,
            condition: impl FnMut(&mut T) -> bool,
            deadline: Duration,
        ) {
            self.0.wait_while_for(&mut guard, condition, deadline);
        }
    }
}

#[cfg(shuttle)]
pub(crate) use explored::*;
#[cfg(loom)]
pub(crate) use modelled::*;
#[cfg(not(any(shuttle, loom)))]
pub(crate) use real::*;

#[cfg(shuttle)]
mod explored {
    use std::time::Duration;

    pub(crate) use shuttle::{
        sync::{MutexGuard, RwLockReadGuard as ReadGuard, RwLockWriteGuard as WriteGuard, atomic, mpsc},
        thread,
    };

    pub(crate) fn receive_within<T>(answer: &mpsc::Receiver<T>, _: Duration) -> Option<T> {
        answer.recv().ok()
    }

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("an explored panic ends the schedule")
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }

        pub(crate) fn lock_within(&self, _: Duration) -> Option<MutexGuard<'_, T>> {
            Some(self.lock())
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct RwLock<T>(shuttle::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn new(value: T, _: usize) -> Self {
            Self(shuttle::sync::RwLock::new(value))
        }

        pub(crate) fn read(&self) -> ReadGuard<'_, T> {
            self.0.read().expect("an explored panic ends the schedule")
        }

        pub(crate) fn write(&self) -> WriteGuard<'_, T> {
            self.0.write().expect("an explored panic ends the schedule")
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(shuttle::sync::Condvar);

    impl Condvar {
        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }

        pub(crate) fn wait_for<'a, T>(&self, guard: MutexGuard<'a, T>, _: Duration) -> MutexGuard<'a, T> {
            self.0.wait(guard).expect("an explored panic ends the schedule")
        }

        pub(crate) fn wait_while_for<T>(
            &self,
            guard: MutexGuard<'_, T>,
            condition: impl FnMut(&mut T) -> bool,
            _: Duration,
        ) {
            drop(self.0.wait_while(guard, condition).expect("an explored panic ends the schedule"));
        }
    }
}

/// For models of a few steps under the memory model, weak orderings included. Threads and channels are the system's: no
/// model has them.
#[cfg(loom)]
mod modelled {
    use std::time::Duration;

    pub(crate) use std::{sync::mpsc, thread};

    pub(crate) use loom::sync::{MutexGuard, RwLockReadGuard as ReadGuard, RwLockWriteGuard as WriteGuard, atomic};

    pub(crate) fn receive_within<T>(answer: &mpsc::Receiver<T>, deadline: Duration) -> Option<T> {
        answer.recv_timeout(deadline).ok()
    }

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("a panic ends the model")
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }

        pub(crate) fn lock_within(&self, _: Duration) -> Option<MutexGuard<'_, T>> {
            Some(self.lock())
        }
    }

    #[derive(Debug)]
    pub(crate) struct RwLock<T>(loom::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn new(value: T, _: usize) -> Self {
            Self(loom::sync::RwLock::new(value))
        }

        pub(crate) fn read(&self) -> ReadGuard<'_, T> {
            self.0.read().expect("a panic ends the model")
        }

        pub(crate) fn write(&self) -> WriteGuard<'_, T> {
            self.0.write().expect("a panic ends the model")
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(loom::sync::Condvar);

    impl Condvar {
        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }

        pub(crate) fn wait_for<'a, T>(&self, guard: MutexGuard<'a, T>, _: Duration) -> MutexGuard<'a, T> {
            self.0.wait(guard).expect("a panic ends the model")
        }

        pub(crate) fn wait_while_for<T>(
            &self,
            mut guard: MutexGuard<'_, T>,
            mut condition: impl FnMut(&mut T) -> bool,
            _: Duration,
        ) {
            while condition(&mut guard) {
                guard = self.0.wait(guard).expect("a panic ends the model");
            }
        }
    }
}
