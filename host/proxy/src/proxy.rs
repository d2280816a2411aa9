//! A running proxy: its listeners and its tenants, all of which may change while it runs.

use std::{
    net::SocketAddr,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use innkeeper_core::{CacheStats, Guest, Limits, Owners, Recent, Role, UpgradeReport};
use tokio::sync::{Semaphore, watch};

use crate::{
    AcceptErrors, Inspection, ListenerConfig, ProxyStats, Reserves, StartError, TenantBounds, TenantConfig,
    TenantError, TenantStats, TenantTls,
    caches::Caches,
    change::{Change, Commit, Planned, Wanted},
    connection::Totals,
    directory::{Directory, Entry},
    listener::Listener,
    setup::Setup,
    shares::{Shares, three_quarters},
    strangers::Strangers,
    tenant::Tenant,
};

/// What the proxy is set up with.
pub struct ProxyConfig {
    /// Where to listen, each with a socket that listens there already, if another process has handed one over.
    pub listeners: Vec<(ListenerConfig, Option<std::net::TcpListener>)>,
    /// The bounds on connections.
    pub limits: ProxyLimits,
    /// The most that a tenant's limits may be, if there is such.
    pub maxima: Option<Limits>,
    /// The tenants. Each server name belongs to one.
    pub tenants: Vec<TenantConfig>,
}

/// The bounds on all connections together, and on each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyLimits {
    /// Connections at a time, one for each listener that waits for its next included. At the limit the listeners accept no
    /// more until one ends. A running proxy does not change it.
    pub connections: usize,
    /// Those among them whose ClientHello has not come. A newcomer takes the place of the one that has been there the longest.
    /// None: a quarter of `connections`.
    pub hellos: Option<usize>,
    /// Those among them of one peer: an IPv4 address, or an IPv6 prefix of 64 bits. A newcomer of a peer that has so many takes
    /// the place of another of the peer. None: three quarters.
    pub hellos_per_peer: Option<usize>,
    /// From its acceptance to the end of the ClientHello.
    pub hello: Duration,
    /// From its acceptance to the end of the handshake.
    pub handshake: Duration,
    /// To connect to the upstream, its handshake included.
    pub upstream_connect: Duration,
    /// Without a byte either way. It may take twice as long.
    pub idle: Duration,
    /// The life of a connection.
    pub connection: Duration,
    /// How long a shutdown waits for connections to end by themselves.
    pub drain: Duration,
}

impl Default for ProxyLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            hellos: None,
            hellos_per_peer: None,
            hello: Duration::from_secs(3),
            handshake: Duration::from_secs(10),
            upstream_connect: Duration::from_secs(5),
            idle: Duration::from_secs(10 * 60),
            connection: Duration::from_secs(24 * 60 * 60),
            drain: Duration::from_secs(10),
        }
    }
}

impl ProxyLimits {
    /// Connections that may wait for their ClientHello.
    pub fn hellos(&self) -> usize {
        let most = self.connections.saturating_sub(1).max(1);
        self.hellos.unwrap_or(self.connections / 4).clamp(1, most)
    }

    /// Connections of one peer that may wait for their ClientHello.
    pub fn hellos_per_peer(&self) -> usize {
        self.hellos_per_peer.unwrap_or_else(|| three_quarters(self.hellos()))
    }

    /// How many connections are kept for each of these tenants.
    pub fn reserves<'a>(&self, tenants: impl ExactSizeIterator<Item = &'a TenantBounds>) -> Reserves {
        Reserves::new(self.of_tenants(), tenants)
    }

    /// Connections that all tenants together may have.
    fn of_tenants(&self) -> usize {
        self.connections.saturating_sub(self.hellos()).max(1)
    }
}

pub(crate) struct Shared {
    limits: RwLock<ProxyLimits>,
    directory: RwLock<Directory>,
    pub(crate) connections: Arc<Semaphore>,
    /// Before their ClientHello.
    pub(crate) strangers: Arc<Strangers>,
    /// From it on.
    pub(crate) shares: Arc<Shares>,
    pub(crate) totals: Totals,
    pub(crate) accept_errors: AcceptErrors,
    /// Set when the drain time is over: connections end.
    pub(crate) is_over: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn find(&self, server_name: &str) -> Option<Entry> {
        self.directory().find(server_name).cloned()
    }

