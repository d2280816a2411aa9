//! The settings of a tenant.

use std::sync::Arc;

use innkeeper_core::{CacheConfig, Guest};

use crate::settings::{bounds::TenantBounds, tls::TenantTls, upstream::Upstream};

/// The settings of a tenant.
#[derive(Clone)]
pub struct TenantConfig {
    /// The tenant's name, in logs and tables.
    pub name: String,
    /// The server names it serves, at least one: each a host's name, or `*.` and a domain for every name one label
    /// below it.
    pub server_names: Vec<String>,
    /// The TLS settings towards its clients.
    pub tls: TenantTls,
    /// The destination of its connections.
    pub upstream: Upstream,
    /// Its cache in the server role. A tenant whose upstream speaks TLS has a second cache, in the client role, with
    /// the same limits and properties. The two share a fuel budget.
    pub cache: CacheConfig,
    /// The guest that decides about its sessions.
    pub guest: Arc<dyn Guest>,
    /// The bounds on its connections.
    pub bounds: TenantBounds,
}

/// The settings of a tenant without its guest. All of them take effect at once.
#[derive(Clone)]
pub struct TenantFront {
    /// The tenant's name, in logs and tables.
    pub name: String,
    /// The server names it serves, as in [`TenantConfig`].
    pub server_names: Vec<String>,
    /// The TLS settings towards its clients.
    pub tls: TenantTls,
    /// The destination of its connections.
    pub upstream: Upstream,
    /// The bounds on its connections.
    pub bounds: TenantBounds,
}

impl TenantConfig {
    /// Everything but the cache and the guest.
    pub(crate) fn front(&self) -> TenantFront {
        let Self { name, server_names, tls, upstream, bounds, .. } = self.clone();
        TenantFront { name, server_names, tls, upstream, bounds }
    }
}
