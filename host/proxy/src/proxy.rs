//! A running proxy: its listeners and its tenants. Both may change while it runs.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use innkeeper_core::{CacheConfig, CacheStats, Guest, Limits, OpenError, Owners, Recent, Role, UpgradeReport};

use crate::{
    connections::{listener::Listener, shared::Shared, totals::ProxyStats},
    error::{StartError, TenantError},
    settings::{bounds::ProxyLimits, listener::ListenerConfig, tenant::TenantConfig, tls::TenantTls},
    tenants::{
        caches::{Caches, Inspection, Readers},
        change::{Change, Planned, Wanted},
        configuration::Configuration,
        directory::{Directory, Entry},
        stores::{SessionStores, TenantCaches},
        tenant::{Tenant, TenantStats},
    },
};

/// The settings of a proxy.
pub struct ProxyConfig {
    /// The listeners, each with a socket that listens there already, if another process has handed one over.
    pub listeners: Vec<(ListenerConfig, Option<std::net::TcpListener>)>,
    /// The bounds on connections.
    pub limits: ProxyLimits,
    /// The upper bounds of every tenant's limits, if any.
    pub maxima: Option<Limits>,
    /// The tenants. Each server name belongs to one of them.
    pub tenants: Vec<TenantConfig>,
}

/// The outcome of a change of a tenant's guest or caches.
#[derive(Debug)]
#[non_exhaustive]
pub struct GuestChange {
    /// True if the tenant had no guest before.
    pub is_first: bool,
    /// Sessions handed over to caches with other limits or properties, if the caches were opened anew.
    pub moved: Option<usize>,
    /// The report of the upgrade, if the guest is another one.
    pub upgrade: Option<UpgradeReport>,
}

/// A running proxy. Dropping it stops the listeners and ends every cache. [`Proxy::shutdown`] does so in good order.
pub struct Proxy {
    shared: Arc<Shared>,
    maxima: Option<Limits>,
    connections_max: usize,
    /// Locked while the directory changes. Meanwhile no guest is asked and nothing waits. Work that takes a guest's
    /// time locks its own tenant's `Tenant::caches` instead, and locks it first.
    changes: Mutex<()>,
    /// Locked while an operator acts on a tenant's caches, and while they are exchanged. Locked last.
    acts: Mutex<()>,
    /// None once the proxy has been shut down. Locked for an instant.
    listeners: Mutex<Option<Vec<Listener>>>,
    owners: Owners,
}

impl Proxy {
    /// Opens every tenant's caches, then listens. Must be called within a tokio runtime of several threads. The runtime
    /// should have tokio's default of 512 blocking threads: handshakes take up to 384 of them at a time, and look-ups
    /// of names 64.
    ///
    /// Opening a cache blocks until its guest's `init` has answered, at most its grant.
    ///
    /// # Errors
    /// When a tenant's settings are invalid, a cache does not open, or an address is taken.
    pub async fn start(config: ProxyConfig, owners: Owners) -> Result<Self, StartError> {
        Self::start_with(config, owners, Arc::new(TenantCaches)).await
    }

    /// Starts like [`Proxy::start`], with another source of session stores for clients' connections.
    ///
    /// # Errors
    /// The same as for [`Proxy::start`].
    pub async fn start_with(
        config: ProxyConfig,
        owners: Owners,
        stores: Arc<dyn SessionStores>,
    ) -> Result<Self, StartError> {
        let ProxyConfig { listeners, limits, maxima, tenants } = config;
        let connections_max = limits.connections.clamp(1, PERMITS_MAX as usize);
        let limits = ProxyLimits { connections: connections_max, ..limits };
        let shared = Arc::new(Shared::new(limits, stores));
        let mut directory = Directory::default();
        tokio::task::block_in_place(|| {
            tenants.iter().try_for_each(|tenant| directory.add(open(maxima.as_ref(), &owners, tenant)?))
        })?;
        *shared.directory_to_change() = directory;
        let mut bound = Vec::new();
        for (listener, socket) in listeners {
            bound.push(Listener::bind(listener, socket).await?);
        }
        bound.iter_mut().for_each(|listener| listener.accept(&shared));
        let (changes, acts, listeners) = (Mutex::default(), Mutex::default(), Mutex::new(Some(bound)));
        Ok(Self { shared, maxima, connections_max, changes, acts, listeners, owners })
    }

