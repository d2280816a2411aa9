//! One connection: ClientHello, tenant, handshake, upstream, transfer.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, rustls::server::Acceptor, server::TlsStream};

use crate::{
    admission::{shares::Permit, strangers::Stranger},
    connections::{early_data::EarlyDataFirst, handshake::Handshake, shared::Shared, transfer::transfer},
    error::{ConnectionError, Rejection},
    peer::Peer,
    proxy_protocol,
    settings::{bounds::ProxyLimits, listener::ListenerConfig},
    tenants::{
        configuration::Configuration,
        directory::Entry,
        tenant::Tenant,
        upstream::{UpstreamCall, UpstreamStream},
    },
};

/// A connection that a listener has accepted.
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) listener: Arc<ListenerConfig>,
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) stranger: Stranger,
}

/// Serves a connection to its end. An error affects this connection alone.
pub(crate) async fn serve(connection: Connection) -> Result<(), ConnectionError> {
    let limits = connection.shared.limits();
    let local = connection.stream.local_addr().map_err(ConnectionError::Transfer)?;
    let mut accepted = accept(connection, &limits).await?;
    let (tenant, configuration) = (Arc::clone(&accepted.tenant), Arc::clone(&accepted.configuration));
    let protocol = accepted.stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    let call = UpstreamCall {
        client: accepted.peer,
        local,
        protocol: protocol.as_deref(),
        limit: limits.upstream_connect,
        gates: &configuration.gates,
        counts: &tenant.counts.upstream,
    };
    let upstream = match configuration.target.connect(call).await {
        Ok(upstream) => upstream,
        Err(error) => {
            if tenant.counts.upstream.is_worth_a_warning() {
                tracing::warn!(tenant = tenant.name, "{error}");
            }
            // The client learns at least that nobody cut the stream short.
            let _ = accepted.stream.shutdown().await;
            return Err(error);
        }
    };
    let passed = match upstream {
        UpstreamStream::Plain(stream) => timeout(limits.connection, pass(&mut accepted, stream, &limits)).await,
        UpstreamStream::Tls(stream) => timeout(limits.connection, pass(&mut accepted, stream, &limits)).await,
    };
    passed.unwrap_or(Err(ConnectionError::TooOld(limits.connection)))
}

/// A connection whose handshake is done.
struct AcceptedConnection {
    tenant: Arc<Tenant>,
    configuration: Arc<Configuration>,
    peer: SocketAddr,
    stream: TlsStream<TcpStream>,
    _permit: Permit,
}

/// Passes bytes on, early data first.
async fn pass(
    accepted: &mut AcceptedConnection,
    upstream: impl AsyncRead + AsyncWrite + Unpin,
    limits: &ProxyLimits,
) -> Result<(), ConnectionError> {
    let client = EarlyDataFirst::new(&mut accepted.stream);
    transfer(client, upstream, limits.idle, &accepted.tenant.counts.bytes).await
}

