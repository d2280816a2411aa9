//! One cache on one owner thread, over a clock that only the test moves.

use std::{sync::Arc, time::Duration};

use innkeeper_core::{
    CacheConfig, CacheState, Clock, Guest, Limits, Name, Owner, Owners, Reader, Role, Secret, SizeClass, Value,
};

/// Rounds that a test waits for a cache to change its state.
const ROUNDS_MAX: u32 = 1_000_000;

/// An open cache.
pub struct TestCache<V: Value = Secret> {
    /// The cache's owner.
    pub owner: Owner<V>,
    /// A reader of the cache.
    pub reader: Reader<V>,
    /// The owner thread and its clock.
    pub owners: Owners,
}

impl<V: Value> TestCache<V> {
    /// Opens a cache on an owner thread of its own.
    ///
    /// # Panics
    /// If the cache does not open.
    pub fn open(config: CacheConfig, guest: Arc<dyn Guest>) -> Self {
        let owners = Owners::new(1, Clock::manual());
        let (owner, reader) = owners.open(config, guest).expect("the cache opens");
        Self { owner, reader, owners }
    }

    /// The clock of the cache.
    pub fn clock(&self) -> &Clock {
        self.owners.clock()
    }

    /// The state of the cache.
    pub fn state(&self) -> CacheState {
        self.owner.stats().state
    }

    /// Waits until the cache is in a state.
    ///
    /// # Panics
    /// If it does not get there.
    pub fn await_state(&mut self, state: CacheState) {
        await_state(&mut self.owner, state);
    }
}

/// Waits until a cache is in a state.
///
/// # Panics
/// If it does not get there.
pub fn await_state<V: Value>(owner: &mut Owner<V>, state: CacheState) {
    for _ in 0..ROUNDS_MAX {
        if owner.stats().state == state {
            return;
        }
        owner.settle();
    }
    panic!("the cache is {}, not {}", owner.stats().state.name(), state.name());
}

/// Moves the clock past a backoff, and waits until every instance runs.
///
/// # Panics
/// If an instance stays down.
pub fn come_back<V: Value>(owners: &Owners, owner: &mut Owner<V>) {
    owners.clock().advance(1_000);
    await_state(owner, CacheState::Running);
}

/// The configuration of a server cache whose reads wait ten seconds, so that a busy machine causes no miss.
pub fn patient() -> CacheConfig {
    let mut config = CacheConfig::new("test", Role::Server, Limits::new(SizeClass::Small));
    config.limits.read.time = Duration::from_secs(10);
    config
}

/// The name of a session of the partial key `a`.
pub fn name(id: &[u8]) -> Name<'_> {
    Name { partial: b"a", id }
}

/// A session.
pub fn secret() -> Secret {
    Secret::new(b"session".to_vec())
}
