//! The proxy under attack.
//!
//! Each attack is a round. The neighbours' TLS clients come back again and again. Meanwhile the host adds a tenant with
//! the hostile guest, drives clients of its own through it, asks it everything else that a host may ask, and removes
//! it. A quiet round comes before, with an honest guest instead: its times are the measure for the neighbours' times.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use innkeeper_corpus::artifact;
use innkeeper_program::{
    compiler,
    loopback::{
        Stand,
        client::{self, Visits},
        upstream,
    },
};
use innkeeper_proxy::{
    GuestLoader, Inspection, ListenerConfig, LoadError, Proxy, ProxyConfig, ProxyLimits, StartError, TenantBounds,
    TenantConfig, TenantStats, TenantTls, Upstream, Wasi,
    core::{CacheConfig, CacheStats, Clock, Guest, Limits, Owners, Property, Role, SizeClass},
};
use tokio::task::JoinSet;

/// The honest tenants.
const NEIGHBOURS: [&str; 2] = ["rust-lru", "rust-ttl"];

/// The name of the tenant that attacks.
const ATTACKER: &str = "attacker";

/// The end of an attacker, with everything the host counted.
pub(crate) enum Outcome {
    Refused(LoadError),
    NotOpened(StartError),
    Served { stats: Box<TenantStats>, ended: Box<CacheStats>, inspections: Vec<Inspection> },
}

/// A live proxy with two honest tenants.
pub(crate) struct Target {
    proxy: Arc<Proxy>,
    loader: GuestLoader,
    clock: Clock,
    upstream: SocketAddr,
    neighbours: Vec<Stand>,
}

/// The result of one round.
pub(crate) struct Round {
    pub(crate) outcome: Outcome,
    pub(crate) neighbours: Visits,
    pub(crate) attackers: Visits,
}

impl Target {
    pub(crate) async fn open() -> anyhow::Result<Self> {
        let upstream = upstream::start().await?;
        let loader = GuestLoader::new(compiler::apart())?;
        let (mut neighbours, mut tenants) = (Vec::new(), Vec::new());
        for name in NEIGHBOURS {
            let (stand, tls) = Stand::new(name)?;
            let limits = Limits::new(SizeClass::Small);
            let guest = loader.load(component_of(name)?, SizeClass::Small, Wasi::None, &limits)?;
            tenants.push(tenant(name, &stand, tls, upstream, CacheConfig::new(name, Role::Server, limits), guest));
            neighbours.push(stand);
        }
        let config = ProxyConfig {
            listeners: vec![(ListenerConfig::new((Ipv4Addr::LOCALHOST, 0).into()), None)],
            limits: ProxyLimits { drain: Duration::from_secs(2), ..ProxyLimits::default() },
            maxima: None,
            tenants,
        };
        // A clock of its own, so that hours pass in a round. The time of calls on a core is real.
        let clock = Clock::manual_at_work();
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
        let proxy = Proxy::start(config, Owners::new(threads, clock.clone())).await?;
        Ok(Self { proxy: Arc::new(proxy), loader, clock, upstream, neighbours })
    }

    /// One round with an honest guest as the third tenant.
    pub(crate) async fn quiet_round(&self, connections: u32) -> anyhow::Result<Round> {
        self.round(component_of(NEIGHBOURS[0])?, None, connections).await
    }

    /// One round with a guest as the third tenant, told to strike in a callback.
    pub(crate) async fn round(
        &self,
        component: &'static [u8],
        strike: Option<&'static str>,
        connections: u32,
    ) -> anyhow::Result<Round> {
        let (neighbours, attackers) = (Arc::new(Visits::default()), Arc::new(Visits::default()));
        let is_over = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for stand in &self.neighbours {
            for version in client::VERSIONS {
                let client =
                    client::Client::new(version, stand.roots()?, &stand.server_name, self.proxy.local_address())?;
                let (visits, is_over) = (Arc::clone(&neighbours), Arc::clone(&is_over));
                clients.spawn(async move {
                    client.visit(connections.div_ceil(2), &visits).await;
                    while !is_over.load(Ordering::Acquire) {
                        client.visit(1, &visits).await;
                    }
                });
            }
        }
        let attack = async {
            let outcome = self.attack(component, strike, &attackers, connections).await;
            is_over.store(true, Ordering::Release);
            outcome
        };
        let (outcome, ()) = tokio::join!(attack, self.pass_time(&mut clients));
        let take = |visits: Arc<Visits>| Arc::into_inner(visits).context("every client has ended");
        Ok(Round { outcome: outcome?, neighbours: take(neighbours)?, attackers: take(attackers)? })
    }

