//! A multi-tenant TLS proxy whose session caches are guests.
//!
//! [`Proxy::start`] opens a cache for each tenant and listens. A connection's tenant is known from its ClientHello before
//! any session is looked up; TLS ends here, and the bytes go on to the tenant's upstream in plain TCP.
//!
//! This crate puts the others together; it holds no cache logic. It reads no file and no environment: settings are
//! values.

mod tenant;
mod proxy;
mod connection;
mod guest;
mod error;

pub use innkeeper_core as core;
pub use innkeeper_rustls::ClientAuth;
pub use innkeeper_wasm::{LoadError, Wasi};
pub use tokio_rustls::rustls;

pub use crate::{
    error::{ConnectionError, StartError, TenantError},
    guest::GuestLoader,
    proxy::{Proxy, ProxyConfig, ProxyLimits},
    tenant::{Inspection, TenantConfig, TenantStats, TenantTls},
};
