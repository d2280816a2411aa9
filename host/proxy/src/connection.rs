//! One connection: ClientHello, tenant, handshake, upstream, bytes.

use std::{
    future::poll_fn,
    io::{self, Read as _},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::block_in_place,
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
    let early_data = early_data(&mut client);
    let life = shared.limits.connection;
    let copy = async {
        upstream.write_all(&early_data).await?;
        tokio::io::copy_bidirectional(&mut client, &mut upstream).await
    };
    let copied = timeout(life, copy).await;
    copied.map_err(|_| ConnectionError::TooOld(life))?.map_err(ConnectionError::Transfer)?;
    Ok(())
}

/// What the client sent with its ClientHello, where the tenant allows that and the session was good: at most as much as the
/// tenant allows. It was accepted once at most, since taking its session has used the session up.
fn early_data(client: &mut TlsStream<TcpStream>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut early_data) = client.get_mut().1.early_data() {
        early_data.read_to_end(&mut bytes).expect("it has been received, and memory does not fail to be read");
    }
    bytes
}

/// Does the handshake. The tenant is known before any session is looked up, so a session can only come from its cache.
async fn handshake(
    shared: &Shared,
    stream: TcpStream,
) -> Result<(Arc<Tenant>, OwnedSemaphorePermit, TlsStream<TcpStream>), ConnectionError> {
    let limit = shared.limits.handshake;
    let deadline = Instant::now() + limit;
    let too_late = |_| ConnectionError::HandshakeTimeout(limit);
    let hello = timeout(shared.limits.hello, LazyConfigAcceptor::new(Acceptor::default(), stream)).await;
    let hello = hello.map_err(|_| ConnectionError::HelloTimeout(shared.limits.hello))?;
    let start = hello.map_err(ConnectionError::Handshake)?;
    let server_name = start.client_hello().server_name().map(str::to_ascii_lowercase);
    let Some(server_name) = server_name else { return refuse(start, ALERT_MISSING_EXTENSION).await };
    let Some(tenant) = shared.tenant(&server_name) else { return refuse(start, ALERT_UNRECOGNIZED_NAME).await };
    let connection = Arc::clone(&tenant.connections_left).try_acquire_owned();
    let connection = connection.map_err(|_| ConnectionError::TooManyConnections(tenant.name.clone()))?;
    let _permit = timeout_at(deadline, tenant.handshakes_left.acquire()).await.map_err(too_late)?;
    let config = tenant.config_for(&server_name);
    let done = timeout_at(deadline, step_by_step(&tenant.threads_left, pin!(start.into_stream(config)))).await;
    let client = done.map_err(too_late).and_then(|done| done.map_err(ConnectionError::Handshake));
    match client {
        Ok(client) => {
            tenant.note_handshake(client.get_ref().1.handshake_kind());
            Ok((Arc::clone(&tenant), connection, client))
        }
        Err(error) => {
            tenant.note_failure();
            Err(error)
        }
    }
}

/// Polls a handshake where it may block: a tenant's guest is asked on the thread that drives the handshake, and may take its
/// time or be waited for. Its tenant has so many threads for that, and the runtime's other connections go on on others.
async fn step_by_step<F: Future>(threads: &Semaphore, mut handshake: Pin<&mut F>) -> F::Output {
    loop {
        {
            // Closed by nobody.
            let _thread = threads.acquire().await;
            let step = poll_fn(|context| Poll::Ready(block_in_place(|| handshake.as_mut().poll(context)))).await;
            if let Poll::Ready(done) = step {
                return done;
            }
        }
        let mut has_waited = false;
        // What the handshake waits for wakes this task.
        poll_fn(|_| if std::mem::replace(&mut has_waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
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
