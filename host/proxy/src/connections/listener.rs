//! Listeners, which accept connections until they are dropped.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::OwnedSemaphorePermit, task::JoinHandle};

use crate::{
    connections::{
        connection::{Connection, serve},
        shared::Shared,
    },
    error::StartError,
    peer::Peer,
    settings::listener::ListenerConfig,
};

/// An open listener. Dropping it closes it; its connections go on.
pub(crate) struct Listener {
    pub(crate) config: Arc<ListenerConfig>,
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
    /// Binds an address, or takes over a socket that listens already. Accepts nothing yet.
    pub(crate) async fn bind(
        config: ListenerConfig,
        socket: Option<std::net::TcpListener>,
    ) -> Result<Self, StartError> {
        let failed = |source| StartError::Listen { address: config.address, source };
        let bound = match socket {
            Some(socket) => from_std(socket),
            None => TcpListener::bind(config.address).await,
        };
        let bound = bound.map_err(failed)?;
        let local_address = bound.local_addr().map_err(failed)?;
        Ok(Self { config: Arc::new(config), local_address, bound: Arc::new(bound), task: None })
    }

    /// The same socket with a changed configuration. Connections wait in the kernel's queue until one of the two
    /// accepts.
    pub(crate) fn with_config(&self, config: ListenerConfig) -> Self {
        Self { config: Arc::new(config), local_address: self.local_address, bound: Arc::clone(&self.bound), task: None }
    }

    pub(crate) fn accept(&mut self, shared: &Arc<Shared>) {
        let accept = accept(Arc::clone(&self.bound), Arc::clone(shared), Arc::clone(&self.config));
        self.task = Some(AbortOnDrop(tokio::spawn(accept)));
    }
}

fn from_std(socket: std::net::TcpListener) -> io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

async fn accept(listener: Arc<TcpListener>, shared: Arc<Shared>, config: Arc<ListenerConfig>) {
    let _listening = shared.strangers.listening();
    loop {
        let Ok(permit) = Arc::clone(&shared.connections).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (stranger, displaced) = shared.strangers.enter(Peer::of(peer.ip()));
                shared.totals.displaced(displaced);
                let (shared, listener) = (Arc::clone(&shared), Arc::clone(&config));
                tokio::spawn(serve_with_permit(Connection { shared, listener, stream, peer, stranger }, permit));
            }
            Err(error) => {
                // For example, the process is out of file descriptors. Others need time to close some.
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

/// Counts an open connection until it is dropped.
struct Counted(Arc<Shared>);

impl Counted {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.totals.opened();
        Self(Arc::clone(shared))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.totals.closed();
    }
}