    pub(crate) fn limits(&self) -> ProxyLimits {
        self.limits.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory, to be changed. The tenants' shares follow when it is given back.
    fn directory_to_change(&self) -> Changing<'_> {
        Changing { shared: self, directory: self.directory.write().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Puts other limits in force, but for the number of connections, which stays.
    fn set_limits(&self, limits: ProxyLimits) {
        {
            let mut own = self.limits.write().unwrap_or_else(PoisonError::into_inner);
            *own = ProxyLimits { connections: own.connections, ..limits };
            self.strangers.resize(own.hellos(), own.hellos_per_peer());
        }
        drop(self.directory_to_change());
    }
}

/// A directory while it is changed.
struct Changing<'a> {
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
        let tenants = tenants.map(|(name, entry)| (name.as_str(), entry.setup.gates.bounds()));
        self.shared.shares.follow(self.shared.limits().of_tenants(), tenants);
    }
}

/// A running proxy. Dropping it stops the listeners and ends every cache; [`Proxy::shutdown`] does so in good order.
pub struct Proxy {
    shared: Arc<Shared>,
    maxima: Option<Limits>,
    connections_max: usize,
    /// Held through a change to its end, so that changes come one after another. Nothing that has to be quick takes it.
    changes: Mutex<()>,
    /// Held while an operator acts on a tenant's caches, and while they are exchanged.
    acts: Mutex<()>,
    /// None once the proxy has been shut down. Held for an instant.
    listeners: Mutex<Option<Vec<Listener>>>,
    owners: Owners,
}

impl Proxy {
    /// Opens every tenant's caches, then listens. Must be called within a tokio runtime of several threads. It wants that to
    /// have tokio's 512 blocking threads: handshakes take up to 384 of them at a time, and look-ups of names 64.
    ///
    /// Opening a cache blocks until its guest's `init` has answered, at most its grant.
    ///
    /// # Errors
    /// When a tenant's settings do not do, a cache does not open, or an address is taken.
    pub async fn start(config: ProxyConfig, owners: Owners) -> Result<Self, StartError> {
        let ProxyConfig { listeners, limits, maxima, tenants } = config;
        let connections_max = limits.connections.clamp(1, PERMITS_MAX as usize);
        let limits = ProxyLimits { connections: connections_max, ..limits };
        let shared = Arc::new(Shared {
            strangers: Strangers::new(limits.hellos(), limits.hellos_per_peer()),
            shares: Arc::default(),
            limits: RwLock::new(limits),
            directory: RwLock::default(),
            connections: Arc::new(Semaphore::new(connections_max)),
            totals: Totals::default(),
            accept_errors: AcceptErrors::default(),
            is_over: watch::Sender::new(false),
        });
        let mut directory = Directory::default();
        tokio::task::block_in_place(|| {
            tenants.into_iter().try_for_each(|tenant| add(&mut directory, maxima.as_ref(), &owners, tenant))
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

    /// Where it listens: the first listener's address.
    ///
    /// # Panics
    /// When it was started without a listener.
    pub fn local_address(&self) -> SocketAddr {
        *self.local_addresses().first().expect("there is a listener")
    }

    /// Where it listens, in the listeners' order.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.listeners().iter().flatten().map(|listener| listener.local_address).collect()
    }

    /// Every tenant's name and counters, in the order in which they came.
    pub fn stats(&self) -> Vec<(String, TenantStats)> {
        let entries = self.shared.directory().entries.clone();
        entries.into_iter().map(|(name, entry)| (name, self.stats_with_reserve(&entry))).collect()
    }

    /// One tenant's counters.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn stats_of(&self, tenant: &str) -> Result<TenantStats, TenantError> {
        Ok(self.stats_with_reserve(&self.entry(tenant)?))
    }

    fn stats_with_reserve(&self, entry: &Entry) -> TenantStats {
        let reserve = self.shared.shares.reserve(&entry.tenant.name);
        TenantStats { reserve: reserve as u64, ..entry.stats() }
    }

    /// What became of connections before their tenant was known.
    pub fn totals(&self) -> ProxyStats {
        self.shared.totals.read(self.shared.strangers.len())
    }

    /// Waits until every cache has done what has been posted to it. Blocking.
    pub fn settle(&self) {
        let entries = self.shared.directory().entries.clone();
        entries.values().for_each(|entry| entry.caches().settle());
    }

    /// Opens one more tenant's caches, and serves it from then on. Blocking.
    ///
    /// # Errors
    /// When its settings do not do, or a cache does not open; nothing changes for the others.
    pub fn add(&self, tenant: TenantConfig) -> Result<(), StartError> {
        let _one_by_one = self.changes();
        let mut directory = self.shared.directory().clone();
        add(&mut directory, self.maxima.as_ref(), &self.owners, tenant)?;
        let listeners = self.listeners();
        let _open = listeners.as_ref().ok_or(StartError::ShutDown)?;
        *self.shared.directory_to_change() = directory;
        Ok(())
    }

    /// Serves a tenant no more, ends its caches, and gives the last counters of the one in the server role. Connections that
    /// it has go on. Blocking.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn remove(&self, tenant: &str) -> Result<CacheStats, TenantError> {
        let _one_by_one = self.changes();
        let entry = self.shared.directory_to_change().remove(tenant);
        let entry = entry.ok_or_else(|| TenantError::Unknown(tenant.to_owned()))?;
        let setup = Arc::clone(&entry.setup);
        setup.revoke();
        entry.end();
        Ok(setup.readers().server.stats())
    }

