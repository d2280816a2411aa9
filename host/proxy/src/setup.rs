//! What a tenant's connections are served with: TLS, sessions, upstream, and what is left of its bounds.

use std::sync::{Arc, Mutex, PoisonError};

use governor::{DefaultDirectRateLimiter, Quota};
use innkeeper_core::{Reader, Recent, Role, Secret};
use innkeeper_rustls::{ClientSession, Scoped, ServerSessions, TlsIdentity};
use tokio::sync::Semaphore;
use tokio_rustls::rustls::{self, ServerConfig};

use crate::{Inspection, TenantBounds, TenantConfig, TenantTls, turns::Turns, upstream::Target};

/// Look-ups of one tenant's upstream at a time, those included that nobody waits for any more. Each has a thread, which only
/// the system's resolver can end.
const NAME_LOOKUPS_MAX: usize = 2;

/// How many sessions an inspection selects: as many as a guest is advised to give.
const SELECTED_MAX: usize = 256;

/// What a tenant's connections are served with. A connection keeps the one it began with.
pub(crate) struct Setup {
    identity: TlsIdentity,
    config: ServerConfig,
    /// The same with a store of its own, where a benchmark has given it one.
    own_store: Option<Arc<ServerConfig>>,
    sessions: ServerSessions,
    pub(crate) target: Arc<Target>,
    readers: Readers,
    /// Those of the caches that these take the place of, until those have ended.
    predecessors: Mutex<Option<Readers>>,
    pub(crate) gates: Arc<Gates>,
}

/// The read sides of a tenant's caches.
#[derive(Clone)]
pub(crate) struct Readers {
    pub(crate) server: Reader<Secret>,
    pub(crate) client: Option<Reader<ClientSession>>,
}

/// What is left of a tenant's bounds.
pub(crate) struct Gates {
    bounds: TenantBounds,
    pub(crate) turns: Turns,
    pub(crate) threads: Semaphore,
    /// Look-ups of the upstream's name. One that is given up goes on, and holds its place until it ends.
    pub(crate) name_lookups: Arc<Semaphore>,
    rate: Option<DefaultDirectRateLimiter>,
}

impl Gates {
    fn new(bounds: &TenantBounds) -> Self {
        let permits = |number: usize| Semaphore::new(number.clamp(1, Semaphore::MAX_PERMITS));
        let quota = |per_s| Quota::per_second(per_s).allow_burst(bounds.handshakes_burst);
        Self {
            bounds: bounds.clone(),
            turns: Turns::new(bounds),
            threads: permits(bounds.threads),
            name_lookups: Arc::new(Semaphore::new(NAME_LOOKUPS_MAX)),
            rate: bounds.handshakes_per_s.map(|per_s| DefaultDirectRateLimiter::direct(quota(per_s))),
        }
    }

    pub(crate) fn bounds(&self) -> &TenantBounds {
        &self.bounds
    }

    /// Whether one more handshake may begin by now.
    pub(crate) fn is_slow_enough(&self) -> bool {
        self.rate.as_ref().is_none_or(|rate| rate.check().is_ok())
    }
}

impl Setup {
    /// `before` is what it takes the place of: its gates are kept if the bounds are the same.
    pub(crate) fn new(config: &TenantConfig, readers: Readers, before: Option<&Self>) -> Result<Self, rustls::Error> {
        let identity = config.tls.identity();
        let tls = config.tls.to_config()?;
        let kept = before.map(|before| &before.gates).filter(|gates| gates.bounds == config.bounds);
        Ok(Self {
            identity,
            own_store: own_store(&config.tls, &tls),
            config: tls,
            sessions: ServerSessions::new(readers.server.clone(), identity),
            target: Arc::new(Target::new(
                config.upstream.clone(),
                &config.tls.alpn,
                readers.client.as_ref(),
                before.map(|before| &*before.target),
            )?),
            gates: kept.map_or_else(|| Arc::new(Gates::new(&config.bounds)), Arc::clone),
            readers,
            predecessors: Mutex::default(),
        })
    }

    /// Whatever an operator does is done to these as well, from now on; or to none.
    pub(crate) fn follow(&self, predecessors: Option<Readers>) {
        *self.predecessors.lock().unwrap_or_else(PoisonError::into_inner) = predecessors;
    }

    /// What an operator acts on.
    fn acted_on(&self) -> impl Iterator<Item = Readers> {
        let predecessors = self.predecessors.lock().unwrap_or_else(PoisonError::into_inner).clone();
        [self.readers.clone()].into_iter().chain(predecessors)
    }

    /// The same, but for how it speaks TLS with clients.
    pub(crate) fn with_tls(&self, tls: &TenantTls) -> Result<Self, rustls::Error> {
        let Self { target, readers, gates, .. } = self;
        let (identity, config) = (tls.identity(), tls.to_config()?);
        let sessions = ServerSessions::new(readers.server.clone(), identity);
        let (target, readers, gates) = (Arc::clone(target), readers.clone(), Arc::clone(gates));
        let (own_store, predecessors) = (own_store(tls, &config), Mutex::default());
        Ok(Self { identity, config, own_store, sessions, target, readers, predecessors, gates })
    }

    /// The configuration and the store for one connection.
    pub(crate) fn scoped(&self, server_name: &str) -> Scoped {
        match &self.own_store {
            Some(config) => Scoped::of_own_store(Arc::clone(config)),
            None => self.sessions.scoped(&self.config, server_name),
        }
    }

    pub(crate) fn readers(&self) -> &Readers {
        &self.readers
    }

    /// Whether sessions in the server role are of use after a change to `new`.
    pub(crate) fn is_trust_kept(&self, new: &Self) -> bool {
        self.identity == new.identity
    }

    /// Whether sessions with the upstream are of use after a change to `new`.
    pub(crate) fn is_upstream_kept(&self, new: &Self) -> bool {
        self.target.is_same_peer(&new.target)
    }

    /// Asks the guest what it would tell of the cache in the server role.
    pub(crate) fn inspect(&self, server_name: &str) -> Inspection {
        let reader = &self.readers.server;
        Inspection {
            size: reader.size(),
            folded: reader.foldl(0, |sessions, _| sessions + 1),
            selected: reader.select_session(server_name.as_bytes(), SELECTED_MAX).len(),
        }
    }

    /// Each role's last log lines and faults.
    pub(crate) fn recent(&self) -> Vec<(Role, Recent)> {
        let client = self.readers.client.as_ref().map(|reader| (Role::Client, reader.recent()));
        [(Role::Server, self.readers.server.recent())].into_iter().chain(client).collect()
    }

    /// Wipes every session in both roles, and says how many there were.
    pub(crate) fn revoke(&self) -> usize {
        let one = |Readers { server, client }: Readers| {
            server.mailbox().revoke() + client.map_or(0, |client| client.mailbox().revoke())
        };
        self.acted_on().map(one).sum()
    }

    pub(crate) fn suspend(&self) {
        for Readers { server, client } in self.acted_on() {
            server.mailbox().suspend();
            client.iter().for_each(|client| client.mailbox().suspend());
        }
    }

    pub(crate) fn resume(&self) {
        for Readers { server, client } in self.acted_on() {
            server.mailbox().resume();
            client.iter().for_each(|client| client.mailbox().resume());
        }
    }
}

fn own_store(tls: &TenantTls, config: &ServerConfig) -> Option<Arc<ServerConfig>> {
    tls.own_store.as_ref().map(|_| Arc::new(config.clone()))
}
