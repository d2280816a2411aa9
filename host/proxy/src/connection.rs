//! One connection: ClientHello, tenant, handshake, upstream, bytes.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, rustls::server::Acceptor, server::TlsStream};

use crate::{
    ConnectionError, ProxyLimits, Rejection,
    directory::Entry,
    early_data::EarlyDataFirst,
    handshake::Handshake,
    listener::Door,
    peer::Peer,
    proxy::Shared,
    proxy_protocol,
    setup::Setup,
    shares::Seat,
    strangers::Stranger,
    tenant::Tenant,
    transfer::transfer,
    upstream::{UpstreamCall, UpstreamStream},
};

pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) door: Arc<Door>,
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) stranger: Stranger,
}

/// Serves a connection to its end. Whatever happens is this connection's own.
pub(crate) async fn serve(connection: Connection) -> Result<(), ConnectionError> {
    let limits = connection.shared.limits();
    let local = connection.stream.local_addr().map_err(ConnectionError::Transfer)?;
    let mut guest = welcome(connection, &limits).await?;
    let (tenant, setup) = (Arc::clone(&guest.tenant), Arc::clone(&guest.setup));
    let protocol = guest.stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    let call = UpstreamCall {
        client: guest.peer,
        local,
        protocol: protocol.as_deref(),
        limit: limits.upstream_connect,
        gates: &setup.gates,
        counts: &tenant.counts.upstream,
    };
    let upstream = match setup.target.connect(call).await {
        Ok(upstream) => upstream,
        Err(error) => {
            if tenant.counts.upstream.is_worth_a_warning() {
                tracing::warn!(tenant = tenant.name, "{error}");
            }
            // The client learns at least that nothing was cut short on the way.
            let _ = guest.stream.shutdown().await;
            return Err(error);
        }
    };
    let passed = match upstream {
        UpstreamStream::Plain(stream) => timeout(limits.connection, pass(&mut guest, stream, &limits)).await,
        UpstreamStream::Tls(stream) => timeout(limits.connection, pass(&mut guest, stream, &limits)).await,
    };
    passed.unwrap_or(Err(ConnectionError::TooOld(limits.connection)))
}

/// A client whose handshake is done.
struct Guest {
    tenant: Arc<Tenant>,
    setup: Arc<Setup>,
    peer: SocketAddr,
    stream: TlsStream<TcpStream>,
    _seat: Seat,
}

/// Passes bytes on, those first that came before the handshake was done.
async fn pass(
    guest: &mut Guest,
    upstream: impl AsyncRead + AsyncWrite + Unpin,
    limits: &ProxyLimits,
) -> Result<(), ConnectionError> {
    let client = EarlyDataFirst::new(&mut guest.stream);
    transfer(client, upstream, limits.idle, &guest.tenant.counts.bytes).await
}

/// Learns who comes, and for whom; then does the handshake. The tenant is known before any session is looked up, so a session
/// can only come from its cache.
async fn welcome(connection: Connection, limits: &ProxyLimits) -> Result<Guest, ConnectionError> {
    let Connection { shared, door, stream, peer, stranger } = connection;
    // Bytes are passed on as they come; an error means that the client is gone, which the handshake will see.
    let _ = stream.set_nodelay(true);
    let deadline = Instant::now() + limits.handshake;
    let arrival = Arrival { shared: &shared, door: &door, stranger: &stranger, deadline };
    let arrived = tokio::select! {
        arrived = arrival.run(stream, peer, limits) => arrived?,
        // Counted where another took the place.
        () = stranger.displaced() => return Err(ConnectionError::Displaced),
    };
    drop(stranger);
    let Arrived { tenant, setup, peer, server_name, start, mut seat } = arrived;
    let handshake = Handshake { tenant: &tenant, setup: &setup, server_name: &server_name, peer };
    let done = timeout_at(deadline, handshake.run(start, &mut seat)).await;
    match done.unwrap_or(Err(ConnectionError::HandshakeTimeout(limits.handshake))) {
        Ok(stream) => Ok(Guest { tenant, setup, peer, stream, _seat: seat }),
        Err(error) => {
            match error {
                ConnectionError::Displaced => tenant.note_displaced(),
                _ => tenant.note_failure(),
            }
            tracing::info!(target: "innkeeper::handshake", tenant = tenant.name, %peer, "{error}");
            Err(error)
        }
    }
}

/// A connection whose tenant is not known yet, or has no place for it yet.
struct Arrival<'a> {
    shared: &'a Shared,
    door: &'a Door,
    stranger: &'a Stranger,
    /// For the handshake.
    deadline: Instant,
}

/// A connection that has a place among its tenant's.
struct Arrived {
    tenant: Arc<Tenant>,
    setup: Arc<Setup>,
    peer: SocketAddr,
    server_name: String,
    start: StartHandshake<TcpStream>,
    seat: Seat,
}

