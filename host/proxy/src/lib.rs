//! A multi-tenant TLS proxy whose session caches are guests.
//!
//! [`Proxy::start`] opens each tenant's caches and listens. A connection's tenant is known from its ClientHello before any
//! session is looked up; TLS ends here, and the bytes go on to the tenant's upstream, in plain TCP or in TLS of the proxy's
//! own. [`Proxy::apply`] changes all of that while connections go on, and [`Proxy::set_guest`] one tenant's guest. A tenant
//! without a guest serves full handshakes.
//!
//! This crate puts the others together; it holds no cache logic. It reads no file and no environment: settings are
//! values.

mod proxy;
mod listener;
mod connection;
mod handshake;
mod tenant;
mod setup;
mod tls;
mod upstream;
mod caches;
mod change;
mod guest;

mod shares;
mod strangers;
mod line;
mod peer;
mod turns;

mod accept_errors;
mod blocking;
mod directory;
mod early_data;
mod error;
mod proxy_protocol;
mod times;
mod transfer;

pub use innkeeper_core as core;
pub use innkeeper_rustls::{ClientAuth, Resumption};
pub use innkeeper_wasm::{Compilation, Helper, LoadError, Wasi};
pub use tokio_rustls::rustls;

pub use crate::{
    accept_errors::AcceptErrors,
    change::{Change, Wanted, What},
    connection::ProxyStats,
    error::{ConnectionError, StartError, TenantError},
    guest::{GuestLoader, LoaderConfig},
    listener::ListenerConfig,
    proxy::{GuestChange, Proxy, ProxyConfig, ProxyLimits},
    proxy_protocol::ProxyProtocol,
    shares::Reserves,
    tenant::{Inspection, Rejection, TenantBounds, TenantConfig, TenantFront, TenantStats},
    times::Times,
    tls::{Certificate, TenantTls},
    upstream::{Upstream, UpstreamStats, UpstreamTls},
};
