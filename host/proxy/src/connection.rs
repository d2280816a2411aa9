//! One connection: ClientHello, tenant, handshake, upstream, bytes.

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use innkeeper_rustls::Resumption;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, rustls::server::Acceptor, server::TlsStream};

use crate::{
    ConnectionError, ProxyLimits, Rejection,
    blocking::step_by_step,
    directory::Entry,
    early_data::EarlyDataFirst,
    listener::Door,
    proxy::Shared,
    proxy_protocol,
    setup::Setup,
    tenant::Tenant,
    transfer::transfer,
    upstream::{UpstreamCall, UpstreamStream},
};

pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) door: Arc<Door>,
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
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
    _place: Place,
}

/// One of a tenant's connections, until it is dropped.
struct Place {
    tenant: Arc<Tenant>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn take(tenant: &Arc<Tenant>, setup: &Setup) -> Result<Self, ConnectionError> {
        let rejected = |cause| {
            tenant.note_rejection(cause);
            ConnectionError::Rejected { tenant: tenant.name.clone(), cause }
        };
        let permit = Arc::clone(&setup.gates.connections).try_acquire_owned();
        let permit = permit.map_err(|_| rejected(Rejection::TooManyConnections))?;
        if !setup.gates.is_slow_enough() {
            return Err(rejected(Rejection::TooFast));
        }
        tenant.counts.connections.fetch_add(1, Ordering::Relaxed);
        Ok(Self { tenant: Arc::clone(tenant), _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.tenant.counts.connections.fetch_sub(1, Ordering::Relaxed);
    }
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
    let Connection { shared, door, mut stream, mut peer } = connection;
    // Bytes are passed on as they come; an error means that the client is gone, which the handshake will see.
    let _ = stream.set_nodelay(true);
    let deadline = Instant::now() + limits.handshake;
    let hello = async {
        if door.proxy_protocol {
            let client = proxy_protocol::read(&mut stream).await.map_err(ConnectionError::ProxyProtocol)?;
            peer = client.unwrap_or(peer);
        }
        LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(ConnectionError::Handshake)
    };
    let start = timeout(limits.hello, hello).await.unwrap_or(Err(ConnectionError::HelloTimeout(limits.hello)));
    let start = start.inspect_err(|_| shared.totals.no_hello())?;
    let server_name = start.client_hello().server_name().map(str::to_ascii_lowercase);
    let Some(server_name) = server_name.or_else(|| door.default_server_name.clone()) else {
        shared.totals.unknown_server_name();
        return refuse(start, ALERT_MISSING_EXTENSION).await;
    };
    let Some(Entry { tenant, setup, .. }) = shared.find(&server_name) else {
        shared.totals.unknown_server_name();
        return refuse(start, ALERT_UNRECOGNIZED_NAME).await;
    };
    let place = Place::take(&tenant, &setup)?;
    let done = timeout_at(deadline, handshake(&tenant, &setup, start, &server_name, peer)).await;
    let done = match done {
        Ok(done) => done.map_err(ConnectionError::Handshake),
        Err(_) => Err(ConnectionError::HandshakeTimeout(limits.handshake)),
    };
    match done {
        Ok(stream) => Ok(Guest { tenant, setup, peer, stream, _place: place }),
        Err(error) => {
            tenant.note_failure();
            tracing::info!(target: "innkeeper::handshake", tenant = tenant.name, %peer, "{error}");
            Err(error)
        }
    }
}

async fn handshake(
    tenant: &Tenant,
    setup: &Setup,
    start: StartHandshake<TcpStream>,
    server_name: &str,
    peer: SocketAddr,
) -> io::Result<TlsStream<TcpStream>> {
    // Closed by nobody.
    let _permit = setup.gates.handshakes.acquire().await;
    let begun = Instant::now();
    let scoped = setup.scoped(server_name);
    let stream = step_by_step(&setup.gates.threads, pin!(start.into_stream(Arc::clone(&scoped.config)))).await?;
    let (time, tls) = (begun.elapsed(), stream.get_ref().1);
    let is_resumed = tls.handshake_kind() == Some(tokio_rustls::rustls::HandshakeKind::Resumed);
    let resumption = scoped.resumption(is_resumed);
    tenant.note_handshake(resumption, time);
    let version = tls.protocol_version().and_then(|version| version.as_str()).unwrap_or("unknown");
    let span = tracing::info_span!(
        target: "innkeeper::handshake",
        "handshake",
        tenant = tenant.name,
        %peer,
        version,
        resumed = resumption == Resumption::Resumed,
        why = resumption.name(),
        took_us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
    );
    span.in_scope(|| tracing::info!(target: "innkeeper::handshake", "done"));
    Ok(stream)
}

/// What became of connections before their tenant was known.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) connections: AtomicU64,
    no_hello: AtomicU64,
    unknown_server_names: AtomicU64,
    not_accepted: AtomicU64,
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

    pub(crate) fn read(&self) -> ProxyStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ProxyStats {
            connections: read(&self.connections),
            no_hello: read(&self.no_hello),
            unknown_server_names: read(&self.unknown_server_names),
            not_accepted: read(&self.not_accepted),
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