impl Arrival<'_> {
    async fn run(&self, stream: TcpStream, peer: SocketAddr, limits: &ProxyLimits) -> Result<Arrived, ConnectionError> {
        let Self { shared, door, .. } = self;
        let hello = timeout(limits.hello, self.hello(stream, peer)).await;
        let hello = hello.unwrap_or(Err(ConnectionError::HelloTimeout(limits.hello)));
        let (start, peer) = hello.inspect_err(|_| shared.totals.no_hello())?;
        let server_name = start.client_hello().server_name().map(str::to_ascii_lowercase);
        let Some(server_name) = server_name.or_else(|| door.default_server_name.clone()) else {
            shared.totals.unknown_server_name();
            return refuse(start, ALERT_MISSING_EXTENSION).await;
        };
        let Some(Entry { tenant, setup, .. }) = shared.find(&server_name) else {
            shared.totals.unknown_server_name();
            return refuse(start, ALERT_UNRECOGNIZED_NAME).await;
        };
        let seat = self.seat(&tenant, &setup, Peer::of(peer.ip())).await.map_err(|cause| {
            tenant.note_rejection(cause);
            ConnectionError::Rejected { tenant: tenant.name.clone(), cause }
        })?;
        Ok(Arrived { tenant, setup, peer, server_name, start, seat })
    }

    /// The ClientHello, and whose it is.
    async fn hello(
        &self,
        mut stream: TcpStream,
        mut peer: SocketAddr,
    ) -> Result<(StartHandshake<TcpStream>, SocketAddr), ConnectionError> {
        if self.door.proxy_protocol {
            let client = proxy_protocol::read(&mut stream).await.map_err(ConnectionError::ProxyProtocol)?;
            if let Some(client) = client {
                peer = client;
                self.shared.totals.displaced(self.stranger.rename(Peer::of(peer.ip())));
            }
        }
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await;
        Ok((start.map_err(ConnectionError::Handshake)?, peer))
    }

    async fn seat(&self, tenant: &Arc<Tenant>, setup: &Setup, peer: Peer) -> Result<Seat, Rejection> {
        let seat = self.shared.shares.seat(tenant, setup.gates.bounds(), peer, self.deadline).await?;
        if setup.gates.is_slow_enough() { Ok(seat) } else { Err(Rejection::TooFast) }
    }
}

/// What became of connections before their tenant was known.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) connections: AtomicU64,
    no_hello: AtomicU64,
    unknown_server_names: AtomicU64,
    not_accepted: AtomicU64,
    displaced: AtomicU64,
}

/// A reading of what became of connections before their tenant was known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyStats {
    /// Connections by now.
    pub connections: u64,
    /// Connections whose ClientHello did not come in time, or was none.
    pub no_hello: u64,
    /// ClientHellos with no server name, or one that no tenant serves.
    pub unknown_server_names: u64,
    /// Connections that the system did not hand over.
    pub not_accepted: u64,
    /// Connections, among those by now, whose ClientHello has not come.
    pub before_hello: u64,
    /// Connections whose ClientHello had not come when a newcomer needed their place.
    pub displaced: u64,
}

impl Totals {
    fn no_hello(&self) {
        self.no_hello.fetch_add(1, Ordering::Relaxed);
    }

    fn unknown_server_name(&self) {
        self.unknown_server_names.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn not_accepted(&self) {
        self.not_accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn displaced(&self, number: usize) {
        self.displaced.fetch_add(number as u64, Ordering::Relaxed);
    }

    pub(crate) fn read(&self, before_hello: usize) -> ProxyStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ProxyStats {
            connections: read(&self.connections),
            no_hello: read(&self.no_hello),
            unknown_server_names: read(&self.unknown_server_names),
            not_accepted: read(&self.not_accepted),
            before_hello: before_hello as u64,
            displaced: read(&self.displaced),
        }
    }
}

/// RFC 6066, section 3: no tenant has the name.
const ALERT_UNRECOGNIZED_NAME: u8 = 112;
/// RFC 8446, section 9.2: a server may insist on a server name.
const ALERT_MISSING_EXTENSION: u8 = 109;

/// Sends a fatal alert in place of a ServerHello.
async fn refuse<T>(start: StartHandshake<TcpStream>, alert: u8) -> Result<T, ConnectionError> {
    // A record of type alert, version TLS 1.2, two bytes: fatal, and which.
    let record = [21, 3, 3, 0, 2, 2, alert];
    let mut stream = start.io;
    // A client that is gone needs no alert.
    let _ = stream.write_all(&record).await;
    let _ = stream.shutdown().await;
    Err(ConnectionError::UnknownServerName)
}
