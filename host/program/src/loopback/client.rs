//! Clients: rustls, one TLS version each, reconnecting.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use innkeeper_proxy::rustls::{
    ClientConfig, HandshakeKind, NamedGroup, RootCertStore, SupportedProtocolVersion,
    client::{
        ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls12Resumption,
        Tls13ClientSessionValue,
    },
    crypto::ring,
    pki_types::ServerName,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;

/// Each TLS version has its own clients.
pub const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// The time that one connection may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest handshake that is told apart.
const TIME_US_MAX: u64 = 60_000_000;

/// Counts and times of the connections of one tenant's clients.
#[derive(Debug, Default)]
pub struct Visits {
    /// Completed handshakes.
    pub handshakes: AtomicU64,
    /// Connections for which the client had a session to offer.
    pub resumable: AtomicU64,
    /// Resumed connections.
    pub resumed: AtomicU64,
    /// Failed connections.
    pub failed: AtomicU64,
    /// Times from the connection to the end of the handshake, in microseconds.
    handshake_us: Mutex<Handshakes>,
}

/// Times of handshakes.
#[derive(Debug)]
struct Handshakes(Histogram<u32>);

impl Default for Handshakes {
    fn default() -> Self {
        Self(Histogram::new(3).expect("three significant digits are allowed"))
    }
}

impl Visits {
    /// Connections so far, failed ones included.
    pub fn made(&self) -> u64 {
        self.handshakes.load(Ordering::Relaxed) + self.failed.load(Ordering::Relaxed)
    }

    /// The 99th percentile of the handshakes' times, in microseconds.
    pub fn p99_us(&self) -> u64 {
        self.handshake_us.lock().unwrap_or_else(PoisonError::into_inner).0.value_at_quantile(0.99)
    }

    fn note_time(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).min(TIME_US_MAX);
        let mut times = self.handshake_us.lock().unwrap_or_else(PoisonError::into_inner);
        times.0.record(us).expect("the histogram grows by itself");
    }
}

/// One client with its own memory of sessions.
pub struct Client {
    connector: TlsConnector,
    server_name: ServerName<'static>,
    address: SocketAddr,
    store: Arc<OfferStore>,
}

impl Client {
    /// Makes a client of one TLS version that connects to a proxy's address.
    ///
    /// # Errors
    /// When rustls rejects the version or the server name.
    pub fn new(
        version: &'static SupportedProtocolVersion,
        roots: RootCertStore,
        server_name: &str,
        address: SocketAddr,
    ) -> anyhow::Result<Self> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let store = Arc::new(OfferStore { sessions: ClientSessionMemoryCache::new(32), has_offered: false.into() });
        let sessions = Arc::clone(&store) as Arc<dyn ClientSessionStore>;
        config.resumption = Resumption::store(sessions).tls12_resumption(Tls12Resumption::SessionIdOnly);
        let server_name = ServerName::try_from(server_name.to_owned())?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), server_name, address, store })
    }

    /// Connects so many times, one after another.
    pub async fn visit(&self, connections: u32, visits: &Visits) {
        for _ in 0..connections {
            self.store.has_offered.store(false, Ordering::Relaxed);
            let done = timeout(PATIENCE, self.connect()).await.context("no answer in time").flatten();
            match done {
                Ok((kind, time)) => {
                    visits.note_time(time);
                    visits.handshakes.fetch_add(1, Ordering::Relaxed);
                    let has_offered = self.store.has_offered.load(Ordering::Relaxed);
                    visits.resumable.fetch_add(u64::from(has_offered), Ordering::Relaxed);
                    visits.resumed.fetch_add(u64::from(kind == HandshakeKind::Resumed), Ordering::Relaxed);
                }
                Err(error) => {
                    tracing::error!(server_name = ?self.server_name, "a connection failed: {error:#}");
                    visits.failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// One connection: handshake, request, answer, end.
    async fn connect(&self) -> anyhow::Result<(HandshakeKind, Duration)> {
        let start = Instant::now();
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let mut tls = self.connector.connect(self.server_name.clone(), stream).await?;
        let time = start.elapsed();
        tls.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
        let mut answer = Vec::new();
        tls.read_to_end(&mut answer).await?;
        ensure!(answer.ends_with(b"hello from upstream!\n"), "the answer is cut short");
        tls.shutdown().await?;
        let kind = tls.get_ref().1.handshake_kind().context("the handshake has ended")?;
        Ok((kind, time))
    }
}

/// rustls's own store, which also notes whether there was a session to offer.
#[derive(Debug)]
struct OfferStore {
    sessions: ClientSessionMemoryCache,
    has_offered: AtomicBool,
}

impl OfferStore {
    fn note<T>(&self, session: Option<T>) -> Option<T> {
        self.has_offered.fetch_or(session.is_some(), Ordering::Relaxed);
        session
    }
}

impl ClientSessionStore for OfferStore {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.sessions.set_kx_hint(server_name, group);
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.sessions.kx_hint(server_name)
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.sessions.set_tls12_session(server_name, session);
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.note(self.sessions.tls12_session(server_name))
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        self.sessions.remove_tls12_session(server_name);
    }

    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.sessions.insert_tls13_ticket(server_name, ticket);
    }

    fn take_tls13_ticket(&self, server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.note(self.sessions.take_tls13_ticket(server_name))
    }
}