    /// Moves the clock as time passes until the clients have ended.
    async fn pass_time(&self, clients: &mut JoinSet<()>) {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        loop {
            tokio::select! {
                _ = ticks.tick() => self.clock.advance(10),
                ended = clients.join_next() => if ended.is_none() {
                    return;
                },
            }
        }
    }

    /// Adds the tenant, drives it, and removes it. Halfway more than an hour passes.
    async fn attack(
        &self,
        component: &'static [u8],
        strike: Option<&'static str>,
        visits: &Arc<Visits>,
        connections: u32,
    ) -> anyhow::Result<Outcome> {
        let (stand, tls) = Stand::new(ATTACKER)?;
        let limits = Limits::new(SizeClass::Small);
        let (loader, loads_within) = (self.loader.clone(), limits.clone());
        let loaded = blocking(move || loader.load(component, SizeClass::Small, Wasi::None, &loads_within)).await?;
        let guest = match loaded {
            Ok(guest) => guest,
            Err(error) => return Ok(Outcome::Refused(error)),
        };
        let mut cache = CacheConfig::new(ATTACKER, Role::Server, limits);
        let property = |callback: &str| Property { name: "strike".into(), value: callback.into() };
        cache.properties = strike.map(property).into_iter().collect();
        let tenant = tenant(ATTACKER, &stand, tls, self.upstream, cache, guest);
        let proxy = Arc::clone(&self.proxy);
        if let Err(error) = blocking(move || proxy.add(tenant)).await? {
            return Ok(Outcome::NotOpened(error));
        }
        let client = |version| {
            let client = client::Client::new(version, stand.roots()?, &stand.server_name, self.proxy.local_address())?;
            anyhow::Ok(Arc::new(client))
        };
        let all = client::VERSIONS.into_iter().map(client).collect::<anyhow::Result<Vec<_>>>()?;
        let mut inspections = Vec::new();
        for is_later in [false, true] {
            if is_later {
                self.clock.advance(61 * 60 * 1_000);
            }
            let mut clients = JoinSet::new();
            for client in &all {
                let (client, visits) = (Arc::clone(client), Arc::clone(visits));
                clients.spawn(async move { client.visit(connections.div_ceil(8), &visits).await });
            }
            self.inspect(&stand.server_name, &mut clients, &mut inspections).await?;
        }
        let proxy = Arc::clone(&self.proxy);
        blocking(move || {
            let stats = proxy.stats().into_iter().find(|(name, _)| name == ATTACKER).map(|(_, stats)| stats);
            let ended = proxy.remove(ATTACKER)?;
            let stats = Box::new(stats.context("the attacker is a tenant")?);
            Ok(Outcome::Served { stats, ended: Box::new(ended), inspections })
        })
        .await?
    }

    /// Inspects the attacker's guest as an operator does, until its clients have ended.
    async fn inspect(
        &self,
        server_name: &str,
        clients: &mut JoinSet<()>,
        inspections: &mut Vec<Inspection>,
    ) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    let (proxy, server_name) = (Arc::clone(&self.proxy), server_name.to_owned());
                    inspections.push(blocking(move || proxy.inspect(ATTACKER, &server_name)).await??);
                }
                ended = clients.join_next() => if ended.is_none() {
                    return Ok(());
                },
            }
        }
    }

    pub(crate) async fn close(self) {
        if let Some(proxy) = Arc::into_inner(self.proxy) {
            proxy.shutdown().await;
        }
    }
}

fn component_of(name: &str) -> anyhow::Result<&'static [u8]> {
    let artifact = artifact(name).with_context(|| format!("guest {name} is missing from the corpus"))?;
    artifact.component.map_err(|why| anyhow::anyhow!("guest {name} was not built: {why}"))
}

fn tenant(
    name: &str,
    stand: &Stand,
    tls: TenantTls,
    upstream: SocketAddr,
    cache: CacheConfig,
    guest: Arc<dyn Guest>,
) -> TenantConfig {
    let server_names = vec![stand.server_name.clone()];
    let (upstream, bounds) = (Upstream::plain(upstream), TenantBounds::default());
    TenantConfig { name: name.to_owned(), server_names, tls, upstream, cache, guest, bounds }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("blocking work does not panic")
}