    /// Serves other tenants, at other addresses, within other bounds, from now on: all of them or, if anything does not do,
    /// none. No connection is cut off; each goes on as it began. Says what became of each tenant that was not kept as it is.
    ///
    /// Sessions stay where the trust they rest on does: a changed certificate, client-auth mode, root or protocol name wipes
    /// them, a changed guest is an upgrade, and other limits or properties open caches anew and move the sessions there.
    /// Blocks for the `init` of new caches and for upgrades; not to be called on a thread that serves.
    ///
    /// # Errors
    /// When a tenant's settings do not do, a cache does not open, or an address is taken. All is then as it was. A guest that
    /// fails in its upgrade is no such error: the old one goes on, and the report says so.
    pub async fn apply(
        &self,
        listeners: Vec<ListenerConfig>,
        limits: ProxyLimits,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<Change>, StartError> {
        let listening = self.bind(listeners).await?;
        tokio::task::block_in_place(|| {
            let _one_by_one = self.changes();
            let served = self.shared.directory().clone();
            let planned = Planned::new(&served, self.maxima.as_ref(), &self.owners, wanted)?;
            drop(served);
            let (directory, commit) = planned.into_parts();
            self.exchange(directory, &commit, limits, listening)?;
            Ok(commit.finish())
        })
    }

    /// From here on everything is as it is to be, unless the proxy has been shut down.
    fn exchange(
        &self,
        directory: Directory,
        commit: &Commit,
        limits: ProxyLimits,
        listening: Vec<Listener>,
    ) -> Result<(), StartError> {
        let mut listeners = self.listeners();
        let open = listeners.as_mut().ok_or(StartError::ShutDown)?;
        {
            let _act = self.acts();
            commit.carry_over();
            *self.shared.directory_to_change() = directory;
        }
        self.shared.set_limits(limits);
        // Those that are no longer wanted close here.
        *open = listening;
        open.iter_mut().for_each(|listener| listener.accept(&self.shared));
        Ok(())
    }

    /// Binds what is not bound yet.
    async fn bind(&self, wanted: Vec<ListenerConfig>) -> Result<Vec<Listener>, StartError> {
        let mut places: Vec<Option<Listener>> = {
            let open = self.listeners();
            let mut left: Vec<&Listener> = open.iter().flatten().collect();
            let again = |config: &ListenerConfig| {
                let number = left.iter().position(|own| own.config.address == config.address)?;
                Some(left.remove(number).again(config.clone()))
            };
            wanted.iter().map(again).collect()
        };
        let mut listening = Vec::new();
        for (config, place) in wanted.into_iter().zip(&mut places) {
            listening.push(match place.take() {
                Some(listener) => listener,
                None => Listener::bind(config, None).await?,
            });
        }
        Ok(listening)
    }

    /// Puts another guest in the place of a tenant's running one, and keeps its sessions: see
    /// [`Owner::upgrade`](innkeeper_core::Owner::upgrade). It serves both of the tenant's roles afterwards, or neither.
    /// Blocking; upgrades of one tenant are made one after another.
    ///
    /// # Errors
    /// When there is no such tenant, or the new guest fails; the old one then goes on serving.
    pub fn upgrade(&self, tenant: &str, guest: Arc<dyn Guest>) -> Result<UpgradeReport, TenantError> {
        let entry = self.entry(tenant)?;
        let mut caches = entry.caches();
        Ok(caches.upgrade(guest)?)
    }

    /// Wipes every session of a tenant at once, those of handshakes under way included. Says how many there were. Waits for
    /// no guest.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn revoke(&self, tenant: &str) -> Result<usize, TenantError> {
        self.at_once(tenant, Setup::revoke)
    }

