//! The state that all listeners and connections share.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use tokio::sync::{Semaphore, watch};

use crate::{
    accept_errors::AcceptErrors,
    admission::{shares::Shares, strangers::Strangers},
    connections::totals::Totals,
    settings::bounds::ProxyLimits,
    tenants::{
        directory::{Directory, Entry},
        stores::SessionStores,
    },
};

/// The state that all listeners and connections share.
pub(crate) struct Shared {
    limits: RwLock<ProxyLimits>,
    directory: RwLock<Directory>,
    pub(crate) stores: Arc<dyn SessionStores>,
    /// A permit for each connection.
    pub(crate) connections: Arc<Semaphore>,
    /// The connections before their ClientHello.
    pub(crate) strangers: Arc<Strangers>,
    /// The connections from their ClientHello on.
    pub(crate) shares: Arc<Shares>,
    pub(crate) totals: Totals,
    pub(crate) accept_errors: AcceptErrors,
    /// True once the drain time is over: connections end.
    pub(crate) is_over: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn new(limits: ProxyLimits, stores: Arc<dyn SessionStores>) -> Self {
        Self {
            strangers: Strangers::new(limits.hellos(), limits.hellos_per_peer()),
            shares: Arc::default(),
            connections: Arc::new(Semaphore::new(limits.connections)),
            limits: RwLock::new(limits),
            directory: RwLock::default(),
            stores,
            totals: Totals::default(),
            accept_errors: AcceptErrors::default(),
            is_over: watch::Sender::new(false),
        }
    }

    pub(crate) fn find(&self, server_name: &str) -> Option<Entry> {
        self.directory().find(server_name).cloned()
    }

    pub(crate) fn limits(&self) -> ProxyLimits {
        self.limits.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the directory for a change. Dropping the guard updates the tenants' shares.
    pub(crate) fn directory_to_change(&self) -> Changing<'_> {
        Changing { shared: self, directory: self.directory.write().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Changes the limits, except the number of connections, which stays.
    pub(crate) fn set_limits(&self, limits: ProxyLimits) {
        {
            let mut own = self.limits.write().unwrap_or_else(PoisonError::into_inner);
            *own = ProxyLimits { connections: own.connections, ..limits };
            self.strangers.resize(own.hellos(), own.hellos_per_peer());
        }
        drop(self.directory_to_change());
    }
}

/// A directory during a change.
pub(crate) struct Changing<'a> {
    shared: &'a Shared,
    directory: RwLockWriteGuard<'a, Directory>,
}

impl Deref for Changing<'_> {
    type Target = Directory;

    fn deref(&self) -> &Directory {
        &self.directory
    }
}

impl DerefMut for Changing<'_> {
    fn deref_mut(&mut self) -> &mut Directory {
        &mut self.directory
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        let tenants = self.directory.entries.iter();
        let tenants = tenants.map(|(name, entry)| (name.as_str(), entry.configuration.gates.bounds()));
        self.shared.shares.follow(self.shared.limits().of_tenants(), tenants);
    }
}
