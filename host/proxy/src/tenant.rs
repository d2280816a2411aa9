//! One tenant: its certificate, its cache, its upstream, its counts.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use innkeeper_core::{CacheConfig, CacheStats, Guest, Owner, Owners, Reader, Secret};
use innkeeper_rustls::{ServerSessions, prepare};
use tokio::sync::Semaphore;
use tokio_rustls::rustls::{
    HandshakeKind, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};

use crate::{ProxyLimits, StartError};

/// What a tenant is set up with.
pub struct TenantConfig {
    /// The tenant's name, in logs and tables.
    pub name: String,
    /// The server names it serves, in lower case, at least one.
    pub server_names: Vec<String>,
    /// Its certificate chain, leaf first.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The key of the leaf.
    pub key: PrivateKeyDer<'static>,
    /// Where its connections go, in plain TCP.
    pub upstream: SocketAddr,
    /// Its cache in the server role.
    pub cache: CacheConfig,
    /// What decides about its sessions.
    pub guest: Arc<dyn Guest>,
}

/// A reading of a tenant's counters.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TenantStats {
    /// Completed handshakes.
    pub handshakes: u64,
    /// Those among them that resumed a session.
    pub resumed: u64,
    /// Handshakes that failed or took too long after the tenant was known.
    pub failed: u64,
    /// The cache's own counters.
    pub cache: CacheStats,
}

pub(crate) struct Tenant {
    pub(crate) name: String,
    pub(crate) upstream: SocketAddr,
    config: ServerConfig,
    sessions: ServerSessions,
    reader: Reader<Secret>,
    /// What the tenant may still have at a time, so that its clients cannot take what others need.
    pub(crate) connections_left: Arc<Semaphore>,
    pub(crate) handshakes_left: Semaphore,
    handshakes: AtomicU64,
    resumed: AtomicU64,
    failed: AtomicU64,
}

impl Tenant {
    /// Opens the tenant's cache. The owner is the cache's life.
    pub(crate) fn open(
        config: TenantConfig,
        owners: &Owners,
        limits: &ProxyLimits,
    ) -> Result<(Self, Owner<Secret>), StartError> {
        let TenantConfig { name, server_names: _, certificates, key, upstream, cache, guest } = config;
        let mut tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_no_client_auth())
            .and_then(|builder| builder.with_single_cert(certificates, key))
            .map_err(|source| StartError::Certificate { tenant: name.clone(), source })?;
        prepare(&mut tls);
        let opened = owners.open(cache, guest);
        let (owner, reader) = opened.map_err(|source| StartError::Cache { tenant: name.clone(), source })?;
        let tenant = Self {
            name,
            upstream,
            config: tls,
            sessions: ServerSessions::new(reader.clone()),
            reader,
            connections_left: Arc::new(Semaphore::new(limits.connections_per_tenant.clamp(1, Semaphore::MAX_PERMITS))),
            handshakes_left: Semaphore::new(limits.handshakes_per_tenant.clamp(1, Semaphore::MAX_PERMITS)),
            handshakes: AtomicU64::new(0),
            resumed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        };
        Ok((tenant, owner))
    }

    pub(crate) fn config_for(&self, server_name: &str) -> Arc<ServerConfig> {
        self.sessions.scoped(&self.config, server_name)
    }

    pub(crate) fn note_handshake(&self, kind: Option<HandshakeKind>) {
        self.handshakes.fetch_add(1, Ordering::Relaxed);
        if kind == Some(HandshakeKind::Resumed) {
            self.resumed.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn note_failure(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> TenantStats {
        TenantStats {
            handshakes: self.handshakes.load(Ordering::Relaxed),
            resumed: self.resumed.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            cache: self.reader.stats(),
        }
    }
}
