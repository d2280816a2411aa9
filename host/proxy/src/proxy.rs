//! The listener: accepts connections, bounded in number, until it is shut down.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use innkeeper_core::{CacheStats, Guest, Limits, Owner, Owners, Secret, UpgradeReport};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinHandle,
};

use crate::{
    Inspection, StartError, TenantConfig, TenantError, TenantStats, TenantTls,
    connection::{Connection, serve},
    tenant::Tenant,
};

/// What the proxy is set up with.
pub struct ProxyConfig {
    /// Where to listen. Port 0 takes a free port.
    pub listen: SocketAddr,
    /// The bounds on connections.
    pub limits: ProxyLimits,
    /// The most that a tenant's limits may be, if there is such.
    pub maxima: Option<Limits>,
    /// The tenants. Each server name belongs to one.
    pub tenants: Vec<TenantConfig>,
}

/// The bounds on connections.
#[derive(Clone, Debug)]
pub struct ProxyLimits {
    /// Connections at a time. At the limit the listener accepts no more until one ends.
    pub connections: usize,
    /// Connections of one tenant at a time; more are closed before their handshake.
    pub connections_per_tenant: usize,
    /// Handshakes of one tenant at a time; more wait, and their time runs.
    pub handshakes_per_tenant: usize,
    /// Handshakes of one tenant that compute, or wait for its guest, at a time. Each takes a thread, which no other tenant's
    /// connections wait for.
    pub threads_per_tenant: usize,
    /// From the first byte to the end of the ClientHello.
    pub hello: Duration,
    /// From the first byte to the end of the handshake.
    pub handshake: Duration,
    /// To connect to the upstream.
    pub upstream_connect: Duration,
    /// The life of a connection.
    pub connection: Duration,
    /// How long a shutdown waits for connections to end by themselves.
    pub drain: Duration,
}

impl Default for ProxyLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_tenant: 4_000,
            handshakes_per_tenant: 256,
            threads_per_tenant: 8,
            hello: Duration::from_secs(3),
            handshake: Duration::from_secs(10),
            upstream_connect: Duration::from_secs(5),
            connection: Duration::from_secs(24 * 60 * 60),
            drain: Duration::from_secs(10),
        }
    }
}

pub(crate) struct Shared {
    pub(crate) limits: ProxyLimits,
    directory: RwLock<Directory>,
    connections: Arc<Semaphore>,
    /// Set when the drain time is over: connections end.
    is_over: watch::Sender<bool>,
}

/// Who is served.
#[derive(Default)]
struct Directory {
    entries: Vec<Entry>,
    by_server_name: HashMap<String, Arc<Tenant>>,
}

/// A tenant, and the life of its cache.
#[derive(Clone)]
struct Entry {
    tenant: Arc<Tenant>,
    owner: Arc<Mutex<Owner<Secret>>>,
}

impl Shared {
    pub(crate) fn tenant(&self, server_name: &str) -> Option<Arc<Tenant>> {
        self.directory().by_server_name.get(server_name).cloned()
    }

    fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory_to_change(&self) -> RwLockWriteGuard<'_, Directory> {
        self.directory.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Directory {
    fn check(&self, name: &str, server_names: &[String]) -> Result<(), StartError> {
        if self.entries.iter().any(|entry| entry.tenant.name == name) {
            return Err(StartError::TenantTwice(name.to_owned()));
        }
        if server_names.is_empty() {
            return Err(StartError::NoServerName(name.to_owned()));
        }
        for server_name in server_names {
            if let Some(first) = self.by_server_name.get(server_name) {
                let (server_name, first, second) = (server_name.clone(), first.name.clone(), name.to_owned());
                return Err(StartError::ServerNameTwice { server_name, first, second });
            }
        }
        Ok(())
    }
}

/// A running proxy. Dropping it stops the listener and ends every cache; [`Proxy::shutdown`] does so in good order.
pub struct Proxy {
    shared: Arc<Shared>,
    maxima: Option<Limits>,
    local_address: SocketAddr,
    listener: AbortOnDrop,
    owners: Owners,
}

impl Proxy {
    /// Opens every tenant's cache, then listens. Must be called within a tokio runtime of several threads. How many blocking
    /// threads that has (512 by default) bounds how many tenants can use all of theirs at a time.
    ///
    /// Opening a cache blocks until its guest's `init` has answered, at most its grant.
    ///
    /// # Errors
    /// When a tenant's settings do not do, a cache does not open, or the address is taken.
    pub async fn start(config: ProxyConfig, owners: Owners) -> Result<Self, StartError> {
        let ProxyConfig { listen, limits, maxima, tenants } = config;
        let connections = Arc::new(Semaphore::new(limits.connections.clamp(1, PERMITS_MAX as usize)));
        let shared =
            Arc::new(Shared { limits, directory: RwLock::default(), connections, is_over: watch::Sender::new(false) });
        for tenant in tenants {
            add(&shared, maxima.as_ref(), &owners, tenant)?;
        }
        let bound = TcpListener::bind(listen).await.and_then(|bound| Ok((bound.local_addr()?, bound)));
        let (local_address, bound) = bound.map_err(|source| StartError::Listen { address: listen, source })?;
        let listener = AbortOnDrop(tokio::spawn(accept(bound, Arc::clone(&shared))));
        Ok(Self { shared, maxima, local_address, listener, owners })
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Every tenant's name and counters, in the order in which they came.
    pub fn stats(&self) -> Vec<(String, TenantStats)> {
        let tenants: Vec<Arc<Tenant>> =
            self.shared.directory().entries.iter().map(|entry| Arc::clone(&entry.tenant)).collect();
        tenants.iter().map(|tenant| (tenant.name.clone(), tenant.stats())).collect()
    }

    /// Waits until every cache has done what has been posted to it. Blocking.
    pub fn settle(&self) {
        let entries = self.shared.directory().entries.clone();
        entries.iter().for_each(|entry| owner(&entry.owner).settle());
    }

    /// Opens one more tenant's cache, and serves it from then on. Blocking.
    ///
    /// # Errors
    /// When its settings do not do, or its cache does not open; nothing changes for the others.
    pub fn add(&self, tenant: TenantConfig) -> Result<(), StartError> {
        add(&self.shared, self.maxima.as_ref(), &self.owners, tenant)
    }

    /// Serves a tenant no more, ends its cache, and gives the cache's last counters. Connections that it has go on.
    /// Blocking.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn remove(&self, tenant: &str) -> Result<CacheStats, TenantError> {
        let entry = {
            let mut directory = self.shared.directory_to_change();
            let number = directory.entries.iter().position(|entry| entry.tenant.name == tenant);
            let number = number.ok_or_else(|| TenantError::Unknown(tenant.to_owned()))?;
            directory.by_server_name.retain(|_, own| own.name != tenant);
            directory.entries.remove(number)
        };
        entry.tenant.reader.mailbox().revoke();
        // Whoever is at an upgrade has the owner too, and ends the cache when that is done.
        if let Some(owner) = Arc::into_inner(entry.owner) {
            owner.into_inner().unwrap_or_else(PoisonError::into_inner).terminate();
        }
        Ok(entry.tenant.reader.stats())
    }

    /// Puts another guest in the place of a tenant's running one, and keeps its sessions: see [`Owner::upgrade`]. Blocking;
    /// upgrades of one tenant are made one after another.
    ///
    /// # Errors
    /// When there is no such tenant, or the new guest fails; the old one then goes on serving.
    pub fn upgrade(&self, tenant: &str, guest: Arc<dyn Guest>) -> Result<UpgradeReport, TenantError> {
        let entry = self.entry(tenant)?;
        Ok(owner(&entry.owner).upgrade(guest)?)
    }

    /// Wipes every session of a tenant at once, those of handshakes under way included. Says how many there were. Waits for
    /// no guest.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn revoke(&self, tenant: &str) -> Result<usize, TenantError> {
        Ok(self.entry(tenant)?.tenant.reader.mailbox().revoke())
    }

