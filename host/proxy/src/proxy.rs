//! A running proxy: its listeners and its tenants, all of which may change while it runs.

use std::{
    net::SocketAddr,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use innkeeper_core::{CacheConfig, CacheStats, Guest, Limits, OpenError, Owners, Recent, Role, UpgradeReport};
use tokio::sync::{Semaphore, watch};

use crate::{
    AcceptErrors, Inspection, ListenerConfig, ProxyStats, Reserves, StartError, TenantBounds, TenantConfig,
    TenantError, TenantStats, TenantTls,
    caches::Caches,
    change::{Change, Planned, Wanted},
    connection::Totals,
    directory::{Directory, Entry},
    listener::Listener,
    setup::{Readers, Setup},
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

/// What became of a tenant's caches.
#[derive(Debug)]
#[non_exhaustive]
pub struct GuestChange {
    /// Whether the tenant had no guest before.
    pub is_first: bool,
    /// Sessions moved into caches with other limits or properties, where there are such.
    pub moved: Option<usize>,
    /// What the exchange of the guest has carried over, where there is another.
    pub upgrade: Option<UpgradeReport>,
}

/// A running proxy. Dropping it stops the listeners and ends every cache; [`Proxy::shutdown`] does so in good order.
pub struct Proxy {
    shared: Arc<Shared>,
    maxima: Option<Limits>,
    connections_max: usize,
    /// Held while the directory is changed. No guest is asked meanwhile, and nothing waits: what takes a guest's time is held
    /// by its tenant's own lock, `Tenant::caches`, which is taken first.
    changes: Mutex<()>,
    /// Held while an operator acts on a tenant's caches, and while they are exchanged. Taken last.
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

    /// Whether a tenant has a guest by now; not if there is no such tenant.
    pub fn has_guest(&self, tenant: &str) -> bool {
        self.entry(tenant).is_ok_and(|entry| entry.setup.readers().is_some())
    }

    /// What became of connections before their tenant was known.
    pub fn totals(&self) -> ProxyStats {
        self.shared.totals.read(self.shared.strangers.len())
    }

    /// Waits until every cache has done what has been posted to it. Blocking.
    pub fn settle(&self) {
        let entries = self.shared.directory().entries.clone();
        entries.values().for_each(|entry| entry.tenant.change(|caches| caches.iter_mut().for_each(Caches::settle)));
    }

    /// Waits until a tenant's caches have done what has been posted to them, and until instances that an upgrade has replaced have
    /// been terminated. Blocking; waits for no other tenant.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn settle_tenant(&self, tenant: &str) -> Result<(), TenantError> {
        self.entry(tenant)?.tenant.change(|caches| caches.iter_mut().for_each(Caches::settle));
        Ok(())
    }

    /// Opens one more tenant's caches, and serves it from then on. Blocking; no other tenant waits for it.
    ///
    /// # Errors
    /// When its settings do not do, or a cache does not open; nothing changes for the others.
    pub fn add(&self, tenant: TenantConfig) -> Result<(), StartError> {
        let entry = open(self.maxima.as_ref(), &self.owners, &tenant)?;
        let _one_by_one = self.changes();
        let listeners = self.listeners();
        let _open = listeners.as_ref().ok_or(StartError::ShutDown)?;
        self.shared.directory_to_change().add(entry)
    }

    /// Serves a tenant no more, ends its caches, and gives the last counters of the one in the server role. Connections that
    /// it has go on. Blocks until its guest has been told; no other tenant waits for it.
    ///
    /// # Errors
    /// When there is no such tenant.
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

    /// Serves other tenants, at other addresses, within other bounds, from now on, their guests aside: no guest is asked. No
    /// connection is cut off; each goes on as it began. Says what became of each tenant that was not kept as it is.
    ///
    /// What is wrong with one tenant is that tenant's: it is kept as it was, or not served where it is new, and the others are
    /// as they are to be. A socket may come with an address that is not listened on yet.
    ///
    /// Sessions stay where the trust they rest on does: a changed certificate, client-auth mode, root or protocol name wipes
    /// them. For another guest, or other limits, see [`Proxy::set_guest`]. Blocks for as long as it takes to read keys and
    /// certificates; not to be called on a thread that serves.
    ///
    /// # Errors
    /// When an address is taken, or the proxy has been shut down. All is then as it was.
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
            // Those that are no longer wanted close here.
            *open = listening;
            open.iter_mut().for_each(|listener| listener.accept(&self.shared));
            Ok(changes)
        })
    }

    /// Gives a tenant a guest, or another one, or caches with other limits or properties; all of it or nothing. A changed guest
    /// is an [upgrade](innkeeper_core::Owner::upgrade); other limits or properties open caches anew and move the sessions there.
    /// It serves both of the tenant's roles afterwards, or neither.
    ///
    /// Blocks for the guest's `init`, for the upgrade and for the move. Changes of one tenant's guest are made one after another;
    /// nobody else waits, nor does [`Proxy::apply`] or an action on this tenant.
    ///
    /// # Errors
    /// When there is no such tenant, the caches do not open, or the guest fails in its upgrade. What served before goes on.
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
        // Once others before it have been made.
        let setup = self.own_entry(tenant)?.setup;
        let is_tls = setup.target.is_tls();
        let old = match caches {
            Some(own) if own.do_for(cache) => return self.change_guest(tenant, &setup, own, guest),
            old => old,
        };
        let (new, readers) = Caches::open(cache, guest, is_tls, &self.owners)?;
        let terms = new.terms();
        let Err(error) = self.exchange(tenant, readers, setup.readers().cloned()) else {
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

    /// Exchanges the guest of caches that go on, and opens or ends the second role as the upstream wants it.
    fn change_guest(
        &self,
        tenant: &Arc<Tenant>,
        setup: &Setup,
        caches: &mut Caches,
        guest: Arc<dyn Guest>,
    ) -> Result<GuestChange, TenantError> {
        let (mut upgrade, mut has_joined) = (None, false);
        if let Some(Readers { server, .. }) = setup.readers() {
            let server = server.clone();
            match (setup.target.is_tls(), caches.has_client()) {
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

    /// Serves a tenant with other caches from now on, suspended where an operator has suspended it; whatever is done to it is done
    /// to its predecessors too, until [`Tenant::follow`] says otherwise.
    fn exchange(
        &self,
        tenant: &Arc<Tenant>,
        readers: Readers,
        predecessors: Option<Readers>,
    ) -> Result<(), TenantError> {
        let _one_by_one = self.changes();
        let entry = self.own_entry(tenant)?;
        let entry = entry.with_setup(entry.setup.with_readers(readers));
        let _act = self.acts();
        tenant.follow(predecessors);
        if tenant.is_held() {
            entry.setup.readers().into_iter().for_each(Readers::suspend);
        }
        self.shared.directory_to_change().put(entry);
        Ok(())
    }

    /// How a tenant is served, if it is the very one: another may have its name by now.
    fn own_entry(&self, tenant: &Arc<Tenant>) -> Result<Entry, TenantError> {
        let entry = self.entry(&tenant.name)?;
        match Arc::ptr_eq(&entry.tenant, tenant) {
            true => Ok(entry),
            false => Err(TenantError::Unknown(tenant.name.clone())),
        }
    }

    /// Binds what is not bound yet.
    async fn bind(
        &self,
        wanted: Vec<(ListenerConfig, Option<std::net::TcpListener>)>,
    ) -> Result<Vec<Listener>, StartError> {
        let mut places: Vec<Option<Listener>> = {
            let open = self.listeners();
            let mut left: Vec<&Listener> = open.iter().flatten().collect();
            let mut again = |config: &ListenerConfig| {
                let number = left.iter().position(|own| own.config.address == config.address)?;
                Some(left.remove(number).again(config.clone()))
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

    /// Puts another guest in the place of a tenant's running one, and keeps its sessions: see
    /// [`Owner::upgrade`](innkeeper_core::Owner::upgrade). It serves both of the tenant's roles afterwards, or neither.
    /// Blocking; upgrades of one tenant are made one after another.
    ///
    /// # Errors
    /// When there is no such tenant, it has no guest, or the new guest fails; the old one then goes on serving.
    pub fn upgrade(&self, tenant: &str, guest: Arc<dyn Guest>) -> Result<UpgradeReport, TenantError> {
        self.entry(tenant)?.tenant.change(|caches| match caches {
            Some(caches) => Ok(caches.upgrade(guest)?),
            None => Err(TenantError::NoGuest(tenant.to_owned())),
        })
    }

    /// Wipes every session of a tenant at once, those of handshakes under way included. Says how many there were. Waits for
    /// no guest.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn revoke(&self, tenant: &str) -> Result<usize, TenantError> {
        self.at_once(tenant, Entry::revoke)
    }

    /// Asks a tenant's guest nothing any more, until [`Proxy::resume`]: its handshakes are full ones. Its sessions stay.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn suspend(&self, tenant: &str) -> Result<(), TenantError> {
        self.at_once(tenant, Entry::suspend)
    }

    /// Asks a tenant's guest again, whether an operator or its faults have suspended it.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn resume(&self, tenant: &str) -> Result<(), TenantError> {
        self.at_once(tenant, Entry::resume)
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
        let is_kept = before.setup.is_trust_kept(&after.setup);
        let _act = self.acts();
        self.shared.directory_to_change().put(after.clone());
        // A connection that still has the old setup files its session under the old identity, where nobody looks.
        let revoke = |readers: Readers| readers.server.mailbox().revoke();
        Ok(if is_kept { 0 } else { after.acted_on().map(revoke).sum() })
    }

    /// Asks a tenant's guest what it would tell of its cache in the server role. Blocking; costs a `size`, a `foldl` and a
    /// `select-session`.
    ///
    /// # Errors
    /// When there is no such tenant, or it has no guest.
    pub fn inspect(&self, tenant: &str, server_name: &str) -> Result<Inspection, TenantError> {
        let inspection = self.entry(tenant)?.setup.inspect(server_name);
        inspection.ok_or_else(|| TenantError::NoGuest(tenant.to_owned()))
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
        let end = move || entries.values().for_each(|entry| entry.tenant.end_unless_busy());
        let _ = tokio::task::spawn_blocking(end).await;
        cut_off
    }
}

/// More connections than a machine has, and within what a semaphore counts.
const PERMITS_MAX: u32 = 1 << 28;

/// Opens a tenant's caches, and makes what its connections are served with.
fn open(maxima: Option<&Limits>, owners: &Owners, config: &TenantConfig) -> Result<Entry, StartError> {
    let failed = |source| StartError::Cache { tenant: config.name.clone(), source };
    let front = config.front();
    let server_names = Entry::server_names_of(&front)?;
    let setup = Setup::new(&front, None);
    let setup = setup.map_err(|source| StartError::Certificate { tenant: config.name.clone(), source })?;
    check_maxima(maxima, &config.cache).map_err(failed)?;
    let opened = Caches::open(&config.cache, Arc::clone(&config.guest), front.upstream.tls.is_some(), owners);
    let (caches, readers) = opened.map_err(failed)?;
    let tenant = Arc::new(Tenant::new(front.name));
    tenant.change(|own| *own = Some(caches));
    Ok(Entry { tenant, setup: Arc::new(setup.with_readers(readers)), server_names })
}

fn check_maxima(maxima: Option<&Limits>, cache: &CacheConfig) -> Result<(), OpenError> {
    Ok(maxima.map_or(Ok(()), |maxima| cache.limits.check_within(maxima))?)
}
