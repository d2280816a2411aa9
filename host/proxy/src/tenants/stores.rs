//! The session store of each connection.

use std::sync::Arc;

use innkeeper_rustls::{Scoped, ServerSessions};
use tokio_rustls::rustls::ServerConfig;

/// The source of the session store that a client's connection gets.
///
/// [`Proxy::start`](crate::Proxy::start) uses [`TenantCaches`]. A program that keeps sessions elsewhere, or that
/// compares stores, gives its own to [`Proxy::start_with`](crate::Proxy::start_with).
pub trait SessionStores: Send + Sync {
    /// The TLS configuration for one connection, with its store. `sessions` reaches the tenant's cache; None while the
    /// tenant has no guest. `server_name` is in lower case. Must not block: it is called on a thread that serves.
    fn scoped(&self, sessions: Option<&ServerSessions>, config: &Arc<ServerConfig>, server_name: &str) -> Scoped;
}

/// Every tenant's own cache. A tenant without a guest serves full handshakes.
#[derive(Clone, Copy, Debug)]
pub struct TenantCaches;

impl SessionStores for TenantCaches {
    fn scoped(&self, sessions: Option<&ServerSessions>, config: &Arc<ServerConfig>, server_name: &str) -> Scoped {
        match sessions {
            Some(sessions) => sessions.scoped(config, server_name),
            None => Scoped::without_cache(Arc::clone(config)),
        }
    }
}
