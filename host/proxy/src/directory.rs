//! Who is served: tenants by name, and by the server names that are theirs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use indexmap::{IndexMap, map};

use crate::{StartError, TenantStats, caches::Caches, setup::Setup, tenant::Tenant};

/// A tenant, what its connections are served with from now on, the life of its caches, and the server names it serves, in lower
/// case. One is exchanged for another as a whole.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) setup: Arc<Setup>,
    caches: Arc<Mutex<Caches>>,
    server_names: Arc<[String]>,
}

impl Entry {
    pub(crate) fn new(tenant: Arc<Tenant>, setup: Setup, caches: Caches, server_names: &[String]) -> Self {
        let caches = Arc::new(Mutex::new(caches));
        Self { tenant, setup: Arc::new(setup), caches, server_names: lower_case(server_names) }
    }

    /// The same tenant and caches, served with another setup under other server names.
    pub(crate) fn with(&self, setup: Setup, server_names: &[String]) -> Self {
        Self { setup: Arc::new(setup), server_names: lower_case(server_names), ..self.clone() }
    }

    /// The same, but for how it speaks TLS.
    pub(crate) fn with_setup(&self, setup: Setup) -> Self {
        Self { setup: Arc::new(setup), ..self.clone() }
    }

    /// Waits while another change of this tenant is made.
    pub(crate) fn caches(&self) -> MutexGuard<'_, Caches> {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stats(&self) -> TenantStats {
        let readers = self.setup.readers();
        self.tenant.counts.read(readers.server.stats(), readers.client.as_ref().map(innkeeper_core::Reader::stats))
    }

    /// Ends the caches. Whoever is at a change of this tenant has them too, and ends them when that is done.
    pub(crate) fn end(self) {
        if let Some(caches) = Arc::into_inner(self.caches) {
            caches.into_inner().unwrap_or_else(PoisonError::into_inner).terminate();
        }
    }
}

fn lower_case(server_names: &[String]) -> Arc<[String]> {
    server_names.iter().map(|name| name.to_ascii_lowercase()).collect()
}

/// Who is served, in the order in which they came.
#[derive(Clone, Default)]
pub(crate) struct Directory {
    pub(crate) entries: IndexMap<String, Entry>,
    by_server_name: HashMap<String, Entry>,
}

impl Directory {
    /// Who serves a name in lower case: a tenant that has the very name, or else one that has `*.` with all but the name's first
    /// label (RFC 9525, section 6.3).
    pub(crate) fn find(&self, server_name: &str) -> Option<&Entry> {
        self.by_server_name.get(server_name).or_else(|| {
            let (_, domain) = server_name.split_once('.')?;
            self.by_server_name.get(&format!("*.{domain}"))
        })
    }

    pub(crate) fn add(&mut self, entry: Entry) -> Result<(), StartError> {
        let name = &entry.tenant.name;
        if entry.server_names.is_empty() {
            return Err(StartError::NoServerName(name.clone()));
        }
        for server_name in &*entry.server_names {
            if let Some(first) = self.by_server_name.insert(server_name.clone(), entry.clone()) {
                let (server_name, first, second) = (server_name.clone(), first.tenant.name.clone(), name.clone());
                return Err(StartError::ServerNameTwice { server_name, first, second });
            }
        }
        match self.entries.entry(name.clone()) {
            map::Entry::Occupied(own) => Err(StartError::TenantTwice(own.key().clone())),
            map::Entry::Vacant(place) => {
                place.insert(entry);
                Ok(())
            }
        }
    }

    pub(crate) fn remove(&mut self, tenant: &str) -> Option<Entry> {
        self.by_server_name.retain(|_, own| own.tenant.name != tenant);
        self.entries.shift_remove(tenant)
    }

    /// Puts an entry in the place of that of the same tenant with the same server names.
    pub(crate) fn replace(&mut self, entry: &Entry) {
        for own in self.by_server_name.values_mut().filter(|own| Arc::ptr_eq(&own.tenant, &entry.tenant)) {
            *own = entry.clone();
        }
        self.entries.insert(entry.tenant.name.clone(), entry.clone());
    }
}
