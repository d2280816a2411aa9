//! `innkeeper attack`: the hostile corpus against a live proxy with two honest neighbours.
//!
//! Each attack is a round: a tenant with the hostile guest is added while TLS clients of the neighbours come back again and
//! again, is attacked through by clients of its own, is asked everything else a host may ask, and is removed. Before each
//! attack comes a quiet round with an honest guest in its place, so that the neighbours' times have something to be held
//! against.

mod report;
mod verdict;

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};
use innkeeper_artifacts::{ARTIFACTS, Artifact, artifact};
use innkeeper_proxy::{
    GuestLoader, Inspection, ListenerConfig, LoadError, Proxy, ProxyConfig, ProxyLimits, StartError, TenantBounds,
    TenantConfig, TenantStats, TenantTls, Upstream, Wasi,
    core::{CacheConfig, CacheStats, Clock, Guest, Limits, Owners, Property, Role, SizeClass},
};
use tokio::task::JoinSet;

use self::report::Row;
use crate::{
    compiler,
    loopback::{
        Progress, Stand,
        client::{self, Visits},
        upstream,
    },
};

/// Runs every hostile guest against a live proxy with two honest tenants, on loopback.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Connections of each neighbour in each round, half of them TLS 1.2 and half TLS 1.3.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(4..=100_000))]
    connections: u32,
    /// The guests or attacks to run, instead of all: such as `spin,trap in update`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// The honest tenants.
const NEIGHBOURS: [&str; 2] = ["rust-lru", "rust-ttl"];

/// The name of the tenant that attacks.
const ATTACKER: &str = "attacker";

/// A hostile guest, and the callback it is told to strike in, if it can be told.
#[derive(Clone, Copy)]
struct Attack {
    artifact: &'static Artifact,
    strike: Option<&'static str>,
}

impl Attack {
    fn name(&self) -> String {
        self.strike
            .map_or_else(|| self.artifact.name.to_owned(), |strike| format!("{} in {strike}", self.artifact.name))
    }
}

/// How far an attacker came, and what there is to tell of it.
enum Outcome {
    Refused(LoadError),
    NotOpened(StartError),
    Served { stats: Box<TenantStats>, ended: Box<CacheStats>, inspections: Vec<Inspection> },
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let runtime = compiler::runtime()?;
    let done = runtime.block_on(run_on(options));
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

async fn run_on(options: &Options) -> anyhow::Result<ExitCode> {
    let attacks = chosen(&options.only)?;
    let house = House::open().await?;
    let progress = Progress::new();
    let mut rows = Vec::new();
    for (number, attack) in attacks.iter().enumerate() {
        let name = attack.name();
        progress.say(&format!("{} of {}: {name}", number + 1, attacks.len()));
        let Ok(component) = attack.artifact.component else { continue };
        let quiet = house.round(component_of(NEIGHBOURS[0])?, None, options.connections).await?;
        let round = house.round(component, attack.strike, options.connections).await?;
        rows.push(Row::new(name, attack.artifact.what, &quiet, &round));
    }
    progress.clear();
    house.close().await;
    let mut out = std::io::stdout().lock();
    match options.json {
        true => writeln!(out, "{}", report::json(&rows)?)?,
        false => write!(out, "{}", report::table(&rows))?,
    }
    for attack in &attacks {
        if let (Err(why), false) = (attack.artifact.component, options.json) {
            writeln!(out, "left out: {}, since {why}", attack.name())?;
        }
    }
    out.flush()?;
    let is_clean = rows.iter().all(|row| row.failed == 0);
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(only: &[String]) -> anyhow::Result<Vec<Attack>> {
    let strikes = |artifact: &'static Artifact| -> Vec<Attack> {
        match artifact.strikes {
            [] => vec![Attack { artifact, strike: None }],
            strikes => strikes.iter().map(|strike| Attack { artifact, strike: Some(strike) }).collect(),
        }
    };
    let all: Vec<Attack> = ARTIFACTS.iter().filter(|artifact| artifact.is_hostile).flat_map(strikes).collect();
    let is_named = |attack: &Attack, name: &str| attack.artifact.name == name || attack.name() == name;
    if let Some(unknown) = only.iter().find(|name| !all.iter().any(|attack| is_named(attack, name))) {
        let hostile = ARTIFACTS.iter().filter(|artifact| artifact.is_hostile);
        let names: Vec<&str> = hostile.map(|artifact| artifact.name).collect();
        bail!("there is no hostile guest `{unknown}`: there are {}", names.join(", "));
    }
    let is_chosen = |attack: &Attack| only.is_empty() || only.iter().any(|name| is_named(attack, name));
    Ok(all.into_iter().filter(is_chosen).collect())
}

fn component_of(name: &str) -> anyhow::Result<&'static [u8]> {
    let artifact = artifact(name).with_context(|| format!("guest {name} is not among the artifacts"))?;
    artifact.component.map_err(|why| anyhow::anyhow!("guest {name} was not built: {why}"))
}

/// A proxy with two honest tenants.
struct House {
    proxy: Arc<Proxy>,
    loader: GuestLoader,
    clock: Clock,
    upstream: SocketAddr,
    neighbours: Vec<Stand>,
}

/// What came of one round.
struct Round {
    outcome: Outcome,
    neighbours: Visits,
    attackers: Visits,
}

impl House {
    async fn open() -> anyhow::Result<Self> {
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
        // A clock of its own, so that hours pass in a round. What calls take on a core is what they take.
        let clock = Clock::manual_at_work();
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
        let proxy = Proxy::start(config, Owners::new(threads, clock.clone())).await?;
        Ok(Self { proxy: Arc::new(proxy), loader, clock, upstream, neighbours })
    }

    /// One round with a guest as the third tenant.
    async fn round(
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

    /// Asks the attacker's guest what an operator would, until its clients have ended.
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

    async fn close(self) {
        if let Some(proxy) = Arc::into_inner(self.proxy) {
            proxy.shutdown().await;
        }
    }
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
