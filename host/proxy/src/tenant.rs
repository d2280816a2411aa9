//! One tenant: its certificate, its cache, its upstream, its counts.

use std::{
    net::SocketAddr,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use innkeeper_core::{CacheConfig, CacheStats, FoldError, Guest, Owner, Owners, Reader, Secret, Size};
use innkeeper_rustls::{ClientAuth, ServerSessions, TlsIdentity, prepare};
use tokio::sync::Semaphore;
use tokio_rustls::rustls::{
    self, HandshakeKind, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};

use crate::{ProxyLimits, StartError};

/// What a tenant is set up with.
pub struct TenantConfig {
    /// The tenant's name, in logs and tables.
    pub name: String,
    /// The server names it serves, in lower case, at least one.
    pub server_names: Vec<String>,
    /// How it speaks TLS.
    pub tls: TenantTls,
    /// Where its connections go, in plain TCP.
    pub upstream: SocketAddr,
    /// Its cache in the server role.
    pub cache: CacheConfig,
    /// What decides about its sessions.
    pub guest: Arc<dyn Guest>,
}

/// How a tenant speaks TLS. A session never outlives a change of this, but for one of the key alone or of early data.
pub struct TenantTls {
    /// Its certificate chain, leaf first.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The key of the leaf.
    pub key: PrivateKeyDer<'static>,
    /// Whether its clients have to show a certificate.
    pub client_auth: ClientAuth,
    /// The roots that its clients' certificates must come from. Needed when they are asked for one.
    pub client_roots: Vec<CertificateDer<'static>>,
    /// The protocols it offers, best first; none, to offer nothing.
    pub alpn: Vec<Vec<u8>>,
    /// How many bytes a client may send before the handshake is done, when it resumes; 0 is off. Whoever sees them on the
    /// way may send them to another server again.
    pub early_data_bytes: u32,
}

impl TenantTls {
    /// No client certificates, no protocol names, no early data.
    pub fn new(certificates: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Self {
        let (client_auth, client_roots, alpn) = (ClientAuth::None, Vec::new(), Vec::new());
        Self { certificates, key, client_auth, client_roots, alpn, early_data_bytes: 0 }
    }

    fn identity(&self) -> TlsIdentity {
        TlsIdentity::new(self.client_auth, &self.client_roots, &self.certificates, &self.alpn, b"")
    }

    fn into_config(self) -> Result<ServerConfig, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let builder = match self.client_auth {
            ClientAuth::None => builder.with_no_client_auth(),
            ClientAuth::Optional | ClientAuth::Required => {
                let mut roots = RootCertStore::empty();
                self.client_roots.into_iter().try_for_each(|root| roots.add(root))?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = match self.client_auth {
                    ClientAuth::Optional => verifier.allow_unauthenticated(),
                    _ => verifier,
                };
                let built = verifier.build().map_err(|error| rustls::Error::General(error.to_string()))?;
                builder.with_client_cert_verifier(built)
            }
        };
        let mut config = builder.with_single_cert(self.certificates, self.key)?;
        config.alpn_protocols = self.alpn;
        prepare(&mut config, self.early_data_bytes);
        Ok(config)
    }
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

/// What a guest tells of its cache, beside what the host knows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// Sessions in the vault, and how many the guest says there are.
    pub size: Size,
    /// How many live sessions the guest shows in a fold.
    pub folded: Result<usize, FoldError>,
    /// How many the guest selects for the server name, of 256 at most, false ones left out.
    pub selected: usize,
}

/// How many sessions an inspection selects: as many as a guest is advised to give.
const SELECTED_MAX: usize = 256;

pub(crate) struct Tenant {
    pub(crate) name: String,
    pub(crate) upstream: SocketAddr,
    tls: RwLock<Tls>,
    pub(crate) reader: Reader<Secret>,
    /// What the tenant may still have at a time, so that its clients cannot take what others need.
    pub(crate) connections_left: Arc<Semaphore>,
    pub(crate) handshakes_left: Semaphore,
    pub(crate) threads_left: Semaphore,
    handshakes: AtomicU64,
    resumed: AtomicU64,
    failed: AtomicU64,
}

/// A configuration and the sessions under it, exchanged together.
struct Tls {
    identity: TlsIdentity,
    config: ServerConfig,
    sessions: ServerSessions,
}

impl Tls {
    fn new(tls: TenantTls, reader: &Reader<Secret>) -> Result<Self, rustls::Error> {
        let identity = tls.identity();
        let sessions = ServerSessions::new(reader.clone(), identity);
        Ok(Self { identity, config: tls.into_config()?, sessions })
    }
}

impl Tenant {
    /// Opens the tenant's cache. The owner is the cache's life.
    pub(crate) fn open(
        config: TenantConfig,
        owners: &Owners,
        limits: &ProxyLimits,
    ) -> Result<(Self, Owner<Secret>), StartError> {
        let TenantConfig { name, server_names: _, tls, upstream, cache, guest } = config;
        let opened = owners.open(cache, guest);
        let (owner, reader) = opened.map_err(|source| StartError::Cache { tenant: name.clone(), source })?;
        let tls = Tls::new(tls, &reader);
        let tls = tls.map_err(|source| StartError::Certificate { tenant: name.clone(), source })?;
        let tenant = Self {
            name,
            upstream,
            tls: RwLock::new(tls),
            reader,
            connections_left: Arc::new(Semaphore::new(limits.connections_per_tenant.clamp(1, Semaphore::MAX_PERMITS))),
            handshakes_left: Semaphore::new(limits.handshakes_per_tenant.clamp(1, Semaphore::MAX_PERMITS)),
            threads_left: Semaphore::new(limits.threads_per_tenant.clamp(1, Semaphore::MAX_PERMITS)),
            handshakes: AtomicU64::new(0),
            resumed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        };
        Ok((tenant, owner))
    }

    pub(crate) fn config_for(&self, server_name: &str) -> Arc<ServerConfig> {
        let tls = self.tls.read().unwrap_or_else(PoisonError::into_inner);
        tls.sessions.scoped(&tls.config, server_name).config
    }

    /// Changes how the tenant speaks TLS, for connections from now on. Sessions of another trust decision are wiped; says
    /// how many.
    pub(crate) fn reconfigure(&self, tls: TenantTls) -> Result<usize, rustls::Error> {
        let new = Tls::new(tls, &self.reader)?;
        let mut tls = self.tls.write().unwrap_or_else(PoisonError::into_inner);
        let is_changed = tls.identity != new.identity;
        *tls = new;
        // Under the lock: a connection that still has the old configuration has terms from before the revocation.
        Ok(if is_changed { self.reader.mailbox().revoke() } else { 0 })
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

    pub(crate) fn inspect(&self, server_name: &str) -> Inspection {
        Inspection {
            size: self.reader.size(),
            folded: self.reader.foldl(0, |sessions, _| sessions + 1),
            selected: self.reader.select_session(server_name.as_bytes(), SELECTED_MAX).len(),
        }
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
