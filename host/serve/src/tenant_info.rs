//! The public part of a tenant's settings, without secrets and without the component's bytes.

use std::{path::PathBuf, time::Duration};

use innkeeper_proxy::{
    ClientAuth, Wasi,
    core::{CacheConfig, Limits, Overflow, Property, Role, SizeClass},
};

use crate::config::{Digest, GuestSettings, TenantSettings, read_file};

/// The public part of a tenant's settings.
#[derive(Clone)]
pub(crate) struct TenantInfo {
    pub(crate) name: String,
    pub(crate) server_names: Vec<String>,
    pub(crate) client_auth: ClientAuth,
    pub(crate) upstream: String,
    pub(crate) is_upstream_tls: bool,
    /// The guest that serves, if any.
    pub(crate) guest: Option<GuestInfo>,
}

/// The settings of a guest.
#[derive(Clone)]
pub(crate) struct GuestInfo {
    pub(crate) component: PathBuf,
    /// The digest of the component.
    pub(crate) digest: Digest,
    pub(crate) class: SizeClass,
    pub(crate) wasi: Wasi,
    pub(crate) readers: usize,
    pub(crate) limits: Limits,
    pub(crate) properties: Vec<Property>,
    pub(crate) overflow: Overflow,
    pub(crate) idle: Option<Duration>,
    /// The instances in both roles together.
    pub(crate) instances: usize,
}

impl TenantInfo {
    /// The public part of a tenant's settings, with the guest that serves.
    pub(crate) fn new(settings: &TenantSettings, guest: Option<GuestInfo>) -> Self {
        let TenantSettings { name, server_names, tls, upstream, .. } = settings;
        Self {
            name: name.clone(),
            server_names: server_names.clone(),
            client_auth: tls.client_auth,
            upstream: upstream.address.clone(),
            is_upstream_tls: upstream.tls.is_some(),
            guest,
        }
    }
}

impl GuestInfo {
    pub(crate) fn new(settings: &GuestSettings, instances: usize) -> Self {
        let GuestSettings { path, class, wasi, limits, overflow, properties, readers, idle, .. } = settings;
        Self {
            component: path.clone(),
            digest: settings.component_digest(),
            class: *class,
            wasi: *wasi,
            readers: *readers,
            limits: limits.clone(),
            properties: properties.clone(),
            overflow: *overflow,
            idle: *idle,
            instances,
        }
    }

    /// Reads the component's file.
    pub(crate) fn read(&self) -> Result<Vec<u8>, String> {
        read_file(&self.component, self.limits.component_bytes)
    }

    /// The settings of a tenant's cache.
    pub(crate) fn cache(&self, tenant: &str) -> CacheConfig {
        CacheConfig {
            overflow: self.overflow,
            properties: self.properties.clone(),
            readers: self.readers,
            idle: self.idle,
            ..CacheConfig::new(tenant, Role::Server, self.limits.clone())
        }
    }
}

/// A digest in hexadecimal, for people to compare.
pub(crate) fn hex(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
