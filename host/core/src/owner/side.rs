//! The owner thread's own side of a cache, and the turn that works on it.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    cache::cache::Cache,
    contract::{callbacks::Guest, scalar::Key},
    guest::instance::Live,
    owner::{replay::Replay, upgrade::Upgrade},
    sync::mpsc::SyncSender,
};

/// The owner's side of one cache. Its owner thread has it for a turn; the owner's handle touches it to end the cache.
pub(crate) struct Side {
    /// The reply to whoever waits for the cache to end.
    pub(crate) ending: Option<SyncSender<()>>,
    /// Keys that have left the vault, each with the first instance that is still to be told. They come before any
    /// message, so that a `delete` never follows a later `update` of its key.
    pub(crate) owed: VecDeque<(usize, Key)>,
    pub(crate) restart: Option<Restart>,
    pub(crate) upgrade: Option<Upgrade>,
    /// The guest before the last upgrade, while the new one is on probation.
    pub(crate) previous: Option<Previous>,
    /// Instances that have left their seats, to be terminated.
    pub(crate) outgoing: VecDeque<Live>,
    /// Turns so far. In every other one replay comes before messages.
    pub(crate) turns: u64,
    pub(crate) sweep: Sweep,
    pub(crate) idle: IdleWatch,
    /// The part of the running turn's time that an upgrade has taken, which pays for itself.
    pub(crate) upgrade_ns: u64,
}

/// An instance that is being built by replay.
pub(crate) struct Restart {
    pub(crate) number: usize,
    pub(crate) cause: RestartCause,
    pub(crate) replay: Replay,
}

/// The cause of a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RestartCause {
    /// The instance before it failed, or went for another guest's sake.
    Fault,
    /// The cache was idle.
    Wake,
}

/// The guest before an upgrade.
pub(crate) struct Previous {
    pub(crate) guest: Arc<dyn Guest>,
    pub(crate) until_ms: u64,
}

/// The periodic sweep.
pub(crate) struct Sweep {
    pub(crate) every_ms: u64,
    pub(crate) at_ms: u64,
}

/// The watch for a cache that is no longer used.
pub(crate) struct IdleWatch {
    /// The time without a call after which the instances are given up, if they ever are.
    pub(crate) idle_ms: Option<u64>,
    /// The time of the next look.
    pub(crate) at_ms: u64,
    /// The number of calls by the last look.
    pub(crate) calls_seen: u64,
}

/// The time between two turns of the periodic sweep, at least and at most.
const SWEEP_MS_MIN: u64 = 10;
const SWEEP_MS_MAX: u64 = 60_000;

impl Side {
    pub(crate) fn new(now_ms: u64, lifetime_ms: u64, idle_ms: Option<u64>) -> Self {
        let every_ms = (lifetime_ms / 256).clamp(SWEEP_MS_MIN, SWEEP_MS_MAX);
        let mut idle = IdleWatch { idle_ms, at_ms: u64::MAX, calls_seen: 0 };
        idle.put_off(now_ms);
        Self {
            ending: None,
            owed: VecDeque::new(),
            restart: None,
            upgrade: None,
            previous: None,
            outgoing: VecDeque::new(),
            turns: 0,
            sweep: Sweep { every_ms, at_ms: now_ms + every_ms },
            idle,
            upgrade_ns: 0,
        }
    }

    /// Notes keys that the guest is still to forget, in the instances from `first` on.
    pub(crate) fn owe(&mut self, first: usize, keys: Vec<Key>) {
        self.owed.extend(keys.into_iter().map(|key| (first, key)));
    }
}

impl IdleWatch {
    /// Looks next once the cache could have been idle for as long as it may.
    pub(crate) fn put_off(&mut self, now_ms: u64) {
        self.at_ms = self.idle_ms.map_or(u64::MAX, |idle_ms| now_ms.saturating_add(idle_ms));
    }
}

/// A turn of a cache on its owner thread.
pub(crate) struct Turn<'a, V> {
    pub(crate) cache: &'a Cache<V>,
    pub(crate) side: &'a mut Side,
}
