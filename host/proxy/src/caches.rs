//! The lives of a tenant's caches: opened, upgraded, handed over, ended, in both roles together.

use std::sync::Arc;

use innkeeper_core::{
    Budget, CacheConfig, Guest, OpenError, Owner, Owners, Reader, Role, Secret, Terms, UpgradeError, UpgradeReport,
};
use innkeeper_rustls::ClientSession;

use crate::setup::Readers;

/// The lives of a tenant's caches, one for each role.
pub(crate) struct Caches {
    config: CacheConfig,
    pub(crate) guest: Arc<dyn Guest>,
    budget: Budget,
    server: Owner<Secret>,
    client: Option<Owner<ClientSession>>,
}

impl Caches {
    /// Opens what a tenant needs: blocks until its guest's `init` has answered, once for each role.
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

    /// Opens the cache in the client role on its own, with the guest that the tenant is to have.
    pub(crate) fn second_role(&self, guest: Arc<dyn Guest>, owners: &Owners) -> Result<SecondRole, OpenError> {
        let config = CacheConfig { role: Role::Client, budget: Some(self.budget.clone()), ..self.config.clone() };
        owners.open(config, guest)
    }

    /// Whether these caches do for a changed tenant, its guest and its roles aside.
    pub(crate) fn do_for(&self, cache: &CacheConfig) -> bool {
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

    /// The terms of sessions that are handed over to these caches, as they are before anybody can revoke them.
    pub(crate) fn terms(&self) -> HandOverTerms {
        let client = self.client.as_ref().map(|client| client.mailbox().terms());
        HandOverTerms { server: self.server.mailbox().terms(), client }
    }

    /// Moves every session into other caches, whose limits may be smaller. Says how many came along.
    pub(crate) fn hand_over(&mut self, to: &mut Self, terms: HandOverTerms) -> usize {
        let server = self.server.hand_over(&mut to.server, terms.server);
        let client = self.client.as_mut().zip(to.client.as_mut()).zip(terms.client);
        server + client.map_or(0, |((from, to), terms)| from.hand_over(to, terms))
    }

    /// Puts another guest in the place of the running one, in both roles or in none. The report is that of the server role.
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

    /// Takes a cache in the client role in, which has the guest that the tenant is to have; the other role is upgraded to it, if
    /// it has another one. If that fails, the old guest serves both.
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
                // A new cache has no session that could be lost; if the old guest does not take this role, the new one keeps it.
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
pub(crate) struct HandOverTerms {
    server: Terms,
    client: Option<Terms>,
}

/// A cache in the client role, opened after the other one.
pub(crate) type SecondRole = (Owner<ClientSession>, Reader<ClientSession>);
