//! The configuration that a tenant's connections are served with: TLS, sessions, upstream and gates.

use std::sync::Arc;

use innkeeper_rustls::{Scoped, ServerSessions, TlsIdentity};
use tokio_rustls::rustls::{self, ServerConfig};

use crate::{
    settings::{tenant::TenantFront, tls::TenantTls},
    tenants::{caches::Readers, gates::Gates, stores::SessionStores, upstream::Target},
};

/// The configuration of a tenant. A connection keeps the one it began with.
pub(crate) struct Configuration {
    identity: TlsIdentity,
    tls: Arc<ServerConfig>,
    /// None until the tenant has a guest.
    sessions: Option<ServerSessions>,
    pub(crate) target: Arc<Target>,
    /// None until the tenant has a guest.
    readers: Option<Readers>,
    pub(crate) gates: Arc<Gates>,
}

impl Configuration {
    /// The configuration from a tenant's settings. `before` is the one that it replaces: its caches go on, and so do
    /// its gates if the bounds are the same.
    pub(crate) fn new(front: &TenantFront, before: Option<&Self>) -> Result<Self, rustls::Error> {
        let identity = front.tls.identity();
        let tls = Arc::new(front.tls.to_config()?);
        let kept = before.map(|before| &before.gates).filter(|gates| *gates.bounds() == front.bounds);
        let readers = before.and_then(|before| before.readers.clone());
        let client = readers.as_ref().and_then(|readers| readers.client.as_ref());
        let target =
            Target::new(front.upstream.clone(), &front.tls.alpn, client, before.map(|before| &*before.target))?;
        Ok(Self {
            sessions: sessions(readers.as_ref(), identity),
            identity,
            tls,
            target: Arc::new(target),
            gates: kept.map_or_else(|| Arc::new(Gates::new(&front.bounds)), Arc::clone),
            readers,
        })
    }

    /// The same configuration with other TLS settings towards clients.
    pub(crate) fn with_tls(&self, tls: &TenantTls) -> Result<Self, rustls::Error> {
        let (identity, tls) = (tls.identity(), Arc::new(tls.to_config()?));
        let sessions = sessions(self.readers.as_ref(), identity);
        let Self { target, readers, gates, .. } = self;
        let (target, readers, gates) = (Arc::clone(target), readers.clone(), Arc::clone(gates));
        Ok(Self { identity, tls, sessions, target, readers, gates })
    }

    /// The same configuration with other caches.
    pub(crate) fn with_readers(&self, readers: Readers) -> Self {
        let identity = self.identity;
        let target = Arc::new(self.target.with_reader(readers.client.as_ref()));
        let (tls, gates) = (Arc::clone(&self.tls), Arc::clone(&self.gates));
        Self { identity, tls, sessions: sessions(Some(&readers), identity), target, readers: Some(readers), gates }
    }

    /// The TLS configuration and the session store for one connection.
    pub(crate) fn scoped(&self, stores: &dyn SessionStores, server_name: &str) -> Scoped {
        stores.scoped(self.sessions.as_ref(), &self.tls, server_name)
    }

    pub(crate) fn readers(&self) -> Option<&Readers> {
        self.readers.as_ref()
    }

    /// True if sessions in the server role stay valid after a change to `new`.
    pub(crate) fn is_trust_kept(&self, new: &Self) -> bool {
        self.identity == new.identity
    }

    /// True if sessions with the upstream stay valid after a change to `new`.
    pub(crate) fn is_upstream_kept(&self, new: &Self) -> bool {
        self.target.is_same_peer(&new.target)
    }
}

fn sessions(readers: Option<&Readers>, identity: TlsIdentity) -> Option<ServerSessions> {
    readers.map(|readers| ServerSessions::new(readers.server.clone(), identity))
}