    /// Changes how a tenant speaks TLS, from the next connection on. Where that changes what a session's trust rests on
    /// (client certificates, their roots, the server's chain, protocol names), every session is wiped; says how many.
    ///
    /// # Errors
    /// When there is no such tenant, or its certificate, key or roots do not do; all then stays as it was.
    pub fn reconfigure(&self, tenant: &str, tls: TenantTls) -> Result<usize, TenantError> {
        Ok(self.entry(tenant)?.tenant.reconfigure(tls)?)
    }

    /// Asks a tenant's guest what it would tell of its cache. Blocking; costs a `size`, a `foldl` and a `select-session`.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn inspect(&self, tenant: &str, server_name: &str) -> Result<Inspection, TenantError> {
        let tenant = self.entry(tenant)?.tenant;
        Ok(tenant.inspect(server_name))
    }

    fn entry(&self, tenant: &str) -> Result<Entry, TenantError> {
        let directory = self.shared.directory();
        let entry = directory.entries.iter().find(|entry| entry.tenant.name == tenant);
        entry.cloned().ok_or_else(|| TenantError::Unknown(tenant.to_owned()))
    }

    /// Stops accepting, waits for connections to end until the drain time is over, then ends every cache. Says how many
    /// connections were cut off.
    pub async fn shutdown(self) -> usize {
        let Self { shared, listener, owners: threads, .. } = self;
        drop(listener);
        let limit = shared.limits.connections.clamp(1, PERMITS_MAX as usize);
        let all = u32::try_from(limit).unwrap_or(PERMITS_MAX);
        let drained = tokio::time::timeout(shared.limits.drain, shared.connections.acquire_many(all)).await;
        let cut_off = if drained.is_ok() { 0 } else { limit - shared.connections.available_permits() };
        shared.is_over.send_replace(true);
        let entries = std::mem::take(&mut *shared.directory_to_change()).entries;
        let end = move || {
            let owners = entries.into_iter().filter_map(|entry| Arc::into_inner(entry.owner));
            owners.for_each(|owner| owner.into_inner().unwrap_or_else(PoisonError::into_inner).terminate());
            drop(threads);
        };
        // Ending a cache runs its guest; a panic there has ended at the cache.
        let _ = tokio::task::spawn_blocking(end).await;
        cut_off
    }
}

fn add(shared: &Shared, maxima: Option<&Limits>, owners: &Owners, mut config: TenantConfig) -> Result<(), StartError> {
    let server_names: Vec<String> = config.server_names.drain(..).map(|name| name.to_ascii_lowercase()).collect();
    shared.directory().check(&config.name, &server_names)?;
    if let Some(maxima) = maxima {
        let checked = config.cache.limits.check_within(maxima);
        checked.map_err(|source| StartError::Cache { tenant: config.name.clone(), source: source.into() })?;
    }
    let (tenant, owner) = Tenant::open(config, owners, &shared.limits)?;
    let mut directory = shared.directory_to_change();
    // Again: another may have come while the cache was opened.
    directory.check(&tenant.name, &server_names)?;
    let tenant = Arc::new(tenant);
    directory.by_server_name.extend(server_names.into_iter().map(|name| (name, Arc::clone(&tenant))));
    directory.entries.push(Entry { tenant, owner: Arc::new(Mutex::new(owner)) });
    Ok(())
}

fn owner(cache: &Mutex<Owner<Secret>>) -> MutexGuard<'_, Owner<Secret>> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The listener's task, which ends with the proxy.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// More connections than a machine has, and within what a semaphore counts.
const PERMITS_MAX: u32 = 1 << 28;

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok(permit) = Arc::clone(&shared.connections).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::spawn(serve_with_permit(Arc::clone(&shared), stream, peer, permit));
            }
            Err(error) => {
                // Out of file descriptors, say: others need time to give some back.
                tracing::warn!("cannot accept: {error}");
                drop(permit);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_with_permit(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
    let mut is_over = shared.is_over.subscribe();
    let served = serve(Connection { shared, stream });
    tokio::select! {
        done = served => if let Err(error) = done {
            tracing::debug!(%peer, "{error}");
        },
        _ = is_over.wait_for(|is_over| *is_over) => {}
    }
    drop(permit);
}
