//! What a tenant's connections are served with: TLS, sessions, upstream, and what is left of its bounds.

use std::sync::Arc;

use governor::{DefaultDirectRateLimiter, Quota};
use innkeeper_core::{Reader, Recent, Role, Secret};
use innkeeper_rustls::{ClientSession, Scoped, ServerSessions, TlsIdentity};
use tokio::sync::Semaphore;
use tokio_rustls::rustls::{self, ServerConfig};

use crate::{Inspection, TenantBounds, TenantFront, TenantTls, turns::Turns, upstream::Target};

/// Look-ups of one tenant's upstream at a time, those included that nobody waits for any more. Each has a thread, which only
/// the system's resolver can end.
const NAME_LOOKUPS_MAX: usize = 2;

/// How many sessions an inspection selects: as many as a guest is advised to give.
const SELECTED_MAX: usize = 256;

/// What a tenant's connections are served with. A connection keeps the one it began with.
pub(crate) struct Setup {
    identity: TlsIdentity,
    config: ServerConfig,
    store: Store,
    pub(crate) target: Arc<Target>,
    /// None until the tenant has a guest.
    readers: Option<Readers>,
    pub(crate) gates: Arc<Gates>,
}

/// Where sessions are kept.
enum Store {
    /// In the tenant's cache.
    Cache(ServerSessions),
    /// Nowhere, since the tenant has no guest: each handshake is a full one.
    Nowhere(Arc<ServerConfig>),
    /// Where a benchmark has said.
    Own(Arc<ServerConfig>),
}

/// The read sides of a tenant's caches.
#[derive(Clone)]
pub(crate) struct Readers {
    pub(crate) server: Reader<Secret>,
    pub(crate) client: Option<Reader<ClientSession>>,
}

impl Readers {
    pub(crate) fn suspend(&self) {
        self.server.mailbox().suspend();
        self.client.iter().for_each(|client| client.mailbox().suspend());
    }
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
    /// `before` is what it takes the place of: its caches go on, and its gates are kept if the bounds are the same.
    pub(crate) fn new(front: &TenantFront, before: Option<&Self>) -> Result<Self, rustls::Error> {
        let identity = front.tls.identity();
        let config = front.tls.to_config()?;
        let kept = before.map(|before| &before.gates).filter(|gates| gates.bounds == front.bounds);
        let readers = before.and_then(|before| before.readers.clone());
        let client = readers.as_ref().and_then(|readers| readers.client.as_ref());
        let target =
            Target::new(front.upstream.clone(), &front.tls.alpn, client, before.map(|before| &*before.target))?;
        Ok(Self {
            store: Store::new(front.tls.own_store.is_some(), readers.as_ref(), &config, identity),
            identity,
            config,
            target: Arc::new(target),
            gates: kept.map_or_else(|| Arc::new(Gates::new(&front.bounds)), Arc::clone),
            readers,
        })
    }

    /// The same, but for how it speaks TLS with clients.
    pub(crate) fn with_tls(&self, tls: &TenantTls) -> Result<Self, rustls::Error> {
        let (identity, config) = (tls.identity(), tls.to_config()?);
        let store = Store::new(tls.own_store.is_some(), self.readers.as_ref(), &config, identity);
        let Self { target, readers, gates, .. } = self;
        let (target, readers, gates) = (Arc::clone(target), readers.clone(), Arc::clone(gates));
        Ok(Self { identity, config, store, target, readers, gates })
    }

    /// The same with other caches.
    pub(crate) fn with_readers(&self, readers: Readers) -> Self {
        let (identity, config) = (self.identity, self.config.clone());
        let store = Store::new(matches!(self.store, Store::Own(_)), Some(&readers), &config, identity);
        let target = Arc::new(self.target.with_reader(readers.client.as_ref()));
        Self { identity, config, store, target, readers: Some(readers), gates: Arc::clone(&self.gates) }
    }

    /// The configuration and the store for one connection.
    pub(crate) fn scoped(&self, server_name: &str) -> Scoped {
        match &self.store {
            Store::Cache(sessions) => sessions.scoped(&self.config, server_name),
            Store::Nowhere(config) | Store::Own(config) => Scoped::of_own_store(Arc::clone(config)),
        }
    }

    pub(crate) fn readers(&self) -> Option<&Readers> {
        self.readers.as_ref()
    }

    /// Whether sessions in the server role are of use after a change to `new`.
    pub(crate) fn is_trust_kept(&self, new: &Self) -> bool {
        self.identity == new.identity
    }

    /// Whether sessions with the upstream are of use after a change to `new`.
    pub(crate) fn is_upstream_kept(&self, new: &Self) -> bool {
        self.target.is_same_peer(&new.target)
    }

    /// Asks the guest what it would tell of the cache in the server role, if there is one.
    pub(crate) fn inspect(&self, server_name: &str) -> Option<Inspection> {
        let reader = &self.readers.as_ref()?.server;
        Some(Inspection {
            size: reader.size(),
            folded: reader.foldl(0, |sessions, _| sessions + 1),
            selected: reader.select_session(server_name.as_bytes(), SELECTED_MAX).len(),
        })
    }

    /// Each role's last log lines and faults.
    pub(crate) fn recent(&self) -> Vec<(Role, Recent)> {
        let Some(Readers { server, client }) = &self.readers else { return Vec::new() };
        let client = client.as_ref().map(|reader| (Role::Client, reader.recent()));
        [(Role::Server, server.recent())].into_iter().chain(client).collect()
    }
}

impl Store {
    fn new(is_own: bool, readers: Option<&Readers>, config: &ServerConfig, identity: TlsIdentity) -> Self {
        match readers {
            _ if is_own => Self::Own(Arc::new(config.clone())),
            Some(readers) => Self::Cache(ServerSessions::new(readers.server.clone(), identity)),
            None => Self::Nowhere(Arc::new(config.clone())),
        }
    }
}
