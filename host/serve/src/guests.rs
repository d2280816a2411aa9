//! Components that have been compiled: each once, however many tenants have it, and for as long as one has.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use innkeeper_proxy::{
    GuestLoader, LoadError, LoaderConfig, Wasi,
    core::{Guest, Limits, SizeClass},
};

use crate::{
    config::{Bytes, Digest, GuestSettings, TenantSettings},
    tenant_info::TenantInfo,
};

/// What makes a compiled component another one.
type Kind = (Digest, bool, bool);

pub(crate) struct Guests {
    loader: GuestLoader,
    loaded: HashMap<Kind, Weak<dyn Guest>>,
}

impl Guests {
    pub(crate) fn new(config: LoaderConfig) -> Result<Self, LoadError> {
        Ok(Self { loader: GuestLoader::with(config)?, loaded: HashMap::new() })
    }

    /// A tenant's guest: the one that another tenant has, where it is the same. Blocking.
    pub(crate) fn load(&mut self, tenant: &TenantSettings) -> Result<Arc<dyn Guest>, LoadError> {
        let GuestSettings { class, wasi, component, .. } = &tenant.guest;
        self.load_as(component, *class, *wasi, &tenant.limits)
    }

    /// A guest from the bytes that a tenant's file has by now. Blocking.
    pub(crate) fn load_bytes(&mut self, bytes: Vec<u8>, tenant: &TenantInfo) -> Result<Arc<dyn Guest>, LoadError> {
        self.load_as(&Bytes::new(bytes), tenant.class, tenant.wasi, &tenant.limits)
    }

    fn load_as(
        &mut self,
        component: &Bytes,
        class: SizeClass,
        wasi: Wasi,
        limits: &Limits,
    ) -> Result<Arc<dyn Guest>, LoadError> {
        let kind = (component.digest, class == SizeClass::Large, wasi == Wasi::Closed);
        if let Some(guest) = self.loaded.get(&kind).and_then(Weak::upgrade) {
            return Ok(guest);
        }
        let guest = self.loader.load(&component.bytes, class, wasi, limits)?;
        // Those that nobody has any more are forgotten, so there are never more than there are tenants.
        self.loaded.retain(|_, guest| guest.strong_count() > 0);
        self.loaded.insert(kind, Arc::downgrade(&guest));
        Ok(guest)
    }
}
