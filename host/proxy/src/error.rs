//! What can go wrong: at start, by the operator's settings; later, connection by connection.

use std::{io, time::Duration};

/// Why the proxy does not start or does not take over other settings, or a tenant's. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Two tenants have the same name.
    #[error("tenant `{0}` is there twice")]
    TenantTwice(String),
    /// Two tenants serve the same server name.
    #[error("server name `{server_name}` is served by `{first}` and by `{second}`: one tenant can have it")]
    ServerNameTwice {
        /// The server name.
        server_name: String,
        /// A tenant that has it.
        first: String,
        /// Another one.
        second: String,
    },
    /// A tenant has no server name, so that no connection would reach it.
    #[error("tenant `{0}` has no server name")]
    NoServerName(String),
    /// A tenant that was to be kept as it is is not there.
    #[error("there is no tenant `{0}` to keep")]
    NotThere(String),
    /// A tenant's certificate, key or roots do not do.
    #[error("certificate, key or roots of tenant `{tenant}`: {source}")]
    Certificate {
        /// The tenant.
        tenant: String,
        /// What rustls says.
        source: tokio_rustls::rustls::Error,
    },
    /// A tenant's cache does not open.
    #[error("cache of tenant `{tenant}` does not open")]
    Cache {
        /// The tenant.
        tenant: String,
        /// Why not.
        source: innkeeper_core::OpenError,
    },
    /// The proxy has been shut down.
    #[error("the proxy has been shut down")]
    ShutDown,
    /// The proxy cannot listen.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

impl StartError {
    /// How a tenant's guest failed, where that is why.
    pub fn fault(&self) -> Option<&innkeeper_core::Fault> {
        match self {
            Self::Cache { source: innkeeper_core::OpenError::Guest(fault), .. } => Some(fault),
            _ => None,
        }
    }
}

/// Why nothing was done about a tenant of a running proxy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TenantError {
    /// There is no such tenant.
    #[error("there is no tenant `{0}`")]
    Unknown(String),
    /// There is no guest to upgrade or to ask.
    #[error("tenant `{0}` has no guest")]
    NoGuest(String),
    /// The cache that the tenant is to have does not open, and the old one goes on, if there is one.
    #[error("the cache does not open")]
    Cache(#[from] innkeeper_core::OpenError),
    /// The new guest failed, and the old one goes on serving.
    #[error("not upgraded; the old guest goes on serving")]
    Upgrade(#[from] innkeeper_core::UpgradeError),
    /// The certificate, the key or the roots do not do.
    #[error("certificate, key or roots: {0}")]
    Certificate(#[from] tokio_rustls::rustls::Error),
}

/// Why a connection ended early. Each is one connection's own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The load balancer before us did not say who the client is.
    #[error("{0}")]
    ProxyProtocol(io::Error),
    /// The client sent no server name, or one that no tenant serves.
    #[error("no tenant serves this server name")]
    UnknownServerName,
    /// The tenant takes no more by now.
    #[error("tenant `{tenant}` takes no more: {}", cause.name())]
    Rejected {
        /// The tenant.
        tenant: String,
        /// Why.
        cause: crate::Rejection,
    },
    /// The handshake failed.
    #[error("handshake failed: {0}")]
    Handshake(io::Error),
    /// The ClientHello took too long.
    #[error("no ClientHello in {} ms", .0.as_millis())]
    HelloTimeout(Duration),
    /// The handshake took too long.
    #[error("handshake not done in {} ms", .0.as_millis())]
    HandshakeTimeout(Duration),
    /// Another connection needed the place, and this one waited for its client.
    #[error("its place went to another, since the client was silent")]
    Displaced,
    /// The upstream cannot be reached.
    #[error("upstream {address} cannot be reached: {source}")]
    Upstream {
        /// Its address.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The handshake with the upstream failed.
    #[error("handshake with upstream {address} failed: {source}")]
    UpstreamHandshake {
        /// Its address.
        address: String,
        /// What rustls says.
        source: io::Error,
    },
    /// The transfer broke off.
    #[error("transfer broke off: {0}")]
    Transfer(io::Error),
    /// Nothing came for too long.
    #[error("nothing came either way in {} s", .0.as_secs())]
    Idle(Duration),
    /// The connection lived longer than a connection may.
    #[error("connection older than {} s", .0.as_secs())]
    TooOld(Duration),
}
