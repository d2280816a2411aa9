//! Where a tenant's connections go: in plain TCP or in TLS, whose sessions are kept in a cache in the client role.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs as _},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use innkeeper_core::Reader;
use innkeeper_rustls::{ClientSession, ClientSessions, upstream_identity};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, ClientConfig, HandshakeKind, RootCertStore,
        client::Resumption,
        crypto::ring,
        pki_types::{CertificateDer, ServerName},
        sign::SingleCertAndKey,
    },
};

use crate::{Certificate, ConnectionError, ProxyProtocol, blocking::step_by_step, setup::Gates, times::Stopwatches};

/// Where a tenant's connections go.
#[derive(Clone, PartialEq)]
pub struct Upstream {
    /// Its host and port, such as `10.0.0.7:8080`. A host's name is looked up for connections, at most once a second; its
    /// addresses are tried in turn.
    pub address: String,
    /// How it speaks TLS, if it does.
    pub tls: Option<UpstreamTls>,
    /// The version of the PROXY protocol in which it is told of the client, if it is.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// How an upstream speaks TLS.
#[derive(Clone, PartialEq)]
pub struct UpstreamTls {
    /// The name that its certificate must be for, and that it is asked for.
    pub server_name: ServerName<'static>,
    /// The roots that its certificate must come from.
    pub roots: Arc<[CertificateDer<'static>]>,
    /// What the proxy shows when it is asked for a certificate.
    pub certificate: Option<Certificate>,
}

impl Upstream {
    /// Plain TCP to an address.
    pub fn plain(address: impl ToString) -> Self {
        Self { address: address.to_string(), tls: None, proxy_protocol: None }
    }
}

/// An upstream that is ready to be connected to.
pub(crate) struct Target {
    upstream: Upstream,
    addresses: Addresses,
    tls: Option<TargetTls>,
}

struct TargetTls {
    server_name: ServerName<'static>,
    config: ClientConfig,
    /// None until the tenant has a guest for them.
    sessions: Option<ClientSessions>,
    identity: [u8; 32],
}

impl TargetTls {
    /// The configuration for one connection.
    fn scoped(&self, mut config: ClientConfig) -> Arc<ClientConfig> {
        match &self.sessions {
            Some(sessions) => sessions.scoped(&config),
            None => {
                config.resumption = Resumption::disabled();
                Arc::new(config)
            }
        }
    }
}

impl Target {
    /// `reader` is the client role's cache, where there is one: without it no session with the upstream is kept. `before` is what
    /// it takes the place of.
    pub(crate) fn new(
        upstream: Upstream,
        alpn: &[Vec<u8>],
        reader: Option<&Reader<ClientSession>>,
        before: Option<&Self>,
    ) -> Result<Self, rustls::Error> {
        let Some(tls) = &upstream.tls else {
            return Ok(Self { upstream, addresses: Addresses::default(), tls: None });
        };
        let identity = tls.identity(alpn);
        // rustls offers a session only by the very configuration that it was made under.
        let kept = before.filter(|before| before.upstream.tls == upstream.tls).and_then(|before| before.tls.as_ref());
        let config = match kept {
            Some(kept) => kept.config.clone(),
            None => tls.to_config()?,
        };
        let sessions = reader.map(|reader| ClientSessions::new(reader.clone(), &upstream.address, identity));
        let tls = TargetTls { server_name: tls.server_name.clone(), config, sessions, identity };
        Ok(Self { upstream, addresses: Addresses::default(), tls: Some(tls) })
    }

    /// The same with another cache in the client role.
    pub(crate) fn with_reader(&self, reader: Option<&Reader<ClientSession>>) -> Self {
        let tls = self.tls.as_ref().map(|TargetTls { server_name, config, identity, .. }| TargetTls {
            server_name: server_name.clone(),
            config: config.clone(),
            sessions: reader.map(|reader| ClientSessions::new(reader.clone(), &self.upstream.address, *identity)),
            identity: *identity,
        });
        Self { upstream: self.upstream.clone(), addresses: Addresses::default(), tls }
    }

    /// Whether the upstream speaks TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether sessions of this one are of use with another: what the trust in it rests on is the same, and so is what is shown
    /// to it.
    pub(crate) fn is_same_peer(&self, other: &Self) -> bool {
        let of = |target: &Self| target.tls.as_ref().map(|tls| tls.identity);
        let is_same = self.upstream.address == other.upstream.address && self.upstream.tls == other.upstream.tls;
        is_same && of(self) == of(other)
    }

    /// Connects, tells the upstream of the client, and does the handshake where there is one.
    pub(crate) async fn connect(&self, call: UpstreamCall<'_>) -> Result<UpstreamStream, ConnectionError> {
        let deadline = Instant::now() + call.limit;
        let counts = call.counts;
        counts.connections.fetch_add(1, Ordering::Relaxed);
        let connected = timeout_at(deadline, self.connect_tcp(&call)).await;
        let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let stream = connected.map_err(|source| {
            counts.failed.fetch_add(1, Ordering::Relaxed);
            ConnectionError::Upstream { address: self.upstream.address.clone(), source }
        })?;
        let Some(tls) = &self.tls else { return Ok(UpstreamStream::Plain(stream)) };
        let start = Instant::now();
        let mut config = tls.config.clone();
        // Bytes are passed on as they are, so both ends have to speak one protocol.
        config.alpn_protocols = call.protocol.iter().map(|protocol| protocol.to_vec()).collect();
        let connector = TlsConnector::from(tls.scoped(config));
        // The tenant's cache is asked as soon as the session is made, so that belongs to the first step.
        let handshake = std::pin::pin!(async { connector.connect(tls.server_name.clone(), stream).await });
        let done = timeout_at(deadline, step_by_step(&call.gates.threads, handshake)).await;
        let done = done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let stream = done.map_err(|source| {
            counts.handshakes_failed.fetch_add(1, Ordering::Relaxed);
            ConnectionError::UpstreamHandshake { address: self.upstream.address.clone(), source }
        })?;
        counts.handshakes.fetch_add(1, Ordering::Relaxed);
        if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
            counts.resumed.fetch_add(1, Ordering::Relaxed);
        }
        counts.handshake_times.note(start.elapsed());
        Ok(UpstreamStream::Tls(Box::new(stream)))
    }

