//! Who is served: tenants by name, and by the server names that are theirs.

use std::{collections::HashMap, sync::Arc};

use indexmap::IndexMap;
use innkeeper_core::CacheStats;

use crate::{
    StartError, TenantFront, TenantStats,
    setup::{Readers, Setup},
    tenant::Tenant,
};

/// A tenant, what its connections are served with from now on, and the server names it serves, in lower case. One is exchanged
/// for another as a whole.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) setup: Arc<Setup>,
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

    /// The same tenant under the same names, served with another setup.
    pub(crate) fn with_setup(&self, setup: Setup) -> Self {
        Self { setup: Arc::new(setup), ..self.clone() }
    }

    /// The same, but for some server names.
    pub(crate) fn without(self, is_gone: impl Fn(&String) -> bool) -> Self {
        if !self.server_names.iter().any(&is_gone) {
            return self;
        }
        let server_names = self.server_names.iter().filter(|name| !is_gone(name)).cloned().collect();
        Self { server_names, ..self }
    }

    pub(crate) fn stats(&self) -> TenantStats {
        let (cache, client_cache) = match self.setup.readers() {
            Some(Readers { server, client }) => (server.stats(), client.as_ref().map(innkeeper_core::Reader::stats)),
            None => (CacheStats::none(), None),
        };
        // An upstream in TLS has its counters, whether sessions with it are kept or not.
        let client_cache = client_cache.or_else(|| self.setup.target.is_tls().then(CacheStats::none));
        self.tenant.counts.read(cache, client_cache)
    }

    /// What an operator acts on: the caches that serve, and those that sessions are moved from.
    pub(crate) fn acted_on(&self) -> impl Iterator<Item = Readers> {
        self.setup.readers().cloned().into_iter().chain(self.tenant.predecessors())
    }

    /// Wipes every session in both roles, and says how many there were.
    pub(crate) fn revoke(&self) -> usize {
        let one = |Readers { server, client }: Readers| {
            server.mailbox().revoke() + client.map_or(0, |client| client.mailbox().revoke())
        };
        self.acted_on().map(one).sum()
    }

    /// Asks the guest nothing any more, nor one that is yet to come.
    pub(crate) fn suspend(&self) {
        self.tenant.hold(true);
        self.acted_on().for_each(|readers| readers.suspend());
    }

    /// Asks the guest again.
    pub(crate) fn resume(&self) {
        self.tenant.hold(false);
        for Readers { server, client } in self.acted_on() {
            server.mailbox().resume();
            client.iter().for_each(|client| client.mailbox().resume());
        }
    }
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

    /// Adds a tenant whose name and server names nobody has.
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

    /// Puts an entry in its place: the last, or that of the same tenant with the same server names.
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