    /// The address of the first listener.
    ///
    /// # Panics
    /// When it was started without a listener.
    pub fn local_address(&self) -> SocketAddr {
        *self.local_addresses().first().expect("there is a listener")
    }

    /// The addresses of all listeners, in their order.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.listeners().iter().flatten().map(|listener| listener.local_address).collect()
    }

    /// The name and the counters of every tenant, in the order in which they came.
    pub fn stats(&self) -> Vec<(String, TenantStats)> {
        let entries = self.shared.directory().entries.clone();
        entries.into_iter().map(|(name, entry)| (name, self.stats_with_reserve(&entry))).collect()
    }

    /// The counters of one tenant.
    ///
    /// # Errors
    /// When the tenant is unknown.
    pub fn stats_of(&self, tenant: &str) -> Result<TenantStats, TenantError> {
        Ok(self.stats_with_reserve(&self.entry(tenant)?))
    }

    fn stats_with_reserve(&self, entry: &Entry) -> TenantStats {
        let reserve = self.shared.shares.reserve(&entry.tenant.name);
        TenantStats { reserve: reserve as u64, ..entry.stats() }
    }

    /// True if a tenant has a guest. False for an unknown tenant.
    pub fn has_guest(&self, tenant: &str) -> bool {
        self.entry(tenant).is_ok_and(|entry| entry.configuration.readers().is_some())
    }

    /// The counters of connections before their tenant is known.
    pub fn totals(&self) -> ProxyStats {
        self.shared.totals.read(self.shared.strangers.len())
    }

    /// Waits until every cache has handled its mailbox. Blocking.
    pub fn settle(&self) {
        let entries = self.shared.directory().entries.clone();
        entries.values().for_each(|entry| entry.tenant.change(|caches| caches.iter_mut().for_each(Caches::settle)));
    }

    /// Waits until a tenant's caches have handled their mailboxes, and have terminated the instances that an upgrade
    /// has replaced. Blocking; waits for no other tenant.
    ///
    /// # Errors
    /// When the tenant is unknown.
    pub fn settle_tenant(&self, tenant: &str) -> Result<(), TenantError> {
        self.entry(tenant)?.tenant.change(|caches| caches.iter_mut().for_each(Caches::settle));
        Ok(())
    }

    /// Opens the caches of another tenant, and serves it from then on. Blocking; no other tenant waits for it.
    ///
    /// # Errors
    /// When its settings are invalid, or a cache does not open. Nothing changes for the others.
    pub fn add(&self, tenant: TenantConfig) -> Result<(), StartError> {
        let entry = open(self.maxima.as_ref(), &self.owners, &tenant)?;
        let _one_by_one = self.changes();
        let listeners = self.listeners();
        let _open = listeners.as_ref().ok_or(StartError::ShutDown)?;
        self.shared.directory_to_change().add(entry)
    }

    /// Removes a tenant and ends its caches. Returns the last counters of the cache in the server role. The tenant's
    /// connections go on. Blocks until its guest has been told; no other tenant waits for it.
    ///
    /// # Errors
    /// When the tenant is unknown.
    pub fn remove(&self, tenant: &str) -> Result<CacheStats, TenantError> {
        let entry = {
            let _one_by_one = self.changes();
            let _act = self.acts();
            self.shared.directory_to_change().remove(tenant)
        };
        let entry = entry.ok_or_else(|| TenantError::Unknown(tenant.to_owned()))?;
        entry.revoke();
        entry.tenant.end();
        Ok(entry.stats().cache)
    }

    /// Changes listeners, bounds and tenants, but no guest, and asks none. No connection is cut off; each goes on as it
    /// began. Returns the outcome for each tenant that does not stay as it is.
    ///
    /// An error in one tenant affects that tenant alone: it stays as it was, or is not served if it is new. An address
    /// that nobody listens on yet may come with a socket.
    ///
    /// Sessions stay valid as long as the basis of their trust: a changed certificate, client-auth mode, root or
    /// protocol name wipes them. For another guest, or other limits, see [`Proxy::set_guest`]. Blocks while it reads
    /// keys and certificates, so never call it on a thread that serves.
    ///
    /// # Errors
    /// When an address is taken, or the proxy has been shut down. Nothing has changed then.
    pub async fn apply(
        &self,
        listeners: Vec<(ListenerConfig, Option<std::net::TcpListener>)>,
        limits: ProxyLimits,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<Change>, StartError> {
        let listening = self.bind(listeners).await?;
        tokio::task::block_in_place(|| {
            let _one_by_one = self.changes();
            let served = self.shared.directory().clone();
            let planned = Planned::new(&served, wanted);
            let mut listeners = self.listeners();
            let open = listeners.as_mut().ok_or(StartError::ShutDown)?;
            let changes = {
                let _act = self.acts();
                *self.shared.directory_to_change() = planned.directory();
                planned.finish()
            };
            self.shared.set_limits(limits);
            // Listeners that are no longer wanted close here.
            *open = listening;
            open.iter_mut().for_each(|listener| listener.accept(&self.shared));
            Ok(changes)
        })
    }

    /// Gives a tenant a guest, or another one, or caches with other limits or properties; all of it or nothing. A
    /// changed guest is an [upgrade](innkeeper_core::Owner::upgrade). Other limits or properties open caches anew, with
    /// a handover of the sessions. The guest serves both of the tenant's roles afterwards, or neither.
    ///
    /// Blocks for the guest's `init`, the upgrade and the handover. Changes of one tenant's guest come one after
    /// another. Nobody else waits, not even [`Proxy::apply`] or an action on this tenant.
    ///
    /// # Errors
    /// When the tenant is unknown, the caches do not open, or the guest fails in its upgrade. The old guest goes on
    /// serving.
    pub fn set_guest(
        &self,
        tenant: &str,
        cache: &CacheConfig,
        guest: Arc<dyn Guest>,
    ) -> Result<GuestChange, TenantError> {
        let entry = self.entry(tenant)?;
        check_maxima(self.maxima.as_ref(), cache)?;
        entry.tenant.change(|caches| self.change_caches(&entry.tenant, caches, cache, guest))
    }

    fn change_caches(
        &self,
        tenant: &Arc<Tenant>,
        caches: &mut Option<Caches>,
        cache: &CacheConfig,
        guest: Arc<dyn Guest>,
    ) -> Result<GuestChange, TenantError> {
        // Read only now, after the changes before this one.
        let configuration = self.own_entry(tenant)?.configuration;
        let is_tls = configuration.target.is_tls();
        let old = match caches {
            Some(own) if own.fit(cache) => return self.change_guest(tenant, &configuration, own, guest),
            old => old,
        };
        let (new, readers) = Caches::open(cache, guest, is_tls, &self.owners)?;
        let terms = new.terms();
        let Err(error) = self.exchange(tenant, readers, configuration.readers().cloned()) else {
            let before = old.replace(new);
            let moved = before.zip(old.as_mut()).map(|(mut before, new)| {
                let moved = before.hand_over(new, terms);
                before.terminate();
                moved
            });
            tenant.follow(None);
            return Ok(GuestChange { is_first: moved.is_none(), moved, upgrade: None });
        };
        new.terminate();
        Err(error)
    }

    /// Exchanges the guest of existing caches, and opens or ends the client role as the upstream needs it.
    fn change_guest(
        &self,
        tenant: &Arc<Tenant>,
        configuration: &Configuration,
        caches: &mut Caches,
        guest: Arc<dyn Guest>,
    ) -> Result<GuestChange, TenantError> {
        let (mut upgrade, mut has_joined) = (None, false);
        if let Some(Readers { server, .. }) = configuration.readers() {
            let server = server.clone();
            match (configuration.target.is_tls(), caches.has_client()) {
                (true, false) => {
                    let (client, reader) = caches.second_role(Arc::clone(&guest), &self.owners)?;
                    self.exchange(tenant, Readers { server, client: Some(reader) }, None)?;
                    (upgrade, has_joined) = (caches.join(client, Arc::clone(&guest))?, true);
                }
                (false, true) => {
                    self.exchange(tenant, Readers { server, client: None }, None)?;
                    caches.end_client();
                }
                _ => {}
            }
        }
        if !has_joined && !Arc::ptr_eq(&caches.guest, &guest) {
            upgrade = Some(caches.upgrade(guest)?);
        }
        Ok(GuestChange { is_first: false, moved: None, upgrade })
    }

    /// Serves a tenant with other caches from now on. They stay suspended if an operator has suspended the tenant. An
    /// operator's actions apply to its predecessors too, until the next [`Tenant::follow`].
    fn exchange(
        &self,
        tenant: &Arc<Tenant>,
        readers: Readers,
        predecessors: Option<Readers>,
    ) -> Result<(), TenantError> {
        let _one_by_one = self.changes();
        let entry = self.own_entry(tenant)?;
        let entry = entry.with_configuration(entry.configuration.with_readers(readers));
        let _act = self.acts();
        tenant.follow(predecessors);
        if tenant.is_suspended() {
            entry.configuration.readers().into_iter().for_each(Readers::suspend);
        }
        self.shared.directory_to_change().put(entry);
        Ok(())
    }

    /// The entry of this very tenant. An error if another tenant has its name meanwhile.
    fn own_entry(&self, tenant: &Arc<Tenant>) -> Result<Entry, TenantError> {
        let entry = self.entry(&tenant.name)?;
        match Arc::ptr_eq(&entry.tenant, tenant) {
            true => Ok(entry),
            false => Err(TenantError::Unknown(tenant.name.clone())),
        }
    }

    /// Binds the listeners that are not bound yet.
    async fn bind(
        &self,
        wanted: Vec<(ListenerConfig, Option<std::net::TcpListener>)>,
    ) -> Result<Vec<Listener>, StartError> {
        let mut places: Vec<Option<Listener>> = {
            let open = self.listeners();
            let mut left: Vec<&Listener> = open.iter().flatten().collect();
            let mut again = |config: &ListenerConfig| {
                let number = left.iter().position(|own| own.config.address == config.address)?;
                Some(left.remove(number).with_config(config.clone()))
            };
            wanted.iter().map(|(config, _)| again(config)).collect()
        };
        let mut listening = Vec::new();
        for ((config, socket), place) in wanted.into_iter().zip(&mut places) {
            listening.push(match place.take() {
                Some(listener) => listener,
                None => Listener::bind(config, socket).await?,
            });
        }
        Ok(listening)
    }

    /// Replaces a tenant's running guest and keeps its sessions: see
    /// [`Owner::upgrade`](innkeeper_core::Owner::upgrade). The new guest serves both of the tenant's roles afterwards,
    /// or neither. Blocking; upgrades of one tenant come one after another.
    ///
    /// # Errors
    /// When the tenant is unknown, it has no guest, or the new guest fails. The old guest goes on serving.
    pub fn upgrade(&self, tenant: &str, guest: Arc<dyn Guest>) -> Result<UpgradeReport, TenantError> {
        self.entry(tenant)?.tenant.change(|caches| match caches {
            Some(caches) => Ok(caches.upgrade(guest)?),
            None => Err(TenantError::NoGuest(tenant.to_owned())),
        })
    }

    /// Wipes every session of a tenant at once, including those of handshakes in progress. Returns their number. Waits
    /// for no guest.
    ///
    /// # Errors
    /// When the tenant is unknown.
    pub fn revoke(&self, tenant: &str) -> Result<usize, TenantError> {
        self.at_once(tenant, Entry::revoke)
    }

    /// Stops asking a tenant's guest until [`Proxy::resume`]. Its handshakes are full ones, and its sessions stay.
    ///
    /// # Errors
    /// When the tenant is unknown.
    pub fn suspend(&self, tenant: &str) -> Result<(), TenantError> {
        self.at_once(tenant, Entry::suspend)
    }

    /// Asks a tenant's guest again, whether an operator or its faults have suspended it.
    ///
    /// # Errors
    /// When the tenant is unknown.
    pub fn resume(&self, tenant: &str) -> Result<(), TenantError> {
        self.at_once(tenant, Entry::resume)
    }

    /// Changes a tenant's TLS settings, from the next connection on. Wipes every session if the basis of its trust
    /// changes: client certificates, their roots, the server's chains, protocol names. Returns the number of wiped
    /// sessions.
    ///
    /// # Errors
    /// When the tenant is unknown, or its certificate, key or roots are invalid. Nothing has changed then.
    pub fn reconfigure(&self, tenant: &str, tls: &TenantTls) -> Result<usize, TenantError> {
        let _one_by_one = self.changes();
        let before = self.entry(tenant)?;
        let after = before.with_configuration(before.configuration.with_tls(tls)?);
        let is_kept = before.configuration.is_trust_kept(&after.configuration);
        let _act = self.acts();
        self.shared.directory_to_change().put(after.clone());
        // A connection with the old configuration files its session under the old identity, where nobody looks.
        let revoke = |readers: Readers| readers.server.mailbox().revoke();
        Ok(if is_kept { 0 } else { after.acted_on().map(revoke).sum() })
    }

    /// Asks a tenant's guest for the contents of its cache in the server role. Blocking; costs a `size`, a `foldl` and
    /// a `select-session`.
    ///
    /// # Errors
    /// When the tenant is unknown, or has no guest.
    pub fn inspect(&self, tenant: &str, server_name: &str) -> Result<Inspection, TenantError> {
        let entry = self.entry(tenant)?;
        let inspection = entry.configuration.readers().map(|readers| readers.inspect(server_name));
        inspection.ok_or_else(|| TenantError::NoGuest(tenant.to_owned()))
    }

    /// The recent events of a tenant's guest for each role, its last log lines and faults, and the current time on
    /// their clock.
    ///
    /// # Errors
    /// When the tenant is unknown.
    pub fn recent(&self, tenant: &str) -> Result<(u64, Vec<(Role, Recent)>), TenantError> {
        let recent = self.entry(tenant)?.configuration.readers().map(Readers::recent).unwrap_or_default();
        Ok((self.owners.clock().now_ms(), recent))
    }

    fn entry(&self, tenant: &str) -> Result<Entry, TenantError> {
        let directory = self.shared.directory();
        directory.entries.get(tenant).cloned().ok_or_else(|| TenantError::Unknown(tenant.to_owned()))
    }

    /// Performs a quick action on a tenant. No change of the tenant happens meanwhile.
    fn at_once<T>(&self, tenant: &str, act: impl FnOnce(&Entry) -> T) -> Result<T, TenantError> {
        let _act = self.acts();
        Ok(act(&self.entry(tenant)?))
    }

    fn acts(&self) -> MutexGuard<'_, ()> {
        self.acts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changes(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listeners(&self) -> MutexGuard<'_, Option<Vec<Listener>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops accepting, and cuts every connection off.
    pub fn cut_off(&self) {
        self.close_listeners();
        self.shared.is_over.send_replace(true);
    }

    /// Stops accepting for good, whatever is applied later. Connections go on.
    pub fn close_listeners(&self) {
        *self.listeners() = None;
    }

    /// Stops accepting, waits for connections to end until the drain time is over, then ends every cache. Returns the
    /// number of connections that were cut off. The owner threads end when the proxy is dropped.
    pub async fn shutdown(&self) -> usize {
        self.close_listeners();
        let Self { shared, connections_max, .. } = self;
        let all = u32::try_from(*connections_max).unwrap_or(PERMITS_MAX);
        let drained = tokio::time::timeout(shared.limits().drain, shared.connections.acquire_many(all)).await;
        let cut_off = if drained.is_ok() { 0 } else { connections_max - shared.connections.available_permits() };
        shared.is_over.send_replace(true);
        let entries = std::mem::take(&mut *shared.directory_to_change()).entries;
        // Ending a cache runs its guest. A panic there has ended at the cache.
        let end = move || entries.values().for_each(|entry| entry.tenant.end_unless_busy());
        let _ = tokio::task::spawn_blocking(end).await;
        cut_off
    }
}

/// The most connections: more than a machine has, and within the range of a semaphore.
const PERMITS_MAX: u32 = 1 << 28;

/// Opens a tenant's caches, and makes its entry.
fn open(maxima: Option<&Limits>, owners: &Owners, config: &TenantConfig) -> Result<Entry, StartError> {
    let failed = |source| StartError::Cache { tenant: config.name.clone(), source };
    let front = config.front();
    let server_names = Entry::server_names_of(&front)?;
    let configuration = Configuration::new(&front, None);
    let configuration =
        configuration.map_err(|source| StartError::Certificate { tenant: config.name.clone(), source })?;
    check_maxima(maxima, &config.cache).map_err(failed)?;
    let opened = Caches::open(&config.cache, Arc::clone(&config.guest), front.upstream.tls.is_some(), owners);
    let (caches, readers) = opened.map_err(failed)?;
    let tenant = Arc::new(Tenant::new(front.name));
    tenant.change(|own| *own = Some(caches));
    Ok(Entry { tenant, configuration: Arc::new(configuration.with_readers(readers)), server_names })
}

fn check_maxima(maxima: Option<&Limits>, cache: &CacheConfig) -> Result<(), OpenError> {
    Ok(maxima.map_or(Ok(()), |maxima| cache.limits.check_within(maxima))?)
}
