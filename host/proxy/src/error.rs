//! Errors: at start and in changes, by the operator's settings; later, connection by connection.

use std::{io, time::Duration};

/// The proxy does not start, or does not take over other settings. Nothing has changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Two tenants have the same name.
    #[error("two tenants are named `{0}`")]
    TenantTwice(String),
    /// Two tenants serve the same server name.
    #[error("server name `{server_name}` belongs to `{first}` and to `{second}`: only one tenant can have it")]
    ServerNameTwice {
        /// The server name.
        server_name: String,
        /// A tenant that has it.
        first: String,
        /// Another one.
        second: String,
    },
    /// A tenant has no server name, so no connection would reach it.
    #[error("tenant `{0}` has no server name")]
    NoServerName(String),
    /// A tenant that was to stay as it is is unknown.
    #[error("cannot keep tenant `{0}`: it is unknown")]
    NotThere(String),
    /// A tenant's certificate, key or roots are invalid.
    #[error("certificate, key or roots of tenant `{tenant}`: {source}")]
    Certificate {
        /// The tenant.
        tenant: String,
        /// The error of rustls.
        source: tokio_rustls::rustls::Error,
    },
    /// A tenant's cache does not open.
    #[error("cache of tenant `{tenant}` does not open")]
    Cache {
        /// The tenant.
        tenant: String,
        /// The cause.
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
        /// The error of the system.
        source: io::Error,
    },
}

impl StartError {
    /// The fault of a tenant's guest, if that is the cause.
    pub fn fault(&self) -> Option<&innkeeper_core::Fault> {
        match self {
            Self::Cache { source: innkeeper_core::OpenError::Guest(fault), .. } => Some(fault),
            _ => None,
        }
    }
}

/// A change of or an action on one tenant failed. Nothing was done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TenantError {
    /// No tenant has this name.
    #[error("there is no tenant `{0}`")]
    Unknown(String),
    /// The tenant has no guest to upgrade or to ask.
    #[error("tenant `{0}` has no guest")]
    NoGuest(String),
    /// The tenant's new cache does not open. The old one goes on, if it has one.
    #[error("the cache does not open")]
    Cache(#[from] innkeeper_core::OpenError),
    /// The new guest failed. The old one goes on serving.
    #[error("not upgraded; the old guest goes on serving")]
    Upgrade(#[from] innkeeper_core::UpgradeError),
    /// The certificate, the key or the roots are invalid.
    #[error("certificate, key or roots: {0}")]
    Certificate(#[from] tokio_rustls::rustls::Error),
}

/// The cause for which the proxy closed a connection before its handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Rejection {
    /// The tenant has all the connections it may have.
    TooManyConnections,
    /// The tenant's handshakes exceed their rate.
    TooFast,
    /// The peer has all the connections to the tenant that it may have.
    TooManyOfPeer,
    /// The tenant uses its reserve, and all tenants together use the rest.
    TooManyOfAll,
}

impl Rejection {
    /// All causes, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::TooManyConnections, Self::TooFast, Self::TooManyOfPeer, Self::TooManyOfAll];

    /// The cause's name in logs, metrics and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::TooManyConnections => "too-many-connections",
            Self::TooFast => "too-fast",
            Self::TooManyOfPeer => "too-many-of-peer",
            Self::TooManyOfAll => "too-many-of-all",
        }
    }
}

/// A connection ended early. The error affects that connection alone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The load balancer did not tell the client's address.
    #[error("{0}")]
    ProxyProtocol(io::Error),
    /// The client sent no server name, or one that no tenant serves.
    #[error("no tenant serves this server name")]
    UnknownServerName,
    /// The tenant takes no more connections now.
    #[error("tenant `{tenant}` takes no more: {}", cause.name())]
    Rejected {
        /// The tenant.
        tenant: String,
        /// The cause.
        cause: Rejection,
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
    /// Another connection needed the permit, and this one waited for its client.
    #[error("displaced by a newcomer, since the client was silent")]
    Displaced,
    /// The upstream cannot be reached.
    #[error("upstream {address} cannot be reached: {source}")]
    Upstream {
        /// Its address.
        address: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The handshake with the upstream failed.
    #[error("handshake with upstream {address} failed: {source}")]
    UpstreamHandshake {
        /// Its address.
        address: String,
        /// The error of rustls.
        source: io::Error,
    },
    /// The transfer broke off.
    #[error("transfer broke off: {0}")]
    Transfer(io::Error),
    /// No byte came either way for too long.
    #[error("nothing came either way in {} s", .0.as_secs())]
    Idle(Duration),
    /// The connection lived longer than a connection may.
    #[error("connection older than {} s", .0.as_secs())]
    TooOld(Duration),
}
