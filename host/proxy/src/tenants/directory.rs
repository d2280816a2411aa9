//! The directory of tenants, by name and by server name.

use std::{collections::HashMap, sync::Arc};

use indexmap::IndexMap;
use innkeeper_core::CacheStats;

use crate::{
    error::StartError,
    settings::tenant::TenantFront,
    tenants::{
        caches::Readers,
        configuration::Configuration,
        tenant::{Tenant, TenantStats},
    },
};

/// A tenant, the configuration of its new connections, and its server names in lower case. A change replaces an entry
/// as a whole.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) configuration: Arc<Configuration>,
    pub(crate) server_names: Arc<[String]>,
}

impl Entry {
    /// The server names of a tenant, in lower case.
    pub(crate) fn server_names_of(front: &TenantFront) -> Result<Arc<[String]>, StartError> {
        match front.server_names.is_empty() {
            true => Err(StartError::NoServerName(front.name.clone())),
            false => Ok(front.server_names.iter().map(|name| name.to_ascii_lowercase()).collect()),
        }
    }

    /// The same tenant under the same names, with another configuration.
    pub(crate) fn with_configuration(&self, configuration: Configuration) -> Self {
        Self { configuration: Arc::new(configuration), ..self.clone() }
    }

    /// The same entry without some server names.
    pub(crate) fn without(self, is_gone: impl Fn(&String) -> bool) -> Self {
        if !self.server_names.iter().any(&is_gone) {
            return self;
        }
        let server_names = self.server_names.iter().filter(|name| !is_gone(name)).cloned().collect();
        Self { server_names, ..self }
    }

    pub(crate) fn stats(&self) -> TenantStats {
        let (cache, client_cache) =
            self.configuration.readers().map_or_else(|| (CacheStats::none(), None), Readers::stats);
        // An upstream in TLS has its counters, even if no session with it is kept.
        let client_cache = client_cache.or_else(|| self.configuration.target.is_tls().then(CacheStats::none));
        self.tenant.counts.read(cache, client_cache)
    }

    /// The caches that an operator acts on: those that serve, and those whose handover is in progress.
    pub(crate) fn acted_on(&self) -> impl Iterator<Item = Readers> {
        self.configuration.readers().cloned().into_iter().chain(self.tenant.predecessors())
    }

    /// Wipes every session in both roles. Returns their number.
    pub(crate) fn revoke(&self) -> usize {
        self.acted_on().map(|readers| readers.revoke()).sum()
    }

    /// Stops asking the guest, or any guest that follows.
    pub(crate) fn suspend(&self) {
        self.tenant.set_suspended(true);
        self.acted_on().for_each(|readers| readers.suspend());
    }

    /// Asks the guest again.
    pub(crate) fn resume(&self) {
        self.tenant.set_suspended(false);
        self.acted_on().for_each(|readers| readers.resume());
    }
}

/// The tenants that are served, in the order in which they came.
#[derive(Clone, Default)]
pub(crate) struct Directory {
    pub(crate) entries: IndexMap<String, Entry>,
    by_server_name: HashMap<String, Entry>,
}

impl Directory {
    /// The tenant of a server name in lower case: the one that has the very name, or else the one that has `*.` with
    /// all but its first label (RFC 9525, section 6.3).
    pub(crate) fn find(&self, server_name: &str) -> Option<&Entry> {
        self.by_server_name.get(server_name).or_else(|| {
            let (_, domain) = server_name.split_once('.')?;
            self.by_server_name.get(&format!("*.{domain}"))
        })
    }

    /// Adds a tenant. Its name and server names must be new.
    pub(crate) fn add(&mut self, entry: Entry) -> Result<(), StartError> {
        let name = &entry.tenant.name;
        if self.entries.contains_key(name) {
            return Err(StartError::TenantTwice(name.clone()));
        }
        for (number, server_name) in entry.server_names.iter().enumerate() {
            let is_own = entry.server_names[..number].contains(server_name);
            let first = self.by_server_name.get(server_name).map(|first| &first.tenant.name);
            if let Some(first) = first.or_else(|| is_own.then_some(name)) {
                let (server_name, first, second) = (server_name.clone(), first.clone(), name.clone());
                return Err(StartError::ServerNameTwice { server_name, first, second });
            }
        }
        self.put(entry);
        Ok(())
    }

    /// Puts an entry at the end, or where the same tenant with the same server names is.
    pub(crate) fn put(&mut self, entry: Entry) {
        for server_name in &*entry.server_names {
            self.by_server_name.insert(server_name.clone(), entry.clone());
        }
        self.entries.insert(entry.tenant.name.clone(), entry);
    }

    pub(crate) fn remove(&mut self, tenant: &str) -> Option<Entry> {
        self.by_server_name.retain(|_, own| own.tenant.name != tenant);
        self.entries.shift_remove(tenant)
    }
}
