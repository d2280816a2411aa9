//! Connections to a tenant's upstream, in plain TCP or in TLS. A cache in the client role keeps the TLS sessions.

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
use innkeeper_rustls::{ClientSession, ClientSessions};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{self, ClientConfig, HandshakeKind, client::Resumption, pki_types::ServerName},
};

use crate::{
    blocking::step_by_step,
    error::ConnectionError,
    settings::upstream::Upstream,
    tenants::gates::Gates,
    times::{Stopwatches, Times},
};

/// An upstream with everything that a connection to it needs.
pub(crate) struct Target {
    upstream: Upstream,
    addresses: Addresses,
    tls: Option<TargetTls>,
}

struct TargetTls {
    server_name: ServerName<'static>,
    config: ClientConfig,
    /// None until the tenant has a guest.
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
    /// A target for an upstream. `reader` is the cache in the client role; without it no session with the upstream is
    /// kept. `before` is the target that this one replaces.
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
        // rustls offers a session only under the very configuration that made it.
        let kept = before.filter(|before| before.upstream.tls == upstream.tls).and_then(|before| before.tls.as_ref());
        let config = match kept {
            Some(kept) => kept.config.clone(),
            None => tls.to_config()?,
        };
        let sessions = reader.map(|reader| ClientSessions::new(reader.clone(), &upstream.address, identity));
        let tls = TargetTls { server_name: tls.server_name.clone(), config, sessions, identity };
        Ok(Self { upstream, addresses: Addresses::default(), tls: Some(tls) })
    }

    /// The same target with another cache in the client role.
    pub(crate) fn with_reader(&self, reader: Option<&Reader<ClientSession>>) -> Self {
        let tls = self.tls.as_ref().map(|TargetTls { server_name, config, identity, .. }| TargetTls {
            server_name: server_name.clone(),
            config: config.clone(),
            sessions: reader.map(|reader| ClientSessions::new(reader.clone(), &self.upstream.address, *identity)),
            identity: *identity,
        });
        Self { upstream: self.upstream.clone(), addresses: Addresses::default(), tls }
    }

    /// True if the upstream speaks TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// True if sessions of this target are valid for another: both rest on the same trust and show the same
    /// certificate.
    pub(crate) fn is_same_peer(&self, other: &Self) -> bool {
        let of = |target: &Self| target.tls.as_ref().map(|tls| tls.identity);
        let is_same = self.upstream.address == other.upstream.address && self.upstream.tls == other.upstream.tls;
        is_same && of(self) == of(other)
    }

    /// Connects, tells the upstream the client's address if it wants that, and does the TLS handshake if there is one.
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
        // The proxy passes bytes on unchanged, so both ends have to speak one protocol.
        config.alpn_protocols = call.protocol.iter().map(|protocol| protocol.to_vec()).collect();
        let connector = TlsConnector::from(tls.scoped(config));
        // Creating the TLS session already asks the tenant's cache, so it belongs to the first step.
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
        // Bytes are passed on as they come. An error means that the upstream is gone, which the next write reports.
        let _ = stream.set_nodelay(true);
        if let Some(version) = self.upstream.proxy_protocol {
            stream.write_all(&version.header(call.client, call.local)?).await?;
        }
        Ok(stream)
    }
}

/// The result of the last look-up of an upstream's addresses.
#[derive(Default)]
struct Addresses(tokio::sync::Mutex<Option<(Instant, Arc<[SocketAddr]>)>>);

/// The time for which connections share one look-up.
const ADDRESSES_LIFE: Duration = Duration::from_secs(1);

/// Look-ups of all tenants at a time, including those that nobody waits for any more. The rest of the runtime's threads
/// serve handshakes.
static NAME_LOOKUPS: Semaphore = Semaphore::const_new(64);

impl Addresses {
    /// The addresses of an upstream. All who wait share one look-up. The system's resolver cannot be stopped, so an
    /// abandoned look-up keeps its permits. That bounds the threads of a tenant whose name server is silent.
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
        // Nobody closes these semaphores.
        let permits = (Arc::clone(&gates.name_lookups).acquire_owned().await, NAME_LOOKUPS.acquire().await);
        let address = address.to_owned();
        let looked_up = tokio::task::spawn_blocking(move || {
            let _permits = permits;
            address.to_socket_addrs().map(Iterator::collect)
        });
        let addresses: Arc<[SocketAddr]> = looked_up.await.map_err(io::Error::other)??;
        *last = Some((Instant::now(), Arc::clone(&addresses)));
        Ok(addresses)
    }
}

/// A client's connection that needs one to the upstream.
pub(crate) struct UpstreamCall<'a> {
    pub(crate) client: SocketAddr,
    pub(crate) local: SocketAddr,
    /// The protocol that the client and the proxy have agreed on, if any.
    pub(crate) protocol: Option<&'a [u8]>,
    /// The time to the end of the handshake.
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

/// The time between two warnings about an upstream that is down.
const WARNINGS_APART: Duration = Duration::from_secs(10);

/// A reading of the counters of connections to an upstream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UpstreamStats {
    /// Connections begun.
    pub connections: u64,
    /// Connections among them that failed.
    pub failed: u64,
    /// Completed TLS handshakes.
    pub handshakes: u64,
    /// Handshakes among them that resumed a session.
    pub resumed: u64,
    /// TLS handshakes that failed or took too long.
    pub handshakes_failed: u64,
    /// The durations of completed handshakes.
    pub handshake_times: Times,
}

impl UpstreamCounts {
    /// True if a failure deserves a warning, because the last warning was some time ago. Counts as that warning.
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
