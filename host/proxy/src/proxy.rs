//! The listener: accepts connections, bounded in number, until it is shut down.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use innkeeper_core::{Owner, Owners, Secret};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinHandle,
};

use crate::{
    StartError, TenantConfig, TenantStats,
    connection::{Connection, serve},
    tenant::Tenant,
};

/// What the proxy is set up with.
pub struct ProxyConfig {
    /// Where to listen. Port 0 takes a free port.
    pub listen: SocketAddr,
    /// The bounds on connections.
    pub limits: ProxyLimits,
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
            handshake: Duration::from_secs(10),
            upstream_connect: Duration::from_secs(5),
            connection: Duration::from_secs(24 * 60 * 60),
            drain: Duration::from_secs(10),
        }
    }
}

pub(crate) struct Shared {
    pub(crate) limits: ProxyLimits,
    tenants: Vec<Arc<Tenant>>,
    by_server_name: HashMap<String, Arc<Tenant>>,
    connections: Arc<Semaphore>,
    /// Set when the drain time is over: connections end.
    is_over: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn tenant(&self, server_name: &str) -> Option<&Arc<Tenant>> {
        self.by_server_name.get(server_name)
    }
}

/// A running proxy. Dropping it stops the listener and ends every cache; [`Proxy::shutdown`] does so in good order.
pub struct Proxy {
    shared: Arc<Shared>,
    local_address: SocketAddr,
    listener: AbortOnDrop,
    // Before `owners`: a cache ends while its thread still runs.
    caches: Vec<Owner<Secret>>,
    owners: Owners,
}

impl Proxy {
    /// Opens every tenant's cache, then listens. Must be called within a tokio runtime.
    ///
    /// Opening a cache blocks until its guest's `init` has answered, at most its grant.
    ///
    /// # Errors
    /// When a tenant's settings do not do, a cache does not open, or the address is taken.
    pub async fn start(config: ProxyConfig, owners: Owners) -> Result<Self, StartError> {
        let ProxyConfig { listen, limits, tenants: configs } = config;
        let mut tenants: Vec<Arc<Tenant>> = Vec::new();
        let mut by_server_name: HashMap<String, Arc<Tenant>> = HashMap::new();
        let mut caches = Vec::new();
        for mut config in configs {
            if tenants.iter().any(|tenant| tenant.name == config.name) {
                return Err(StartError::TenantTwice(config.name));
            }
            if config.server_names.is_empty() {
                return Err(StartError::NoServerName(config.name));
            }
            let server_names = std::mem::take(&mut config.server_names);
            let (tenant, owner) = Tenant::open(config, &owners, &limits)?;
            let tenant = Arc::new(tenant);
            for server_name in server_names {
                let server_name = server_name.to_ascii_lowercase();
                if let Some(first) = by_server_name.insert(server_name.clone(), Arc::clone(&tenant)) {
                    let (first, second) = (first.name.clone(), tenant.name.clone());
                    return Err(StartError::ServerNameTwice { server_name, first, second });
                }
            }
            tenants.push(tenant);
            caches.push(owner);
        }
        let bound = TcpListener::bind(listen).await.and_then(|bound| Ok((bound.local_addr()?, bound)));
        let (local_address, bound) = bound.map_err(|source| StartError::Listen { address: listen, source })?;
        let connections = Arc::new(Semaphore::new(limits.connections.clamp(1, PERMITS_MAX as usize)));
        let shared =
            Arc::new(Shared { limits, tenants, by_server_name, connections, is_over: watch::Sender::new(false) });
        let listener = AbortOnDrop(tokio::spawn(accept(bound, Arc::clone(&shared))));
        Ok(Self { shared, local_address, listener, caches, owners })
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Every tenant's name and counters, in the order in which they were given.
    pub fn stats(&self) -> Vec<(String, TenantStats)> {
        self.shared.tenants.iter().map(|tenant| (tenant.name.clone(), tenant.stats())).collect()
    }

    /// Waits until every cache has done what has been posted to it. Blocking.
    pub fn settle(&mut self) {
        self.caches.iter_mut().for_each(Owner::settle);
    }

    /// Stops accepting, waits for connections to end until the drain time is over, then ends every cache. Says how many
    /// connections were cut off.
    pub async fn shutdown(self) -> usize {
        let Self { shared, listener, caches, owners, .. } = self;
        drop(listener);
        let limit = shared.limits.connections.clamp(1, PERMITS_MAX as usize);
        let all = u32::try_from(limit).unwrap_or(PERMITS_MAX);
        let drained = tokio::time::timeout(shared.limits.drain, shared.connections.acquire_many(all)).await;
        let cut_off = if drained.is_ok() { 0 } else { limit - shared.connections.available_permits() };
        shared.is_over.send_replace(true);
        let end = move || {
            caches.into_iter().for_each(Owner::terminate);
            drop(owners);
        };
        // Ending a cache runs its guest; a panic there has ended at the cache.
        let _ = tokio::task::spawn_blocking(end).await;
        cut_off
    }
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
