//! Opening a cache: its settings, and the threads that it is opened on and served by.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use crate::{
    cache::{
        cache::{Cache, GuestOrigin, Installed},
        echoes::Echoes,
        inbox::Inbox,
        phase::SharedLife,
        reader::Reader,
        run_queue::Schedule,
        seat::Seat,
        shared_state::{SharedState, since_ms},
    },
    contract::{
        callbacks::Guest,
        error::{LimitError, OpenError},
        fault::Fault,
        limits::Limits,
        scalar::{InitArgs, Property, Role},
    },
    guest::budget::Budget,
    owner::{
        instances,
        owner::Owner,
        side::Side,
        threads::{Owners, start_thread},
        turn::Owned,
    },
    sync::Mutex,
    vault::{
        fingerprint::Fingerprints,
        secret::Value,
        vault::{Overflow, Vault, VaultBounds},
    },
};

/// The settings that a cache is opened with.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// The tenant, for logs.
    pub tenant: String,
    /// The end of the connections that the cache serves.
    pub role: Role,
    /// The bounds.
    pub limits: Limits,
    /// The sessions that go when the vault is full and the guest has not chosen.
    pub overflow: Overflow,
    /// The operator's settings for the guest.
    pub properties: Vec<Property>,
    /// The number of instances that serve readers, from 1 to [`CacheConfig::READERS_MAX`].
    pub readers: usize,
    /// The time without a call after which the instances are given up, if they ever are. The next use builds them anew
    /// by replay.
    pub idle: Option<Duration>,
    /// The tenant's budget, if another cache shares it; otherwise the cache has its own, as its limits say.
    pub budget: Option<Budget>,
}

impl CacheConfig {
    /// The most instances a cache can have.
    pub const READERS_MAX: usize = 64;

    /// A cache with one instance that is never given up, evicting the oldest session when full, and no properties.
    pub fn new(tenant: impl Into<String>, role: Role, limits: Limits) -> Self {
        let (overflow, properties) = (Overflow::default(), Vec::new());
        Self { tenant: tenant.into(), role, limits, overflow, properties, readers: 1, idle: None, budget: None }
    }

    fn check(&self) -> Result<(), LimitError> {
        let (value, most) = (self.readers as u64, Self::READERS_MAX as u64);
        if value < 1 || value > most {
            return Err(LimitError { name: "readers", value, least: 1, most });
        }
        self.limits.check()
    }
}

impl Owners {
    /// Opens a cache: OTP's `init/1`, run on a thread of its own, so that no other cache waits for it. Blocks until the
    /// guest has answered, or its grant for `init` is used up.
    ///
    /// # Errors
    /// A limit that is out of range, or a guest that does not start.
    pub fn open<V: Value>(
        &self,
        config: CacheConfig,
        guest: Arc<dyn Guest>,
    ) -> Result<(Owner<V>, Reader<V>), OpenError> {
        config.check()?;
        let owned = self.new_owned(config, guest)?;
        let own = Arc::clone(&owned);
        let opening = start_thread("innkeeper-open".to_owned(), move || instances::open(&own.cache));
        let opened = opening.map_err(|error| OpenError::NoThread(error.to_string()))?.join();
        opened.unwrap_or(Err(Fault::Panic)).map_err(OpenError::Guest)?;
        // From here on its owner thread knows it.
        owned.cache.schedule.at_once();
        let reader = Reader::new(Arc::clone(&owned.cache));
        Ok((Owner { owned }, reader))
    }

    fn new_owned<V: Value>(&self, config: CacheConfig, guest: Arc<dyn Guest>) -> Result<Arc<Owned<V>>, OpenError> {
        let CacheConfig { tenant, role, limits, overflow, properties, readers, idle, budget } = config;
        let clock = self.clock();
        let idle_ms = idle.map(|idle| u64::try_from(idle.as_millis()).unwrap_or(u64::MAX).max(1));
        let lifetime_ms = u64::try_from(limits.lifetime.as_millis()).unwrap_or(u64::MAX);
        let bounds = VaultBounds {
            sessions: limits.sessions,
            session_bytes: limits.session_bytes,
            bytes: limits.vault_bytes,
            lifetime_ms,
            overflow,
        };
        let init_args = InitArgs { role, sessions_max: limits.sessions, lifetime_ms, properties };
        let (inbox, fingerprints) = (Inbox::new(limits.mailbox), Fingerprints::random()?);
        let state = SharedState::new(
            (tenant, role),
            Vault::new(bounds),
            (clock.clone(), guests_clock()?),
            limits.clone(),
            budget.unwrap_or_else(|| Budget::new(&limits)),
            readers,
        );
        let queues = self.next_queues();
        let side = Mutex::new(Side::new(clock.now_ms(), lifetime_ms, idle_ms));
        Ok(Arc::new_cyclic(|owned: &Weak<Owned<V>>| {
            let cache = Cache {
                state: Arc::new(state),
                fingerprints,
                life: SharedLife::new(),
                guest: Mutex::new(Installed { guest, origin: GuestOrigin::Chosen }),
                init_args,
                seats: (0..readers).map(|_| Seat::empty()).collect(),
                inbox,
                echoes: Echoes::default(),
                folds: 0.into(),
                schedule: Schedule::new(Weak::clone(owned) as _, queues),
            };
            Owned { cache: Arc::new(cache), side }
        }))
    }
}

/// Picks the start of a guest's clock.
fn guests_clock() -> Result<u64, OpenError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|_| OpenError::NoRandom)?;
    Ok(since_ms(random))
}