/// Reads the ClientHello, finds the tenant, and does the handshake. The tenant is known before any session is looked
/// up, so a session can only come from its cache.
async fn accept(connection: Connection, limits: &ProxyLimits) -> Result<AcceptedConnection, ConnectionError> {
    let Connection { shared, listener, stream, peer, stranger } = connection;
    // Bytes are passed on as they come. An error means that the client is gone, which the handshake reports.
    let _ = stream.set_nodelay(true);
    let deadline = Instant::now() + limits.handshake;
    let arrival = Arrival { shared: &shared, listener: &listener, stranger: &stranger, deadline };
    let arrived = tokio::select! {
        arrived = arrival.run(stream, peer, limits) => arrived?,
        // The newcomer has counted it.
        () = stranger.displaced() => return Err(ConnectionError::Displaced),
    };
    drop(stranger);
    let Arrived { tenant, configuration, peer, server_name, start, mut permit } = arrived;
    let (stores, own) = (&*shared.stores, &*configuration);
    let handshake = Handshake { tenant: &tenant, configuration: own, stores, server_name: &server_name, peer };
    let done = timeout_at(deadline, handshake.run(start, &mut permit)).await;
    match done.unwrap_or(Err(ConnectionError::HandshakeTimeout(limits.handshake))) {
        Ok(stream) => Ok(AcceptedConnection { tenant, configuration, peer, stream, _permit: permit }),
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

/// A connection before it has a permit of a tenant.
struct Arrival<'a> {
    shared: &'a Shared,
    listener: &'a ListenerConfig,
    stranger: &'a Stranger,
    /// The end of the time for the handshake.
    deadline: Instant,
}

/// A connection with a permit of its tenant.
struct Arrived {
    tenant: Arc<Tenant>,
    configuration: Arc<Configuration>,
    peer: SocketAddr,
    server_name: String,
    start: StartHandshake<TcpStream>,
    permit: Permit,
}

impl Arrival<'_> {
    async fn run(&self, stream: TcpStream, peer: SocketAddr, limits: &ProxyLimits) -> Result<Arrived, ConnectionError> {
        let Self { shared, listener, .. } = self;
        let hello = timeout(limits.hello, self.hello(stream, peer)).await;
        let hello = hello.unwrap_or(Err(ConnectionError::HelloTimeout(limits.hello)));
        let (start, peer) = hello.inspect_err(|_| shared.totals.no_hello())?;
        let server_name = start.client_hello().server_name().map(str::to_ascii_lowercase);
        let Some(server_name) = server_name.or_else(|| listener.default_server_name.clone()) else {
            shared.totals.unknown_server_name();
            return refuse(start, ALERT_MISSING_EXTENSION).await;
        };
        let Some(Entry { tenant, configuration, .. }) = shared.find(&server_name) else {
            shared.totals.unknown_server_name();
            return refuse(start, ALERT_UNRECOGNIZED_NAME).await;
        };
        let permit = self.permit(&tenant, &configuration, Peer::of(peer.ip())).await.map_err(|cause| {
            tenant.note_rejection(cause);
            ConnectionError::Rejected { tenant: tenant.name.clone(), cause }
        })?;
        Ok(Arrived { tenant, configuration, peer, server_name, start, permit })
    }

    /// Reads the ClientHello, after the PROXY protocol's header if the listener wants one. Returns the client's address
    /// too.
    async fn hello(
        &self,
        mut stream: TcpStream,
        mut peer: SocketAddr,
    ) -> Result<(StartHandshake<TcpStream>, SocketAddr), ConnectionError> {
        if self.listener.proxy_protocol {
            let client = proxy_protocol::read(&mut stream).await.map_err(ConnectionError::ProxyProtocol)?;
            if let Some(client) = client {
                peer = client;
                self.shared.totals.displaced(self.stranger.rename(Peer::of(peer.ip())));
            }
        }
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await;
        Ok((start.map_err(ConnectionError::Handshake)?, peer))
    }

    async fn permit(
        &self,
        tenant: &Arc<Tenant>,
        configuration: &Configuration,
        peer: Peer,
    ) -> Result<Permit, Rejection> {
        let gates = &configuration.gates;
        let permit = self.shared.shares.acquire(tenant, gates.bounds(), peer, self.deadline).await?;
        if gates.is_slow_enough() { Ok(permit) } else { Err(Rejection::TooFast) }
    }
}

/// The alert if no tenant has the name: RFC 6066, section 3.
const ALERT_UNRECOGNIZED_NAME: u8 = 112;
/// The alert if the client sends no name: RFC 8446, section 9.2, lets a server insist on one.
const ALERT_MISSING_EXTENSION: u8 = 109;

/// Sends a fatal alert instead of a ServerHello.
async fn refuse<T>(start: StartHandshake<TcpStream>, alert: u8) -> Result<T, ConnectionError> {
    // A record of type alert, version TLS 1.2, two bytes: the level fatal, and the alert.
    let record = [21, 3, 3, 0, 2, 2, alert];
    let mut stream = start.io;
    // An error means that the client is gone and needs no alert.
    let _ = stream.write_all(&record).await;
    let _ = stream.shutdown().await;
    Err(ConnectionError::UnknownServerName)
}
