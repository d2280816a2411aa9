//! Echoes: keys lately looked up in other instances, of which the first is told, so that its recency order stays true.

use std::collections::VecDeque;

use crate::{
    contract::scalar::Key,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// The most echoes that wait.
const ECHOES_MAX: usize = 256;

/// The time for which readers note no echoes once the owner thread has been given some. So the first instance hears of
/// some ten thousand in a second, which is a sample where there are more, and takes a hundredth of the owner thread's
/// time.
const PAUSE_MS: u64 = 10;

/// The echoes of one cache: bounded and lossy.
#[derive(Default)]
pub(crate) struct Echoes {
    keys: Mutex<VecDeque<Key>>,
    /// The end of the running pause. Written by readers; a stale value costs an echo.
    paused_until_ms: AtomicU64,
}

impl Echoes {
    /// Notes a lookup that the first instance has not seen. True if the owner thread is to come for the echoes.
    pub(crate) fn note(&self, key: Key, now_ms: u64) -> bool {
        if now_ms < self.paused_until_ms.load(Ordering::Relaxed) {
            return false;
        }
        let Some(mut keys) = self.keys.try_lock() else { return false };
        if keys.len() < ECHOES_MAX {
            keys.push_back(key);
        }
        let is_half_full = keys.len() == ECHOES_MAX / 2;
        drop(keys);
        if is_half_full {
            self.paused_until_ms.store(now_ms + PAUSE_MS, Ordering::Relaxed);
        }
        is_half_full
    }

    pub(crate) fn pop(&self) -> Option<Key> {
        self.keys.lock().pop_front()
    }
}
