//! Errors: of a start, and of an action or an installation.

use std::{net::SocketAddr, sync::Arc};

use innkeeper_proxy::{LoadError, TenantError};

use crate::config::Problems;

/// The server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The configuration has problems.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// The WebAssembly engine does not start.
    #[error("{0}")]
    Engine(LoadError),
    /// The admin listener cannot listen.
    #[error(
        "cannot listen on {address} for `admin.address`: {source}\nhint: give it another port, or write \
         `admin.enabled = false`"
    )]
    Admin {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        source: std::io::Error,
    },
}

/// The failure of an action, or of an installation.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActionError {
    #[error(transparent)]
    Tenant(#[from] TenantError),
    #[error("{0}")]
    Read(String),
    #[error("the component is refused: {0}")]
    Load(#[from] Arc<LoadError>),
    #[error("the configuration has no valid guest for the tenant; see the tenant's problems")]
    NothingWanted,
    #[error("superseded by a newer change of the tenant's guest")]
    Superseded,
    #[error("a bug of the server; see its log")]
    Panicked,
}
