//! What is told of a tenant's settings: nothing secret, and no component's bytes.

use std::{path::PathBuf, time::Duration};

use innkeeper_proxy::{
    ClientAuth, Wasi,
    core::{CacheConfig, Limits, Overflow, Property, Role, SizeClass},
};

use crate::config::{Digest, GuestSettings, TenantSettings, read_file};

/// A tenant's settings, as far as they are told.
#[derive(Clone)]
pub(crate) struct TenantInfo {
    pub(crate) name: String,
    pub(crate) server_names: Vec<String>,
    pub(crate) client_auth: ClientAuth,
    pub(crate) upstream: String,
    pub(crate) is_upstream_tls: bool,
    /// The guest that serves, if one does.
    pub(crate) guest: Option<GuestInfo>,
}

/// A guest, and what it may.
#[derive(Clone)]
pub(crate) struct GuestInfo {
    pub(crate) component: PathBuf,
    /// Of the component.
    pub(crate) digest: Digest,
    pub(crate) class: SizeClass,
    pub(crate) wasi: Wasi,
    pub(crate) readers: usize,
    pub(crate) limits: Limits,
    pub(crate) properties: Vec<Property>,
    pub(crate) overflow: Overflow,
    pub(crate) idle: Option<Duration>,
    /// Instances in both roles together.
    pub(crate) instances: usize,
}

impl TenantInfo {
    /// How a tenant is served, beside the guest that it has.
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

    /// The component's bytes, as its file has them now.
    pub(crate) fn read(&self) -> Result<Vec<u8>, String> {
        read_file(&self.component, self.limits.component_bytes)
    }

    /// What a tenant's cache is opened with.
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

/// A digest as people compare it.
pub(crate) fn hex(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