    async fn connect_tcp(&self, call: &UpstreamCall<'_>) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(&*self.addresses.of(&self.upstream.address, call.gates).await?).await?;
        // Bytes are passed on as they come; an error means that the upstream is gone, which the next write will see.
        let _ = stream.set_nodelay(true);
        if let Some(version) = self.upstream.proxy_protocol {
            stream.write_all(&version.header(call.client, call.local)?).await?;
        }
        Ok(stream)
    }
}

impl UpstreamTls {
    /// What the trust in the upstream rests on.
    fn identity(&self, alpn: &[Vec<u8>]) -> [u8; 32] {
        let chain = self.certificate.as_ref().map_or(&[][..], |certificate| &certificate.chain);
        upstream_identity(&self.roots, &self.server_name.to_str(), alpn, chain)
    }

    fn to_config(&self) -> Result<ClientConfig, rustls::Error> {
        let mut roots = RootCertStore::empty();
        self.roots.iter().cloned().try_for_each(|root| roots.add(root))?;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        Ok(match &self.certificate {
            Some(certificate) => {
                let certified = certificate.certified()?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
            None => builder.with_no_client_auth(),
        })
    }
}

/// An upstream's addresses, as they were looked up last.
#[derive(Default)]
struct Addresses(tokio::sync::Mutex<Option<(Instant, Arc<[SocketAddr]>)>>);

/// Connections of so long use one look-up.
const ADDRESSES_LIFE: Duration = Duration::from_secs(1);

/// Look-ups of all tenants at a time, those included that nobody waits for any more. What is left of the runtime's threads is
/// for handshakes.
static NAME_LOOKUPS: Semaphore = Semaphore::const_new(64);

impl Addresses {
    /// The addresses of an upstream, by one look-up for all who wait for it. The system's resolver cannot be stopped: a look-up
    /// that nobody waits for any more keeps its places, so that a tenant whose name server is silent has no more than those.
    async fn of(&self, address: &str, gates: &Gates) -> io::Result<Arc<[SocketAddr]>> {
        if let Ok(address) = address.parse() {
            return Ok([address].into());
        }
        let mut last = self.0.lock().await;
        if let Some((at, addresses)) = &*last
            && at.elapsed() < ADDRESSES_LIFE
        {
            return Ok(Arc::clone(addresses));
        }
        // Closed by nobody.
        let places = (Arc::clone(&gates.name_lookups).acquire_owned().await, NAME_LOOKUPS.acquire().await);
        let address = address.to_owned();
        let looked_up = tokio::task::spawn_blocking(move || {
            let _places = places;
            address.to_socket_addrs().map(Iterator::collect)
        });
        let addresses: Arc<[SocketAddr]> = looked_up.await.map_err(io::Error::other)??;
        *last = Some((Instant::now(), Arc::clone(&addresses)));
        Ok(addresses)
    }
}

/// What a connection to the upstream is for.
pub(crate) struct UpstreamCall<'a> {
    pub(crate) client: SocketAddr,
    pub(crate) local: SocketAddr,
    /// What the client and we have agreed to speak, if anything.
    pub(crate) protocol: Option<&'a [u8]>,
    /// To the end of the handshake.
    pub(crate) limit: Duration,
    pub(crate) gates: &'a Gates,
    pub(crate) counts: &'a UpstreamCounts,
}

pub(crate) enum UpstreamStream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

#[derive(Default)]
pub(crate) struct UpstreamCounts {
    connections: AtomicU64,
    failed: AtomicU64,
    handshakes: AtomicU64,
    resumed: AtomicU64,
    handshakes_failed: AtomicU64,
    handshake_times: Stopwatches,
    warned: Mutex<Option<Instant>>,
}

/// Of an upstream that is down, one connection in so long is told of.
const WARNINGS_APART: Duration = Duration::from_secs(10);

/// A reading of what came of connections to an upstream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UpstreamStats {
    /// Connections begun.
    pub connections: u64,
    /// Those among them that could not be made.
    pub failed: u64,
    /// Completed TLS handshakes.
    pub handshakes: u64,
    /// Those among them that resumed a session.
    pub resumed: u64,
    /// TLS handshakes that failed or took too long.
    pub handshakes_failed: u64,
    /// How long completed handshakes took.
    pub handshake_times: crate::Times,
}

impl UpstreamCounts {
    /// Whether a failure is to be told of, since none has been for a while.
    pub(crate) fn is_worth_a_warning(&self) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let is_worth = warned.is_none_or(|at| at.elapsed() >= WARNINGS_APART);
        if is_worth {
            *warned = Some(Instant::now());
        }
        is_worth
    }

    pub(crate) fn read(&self) -> UpstreamStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        UpstreamStats {
            connections: read(&self.connections),
            failed: read(&self.failed),
            handshakes: read(&self.handshakes),
            resumed: read(&self.resumed),
            handshakes_failed: read(&self.handshakes_failed),
            handshake_times: self.handshake_times.read(),
        }
    }
}
