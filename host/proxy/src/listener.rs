//! Listeners: accept connections, bounded in number, until they are dropped.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{net::TcpListener, sync::OwnedSemaphorePermit, task::JoinHandle};

use crate::{
    StartError,
    connection::{Connection, serve},
    peer::Peer,
    proxy::Shared,
};

/// Where to listen, and what to make of connections there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// The address. Port 0 takes a free port.
    pub address: SocketAddr,
    /// Whether each connection begins with a header of the PROXY protocol, version 1 or 2. Whoever can connect can then say
    /// who the client is: only load balancers should be able to.
    pub proxy_protocol: bool,
    /// The server name, in lower case, of clients that send none. They are turned away if there is none.
    pub default_server_name: Option<String>,
}

impl ListenerConfig {
    /// An address; no PROXY protocol, and clients have to send a server name.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, proxy_protocol: false, default_server_name: None }
    }
}

/// What a connection has to know of the listener it came in at.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) proxy_protocol: bool,
    pub(crate) default_server_name: Option<String>,
}

/// An open listener. Dropping it closes it; its connections go on.
pub(crate) struct Listener {
    pub(crate) config: ListenerConfig,
    pub(crate) local_address: SocketAddr,
    bound: Arc<TcpListener>,
    task: Option<AbortOnDrop>,
}

/// Ends a task when dropped.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Listener {
    /// Binds an address, or takes over a socket that listens already. Nothing is accepted yet.
    pub(crate) async fn bind(
        config: ListenerConfig,
        socket: Option<std::net::TcpListener>,
    ) -> Result<Self, StartError> {
        let failed = |source| StartError::Listen { address: config.address, source };
        let bound = match socket {
            Some(socket) => adopt(socket),
            None => TcpListener::bind(config.address).await,
        };
        let bound = bound.map_err(failed)?;
        let local_address = bound.local_addr().map_err(failed)?;
        Ok(Self { config, local_address, bound: Arc::new(bound), task: None })
    }

    /// The same socket for a changed configuration. Connections wait in the kernel's queue until one of the two accepts.
    pub(crate) fn again(&self, config: ListenerConfig) -> Self {
        Self { config, local_address: self.local_address, bound: Arc::clone(&self.bound), task: None }
    }

    pub(crate) fn accept(&mut self, shared: &Arc<Shared>) {
        let ListenerConfig { proxy_protocol, ref default_server_name, .. } = self.config;
        let door = Arc::new(Door { proxy_protocol, default_server_name: default_server_name.clone() });
        let accept = accept(Arc::clone(&self.bound), Arc::clone(shared), door);
        self.task = Some(AbortOnDrop(tokio::spawn(accept)));
    }
}

fn adopt(socket: std::net::TcpListener) -> io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

async fn accept(listener: Arc<TcpListener>, shared: Arc<Shared>, door: Arc<Door>) {
    let _listening = shared.strangers.listening();
    loop {
        let Ok(permit) = Arc::clone(&shared.connections).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (stranger, displaced) = shared.strangers.enter(Peer::of(peer.ip()));
                shared.totals.displaced(displaced);
                let (shared, door) = (Arc::clone(&shared), Arc::clone(&door));
                tokio::spawn(serve_with_permit(Connection { shared, door, stream, peer, stranger }, permit));
            }
            Err(error) => {
                // Out of file descriptors, say: others need time to give some back.
                shared.totals.not_accepted();
                shared.accept_errors.log("connections of clients", &error);
                drop(permit);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_with_permit(connection: Connection, permit: OwnedSemaphorePermit) {
    let (peer, mut is_over) = (connection.peer, connection.shared.is_over.subscribe());
    let _counted = Counted::new(&connection.shared);
    let served = serve(connection);
    tokio::select! {
        done = served => if let Err(error) = done {
            tracing::debug!(%peer, "{error}");
        },
        _ = is_over.wait_for(|is_over| *is_over) => {}
    }
    drop(permit);
}

/// One of all connections, until it is dropped.
struct Counted(Arc<Shared>);

impl Counted {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.totals.connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.totals.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
