//! One connection: ClientHello, tenant, handshake, upstream, bytes.

use std::{io, sync::Arc};

use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, rustls::server::Acceptor, server::TlsStream};

use crate::{ConnectionError, proxy::Shared, tenant::Tenant};

pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) stream: TcpStream,
}

/// Serves a connection to its end. Whatever happens is this connection's own.
pub(crate) async fn serve(connection: Connection) -> Result<(), ConnectionError> {
    let Connection { shared, stream } = connection;
    // Bytes are passed on as they come; an error means that the client is gone, which the handshake will see.
    let _ = stream.set_nodelay(true);
    let (tenant, _permit, mut client) = handshake(&shared, stream).await?;
    let address = tenant.upstream;
    let connected = timeout(shared.limits.upstream_connect, TcpStream::connect(address)).await;
    let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let mut upstream = match connected {
        Ok(upstream) => upstream,
        Err(source) => {
            // The client learns at least that nothing was cut short on the way.
            let _ = client.shutdown().await;
            return Err(ConnectionError::Upstream { address, source });
        }
    };
    let _ = upstream.set_nodelay(true);
    let life = shared.limits.connection;
    let copied = timeout(life, tokio::io::copy_bidirectional(&mut client, &mut upstream)).await;
    copied.map_err(|_| ConnectionError::TooOld(life))?.map_err(ConnectionError::Transfer)?;
    Ok(())
}

/// Does the handshake. The tenant is known before any session is looked up, so a session can only come from its cache.
async fn handshake(
    shared: &Shared,
    stream: TcpStream,
) -> Result<(Arc<Tenant>, OwnedSemaphorePermit, TlsStream<TcpStream>), ConnectionError> {
    let limit = shared.limits.handshake;
    let deadline = Instant::now() + limit;
    let too_late = |_| ConnectionError::HandshakeTimeout(limit);
    let hello = timeout_at(deadline, LazyConfigAcceptor::new(Acceptor::default(), stream)).await.map_err(too_late)?;
    let start = hello.map_err(ConnectionError::Handshake)?;
    let server_name = start.client_hello().server_name().map(str::to_ascii_lowercase);
    let Some(server_name) = server_name else { return refuse(start, ALERT_MISSING_EXTENSION).await };
    let Some(tenant) = shared.tenant(&server_name) else { return refuse(start, ALERT_UNRECOGNIZED_NAME).await };
    let connection = Arc::clone(&tenant.connections_left).try_acquire_owned();
    let connection = connection.map_err(|_| ConnectionError::TooManyConnections(tenant.name.clone()))?;
    let _permit = timeout_at(deadline, tenant.handshakes_left.acquire()).await.map_err(too_late)?;
    let config = tenant.config_for(&server_name);
    let done = timeout_at(deadline, start.into_stream(config)).await;
    let client = done.map_err(too_late).and_then(|done| done.map_err(ConnectionError::Handshake));
    match client {
        Ok(client) => {
            tenant.note_handshake(client.get_ref().1.handshake_kind());
            Ok((Arc::clone(tenant), connection, client))
        }
        Err(error) => {
            tenant.note_failure();
            Err(error)
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
