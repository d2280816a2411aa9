//! A tenant's caches: opened, upgraded, handed over and ended in both roles together, and read by its connections.

use std::sync::Arc;

use innkeeper_core::{
    Budget, CacheConfig, CacheStats, FoldError, Guest, OpenError, Owner, Owners, Reader, Recent, Role, Secret, Size,
    Terms, UpgradeError, UpgradeReport,
};
use innkeeper_rustls::ClientSession;

/// The owners of a tenant's caches, one for each role.
pub(crate) struct Caches {
    config: CacheConfig,
    pub(crate) guest: Arc<dyn Guest>,
    budget: Budget,
    server: Owner<Secret>,
    client: Option<Owner<ClientSession>>,
}

impl Caches {
    /// Opens the caches that a tenant needs. Blocks until its guest's `init` has answered, once for each role.
    pub(crate) fn open(
        config: &CacheConfig,
        guest: Arc<dyn Guest>,
        is_upstream_tls: bool,
        owners: &Owners,
    ) -> Result<(Self, Readers), OpenError> {
        let budget = config.budget.clone().unwrap_or_else(|| Budget::new(&config.limits));
        let server = CacheConfig { role: Role::Server, budget: Some(budget.clone()), ..config.clone() };
        let (server, reader) = owners.open(server, Arc::clone(&guest))?;
        let mut caches = Self { config: config.clone(), guest, budget, server, client: None };
        let mut readers = Readers { server: reader, client: None };
        if is_upstream_tls {
            let (client, reader) = caches.second_role(Arc::clone(&caches.guest), owners)?;
            (caches.client, readers.client) = (Some(client), Some(reader));
        }
        Ok((caches, readers))
    }

    /// Opens a cache in the client role, with the guest that the tenant is about to get.
    pub(crate) fn second_role(&self, guest: Arc<dyn Guest>, owners: &Owners) -> Result<SecondRole, OpenError> {
        let config = CacheConfig { role: Role::Client, budget: Some(self.budget.clone()), ..self.config.clone() };
        owners.open(config, guest)
    }

    /// True if these caches have the limits and properties of `cache`, whatever its guest and roles.
    pub(crate) fn fit(&self, cache: &CacheConfig) -> bool {
        let own = &self.config;
        (&own.limits, own.overflow, &own.properties) == (&cache.limits, cache.overflow, &cache.properties)
            && (own.readers, own.idle) == (cache.readers, cache.idle)
    }

    pub(crate) fn has_client(&self) -> bool {
        self.client.is_some()
    }

    /// Ends the cache in the client role, if there is one.
    pub(crate) fn end_client(&mut self) {
        if let Some(client) = self.client.take() {
            client.terminate();
        }
    }

    /// The terms of sessions that are handed over to these caches, read before anybody can revoke them.
    pub(crate) fn terms(&self) -> HandoverTerms {
        let client = self.client.as_ref().map(|client| client.mailbox().terms());
        HandoverTerms { server: self.server.mailbox().terms(), client }
    }

    /// Hands every session over to other caches, whose limits may be smaller. Returns the number of sessions there.
    pub(crate) fn hand_over(&mut self, to: &mut Self, terms: HandoverTerms) -> usize {
        let server = self.server.hand_over(&mut to.server, terms.server);
        let client = self.client.as_mut().zip(to.client.as_mut()).zip(terms.client);
        server + client.map_or(0, |((from, to), terms)| from.hand_over(to, terms))
    }

    /// Replaces the running guest, in both roles or in none. The report is that of the server role.
    pub(crate) fn upgrade(&mut self, guest: Arc<dyn Guest>) -> Result<UpgradeReport, UpgradeError> {
        let report = self.server.upgrade(Arc::clone(&guest))?;
        if let Some(client) = &mut self.client
            && let Err(error) = client.upgrade(Arc::clone(&guest))
        {
            self.server.undo_upgrade();
            return Err(error);
        }
        self.guest = guest;
        Ok(report)
    }

    /// Adds a cache in the client role, and upgrades the server role to its guest if that is another one. If the
    /// upgrade fails, the old guest serves both.
    pub(crate) fn join(
        &mut self,
        client: Owner<ClientSession>,
        guest: Arc<dyn Guest>,
    ) -> Result<Option<UpgradeReport>, UpgradeError> {
        let client = self.client.insert(client);
        if Arc::ptr_eq(&self.guest, &guest) {
            return Ok(None);
        }
        match self.server.upgrade(Arc::clone(&guest)) {
            Ok(report) => {
                self.guest = guest;
                Ok(Some(report))
            }
            Err(error) => {
                // A new cache has no session to lose. If the old guest fails in this role, the new one keeps it.
                drop(client.upgrade(Arc::clone(&self.guest)));
                Err(error)
            }
        }
    }

    pub(crate) fn settle(&mut self) {
        self.server.settle();
        self.client.iter_mut().for_each(Owner::settle);
    }

    pub(crate) fn terminate(self) {
        self.server.terminate();
        self.client.into_iter().for_each(Owner::terminate);
    }
}

/// The terms of sessions that are handed over, in each role.
#[derive(Clone, Copy)]
pub(crate) struct HandoverTerms {
    server: Terms,
    client: Option<Terms>,
}

/// A cache in the client role, opened after the one in the server role.
pub(crate) type SecondRole = (Owner<ClientSession>, Reader<ClientSession>);

/// The read sides of a tenant's caches.
#[derive(Clone)]
pub(crate) struct Readers {
    pub(crate) server: Reader<Secret>,
    pub(crate) client: Option<Reader<ClientSession>>,
}

impl Readers {
    /// The counters of both caches.
    pub(crate) fn stats(&self) -> (CacheStats, Option<CacheStats>) {
        (self.server.stats(), self.client.as_ref().map(Reader::stats))
    }

    /// Stops asking the guest.
    pub(crate) fn suspend(&self) {
        self.server.mailbox().suspend();
        self.client.iter().for_each(|client| client.mailbox().suspend());
    }

    /// Asks the guest again.
    pub(crate) fn resume(&self) {
        self.server.mailbox().resume();
        self.client.iter().for_each(|client| client.mailbox().resume());
    }

    /// Wipes every session. Returns their number.
    pub(crate) fn revoke(&self) -> usize {
        self.server.mailbox().revoke() + self.client.as_ref().map_or(0, |client| client.mailbox().revoke())
    }

    /// Asks the guest for the contents of the cache in the server role.
    pub(crate) fn inspect(&self, server_name: &str) -> Inspection {
        Inspection {
            size: self.server.size(),
            folded: self.server.foldl(0, |sessions, _| sessions + 1),
            selected: self.server.select_session(server_name.as_bytes(), SELECTED_MAX).len(),
        }
    }

    /// The last log lines and faults of each role.
    pub(crate) fn recent(&self) -> Vec<(Role, Recent)> {
        let client = self.client.as_ref().map(|reader| (Role::Client, reader.recent()));
        [(Role::Server, self.server.recent())].into_iter().chain(client).collect()
    }
}

/// The sessions that an inspection selects: as many as a guest is advised to give.
const SELECTED_MAX: usize = 256;

/// A guest's account of its cache, beside the host's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// The number of sessions in the vault, and the number that the guest tells.
    pub size: Size,
    /// The number of live sessions that the guest shows in a fold.
    pub folded: Result<usize, FoldError>,
    /// The number of live sessions that the guest selects for the server name, of 256 at most.
    pub selected: usize,
}
