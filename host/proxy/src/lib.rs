//! A multi-tenant TLS proxy whose session caches are guests.
//!
//! [`Proxy::start`] opens each tenant's caches and listens. The ClientHello tells a connection's tenant before any
//! session is looked up. TLS ends at the proxy, and the bytes go on to the tenant's upstream, in plain TCP or in TLS of
//! the proxy's own. [`Proxy::apply`] changes all of that while connections go on, and [`Proxy::set_guest`] changes one
//! tenant's guest. A tenant without a guest serves full handshakes.
//!
//! This crate puts the others together and holds no cache logic. It reads no files and no environment: settings are
//! values.
//!
//! The modules lie in rooms, and each room sees only the ones below it: `proxy`, `connections`, `admission`, `tenants`,
//! `settings`, and the single files at the end.

mod proxy;
mod connections;
mod admission;
mod tenants;
mod settings;

mod accept_errors;
mod blocking;
mod error;
mod loader;
mod peer;
mod proxy_protocol;
mod times;

pub use innkeeper_core as core;
pub use innkeeper_rustls::{ClientAuth, Resumption, Scoped, ServerSessions};
pub use innkeeper_wasm::{Compilation, Helper, LoadError, Wasi};
pub use tokio_rustls::rustls;

pub use crate::{
    accept_errors::AcceptErrors,
    connections::totals::ProxyStats,
    error::{ConnectionError, Rejection, StartError, TenantError},
    loader::{GuestLoader, LoaderConfig},
    proxy::{GuestChange, Proxy, ProxyConfig},
    proxy_protocol::ProxyProtocol,
    settings::{
        bounds::{ProxyLimits, Reserves, TenantBounds},
        listener::ListenerConfig,
        pem::{Certificates, InvalidRoot, PemError, PrivateKey, is_dns_name, is_server_name},
        tenant::{TenantConfig, TenantFront},
        tls::{Certificate, InvalidCertificate, TenantTls},
        upstream::{InvalidServerName, Upstream, UpstreamTls},
    },
    tenants::{
        caches::Inspection,
        change::{Change, Wanted, What},
        stores::{SessionStores, TenantCaches},
        tenant::TenantStats,
        upstream::UpstreamStats,
    },
    times::Times,
};
