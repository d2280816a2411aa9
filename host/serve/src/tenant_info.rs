//! What is told of a tenant's settings: nothing secret, and no component's bytes.

use std::path::PathBuf;

use innkeeper_proxy::{
    ClientAuth, Wasi,
    core::{Limits, Property, SizeClass},
};

use crate::config::{Digest, TenantSettings, read_file};

/// A tenant's settings, as far as they are told.
#[derive(Clone)]
pub(crate) struct TenantInfo {
    pub(crate) name: String,
    pub(crate) server_names: Vec<String>,
    pub(crate) client_auth: ClientAuth,
    pub(crate) upstream: String,
    pub(crate) is_upstream_tls: bool,
    pub(crate) component: PathBuf,
    /// Of the component that serves.
    pub(crate) digest: Digest,
    pub(crate) class: SizeClass,
    pub(crate) wasi: Wasi,
    pub(crate) readers: usize,
    pub(crate) limits: Limits,
    pub(crate) properties: Vec<Property>,
}

impl TenantInfo {
    pub(crate) fn new(settings: &TenantSettings) -> Self {
        let TenantSettings { name, server_names, tls, upstream, guest, limits, properties, readers, .. } = settings;
        Self {
            name: name.clone(),
            server_names: server_names.clone(),
            client_auth: tls.client_auth,
            upstream: upstream.address.clone(),
            is_upstream_tls: upstream.tls.is_some(),
            component: guest.path.clone(),
            digest: guest.digest(),
            class: guest.class,
            wasi: guest.wasi,
            readers: *readers,
            limits: limits.clone(),
            properties: properties.clone(),
        }
    }

    /// The component's bytes, as its file has them by now.
    pub(crate) fn read(&self) -> Result<Vec<u8>, String> {
        read_file(&self.component, self.limits.component_bytes)
    }
}

/// A digest as people compare it.
pub(crate) fn hex(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