    /// Asks a tenant's guest nothing any more, until [`Proxy::resume`]: its handshakes are full ones. Its sessions stay.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn suspend(&self, tenant: &str) -> Result<(), TenantError> {
        self.at_once(tenant, Setup::suspend)
    }

    /// Asks a tenant's guest again, whether an operator or its faults have suspended it.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn resume(&self, tenant: &str) -> Result<(), TenantError> {
        self.at_once(tenant, Setup::resume)
    }

    /// Changes how a tenant speaks TLS, from the next connection on. Where that changes what a session's trust rests on
    /// (client certificates, their roots, the server's chains, protocol names), every session is wiped; says how many.
    ///
    /// # Errors
    /// When there is no such tenant, or its certificate, key or roots do not do; all then stays as it was.
    pub fn reconfigure(&self, tenant: &str, tls: &TenantTls) -> Result<usize, TenantError> {
        let _one_by_one = self.changes();
        let before = self.entry(tenant)?;
        let after = before.with_setup(before.setup.with_tls(tls)?);
        self.shared.directory_to_change().replace(&after);
        let is_kept = before.setup.is_trust_kept(&after.setup);
        // A connection that still has the old setup files its session under the old identity, where nobody looks.
        Ok(if is_kept { 0 } else { before.setup.readers().server.mailbox().revoke() })
    }

    /// Asks a tenant's guest what it would tell of its cache in the server role. Blocking; costs a `size`, a `foldl` and a
    /// `select-session`.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn inspect(&self, tenant: &str, server_name: &str) -> Result<Inspection, TenantError> {
        Ok(self.entry(tenant)?.setup.inspect(server_name))
    }

    /// The last log lines and faults of a tenant's guest, for each role, and the time on the clock that theirs are on.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn recent(&self, tenant: &str) -> Result<(u64, Vec<(Role, Recent)>), TenantError> {
        let recent = self.entry(tenant)?.setup.recent();
        Ok((self.owners.clock().now_ms(), recent))
    }

    fn entry(&self, tenant: &str) -> Result<Entry, TenantError> {
        let directory = self.shared.directory();
        directory.entries.get(tenant).cloned().ok_or_else(|| TenantError::Unknown(tenant.to_owned()))
    }

    /// Acts on a tenant as it is served, which no change alters meanwhile. For what is quick.
    fn at_once<T>(&self, tenant: &str, act: impl FnOnce(&Setup) -> T) -> Result<T, TenantError> {
        let _act = self.acts();
        Ok(act(&self.entry(tenant)?.setup))
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

    /// Accepts no more, and cuts every connection off.
    pub fn cut_off(&self) {
        self.close_listeners();
        self.shared.is_over.send_replace(true);
    }

    /// Accepts no more, whatever is applied later. Connections go on.
    pub fn close_listeners(&self) {
        *self.listeners() = None;
    }

    /// Stops accepting, waits for connections to end until the drain time is over, then ends every cache. Says how many
    /// connections were cut off. The owner threads end when the proxy is dropped.
    pub async fn shutdown(&self) -> usize {
        self.close_listeners();
        let Self { shared, connections_max, .. } = self;
        let all = u32::try_from(*connections_max).unwrap_or(PERMITS_MAX);
        let drained = tokio::time::timeout(shared.limits().drain, shared.connections.acquire_many(all)).await;
        let cut_off = if drained.is_ok() { 0 } else { connections_max - shared.connections.available_permits() };
        shared.is_over.send_replace(true);
        let entries = std::mem::take(&mut *shared.directory_to_change()).entries;
        // Ending a cache runs its guest; a panic there has ended at the cache.
        let _ = tokio::task::spawn_blocking(move || entries.into_values().for_each(Entry::end)).await;
        cut_off
    }
}

/// More connections than a machine has, and within what a semaphore counts.
const PERMITS_MAX: u32 = 1 << 28;

fn add(
    directory: &mut Directory,
    maxima: Option<&Limits>,
    owners: &Owners,
    config: TenantConfig,
) -> Result<(), StartError> {
    let (setup, caches) = open(maxima, owners, &config, None)?;
    directory.add(Entry::new(Arc::new(Tenant::new(config.name)), setup, caches, &config.server_names))
}

/// Opens a tenant's caches, and makes what its connections are served with, in place of what they are served with `before`.
pub(crate) fn open(
    maxima: Option<&Limits>,
    owners: &Owners,
    config: &TenantConfig,
    before: Option<&Setup>,
) -> Result<(Setup, Caches), StartError> {
    if let Some(maxima) = maxima {
        let checked = config.cache.limits.check_within(maxima);
        checked.map_err(|source| StartError::Cache { tenant: config.name.clone(), source: source.into() })?;
    }
    let (caches, readers) = Caches::open(config, owners)?;
    let setup = Setup::new(config, readers, before);
    let setup = setup.map_err(|source| StartError::Certificate { tenant: config.name.clone(), source })?;
    Ok((setup, caches))
}
