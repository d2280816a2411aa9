//! Ten thousand tenants: the memory of an idle cache, and the times to open it, to wake it, and to start all of them.
//!
//! Each part runs in a separate process, so that its memory is measured alone.

use std::{
    net::Ipv4Addr,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use innkeeper_artifacts::artifact;
use innkeeper_core::{
    CacheConfig, CacheState, Clock, Guest, Limits, Name, Owner, Owners, Reader, Role, Secret, SizeClass,
};
use innkeeper_proxy::{
    Compilation, GuestLoader, ListenerConfig, LoaderConfig, Proxy, ProxyConfig, ProxyLimits, TenantBounds,
    TenantConfig, TenantTls, Upstream, UpstreamTls, Wasi,
};
use innkeeper_work::SESSION;
use rustls::version::TLS13;
use serde::{Deserialize, Serialize};

use crate::{
    handshakes::{Certified, SERVER_NAME},
    proxied::visit,
    results::{Bound, Results, Row},
};

/// The number of different components, each compiled and mapped separately.
const DISTINCT: usize = 100;

/// The number of caches with a session, whose first lookup comes after all have been idle.
const SAMPLE: usize = 1_000;

/// The idle time after which a cache gives up its instances. The clock is manual.
const IDLE: Duration = Duration::from_secs(60);

/// Sessions of the cache that is built by replay.
const REPLAYED: u32 = 10_000;

/// The figures that the process of one part has measured.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Part {
    load_ns: Vec<f64>,
    open_ns: Vec<f64>,
    live_bytes: f64,
    idle_bytes: f64,
    first_lookup_ns: Vec<f64>,
    replay_ns: Vec<f64>,
    start_ns: Vec<f64>,
    tenant_bytes: f64,
    first_handshake_ns: Vec<f64>,
}

/// Runs every part with a number of tenants, each with a cache in both roles.
pub(crate) fn measure(tenants: u32, results: &mut Results) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    // The first only fills the compile cache.
    part("caches", 1, folder.path())?;
    let caches = part("caches", 2 * tenants, folder.path())?;
    let proxy = part("proxy", tenants, folder.path())?;
    let count = 2 * tenants;
    let mut row = |work: &str, caches: u32, ns: Vec<f64>| {
        results.rows.push(Row::new(work, "rust-lru", caches, 1, ns, Vec::new()));
    };
    row("load-compiled", DISTINCT as u32, caches.load_ns);
    row("open", count, caches.open_ns);
    row("first-lookup-idle", count, caches.first_lookup_ns);
    row("replay-10000", REPLAYED, caches.replay_ns);
    row("start-proxy", count, proxy.start_ns);
    row("first-handshake-idle", count, proxy.first_handshake_ns);
    let ns = |work: &str, sessions| results.ns(work, "rust-lru", sessions, 1);
    let (open, replay) = (ns("open", count), ns("replay-10000", REPLAYED));
    let kib = |bytes: f64| Some(bytes / 1024.0);
    results.target("KiB of an idle cache, its instance given up", kib(caches.idle_bytes), Bound::AtMost(64.0));
    results.target("KiB of an idle cache, its instance kept", kib(caches.live_bytes), Bound::AtMost(64.0));
    results.target("µs to open a cache from a warm compile cache", open.map(|ns| ns / 1e3), Bound::AtMost(100.0));
    results.target("ms to replay 10 000 sessions", replay.map(|ns| ns / 1e6), Bound::AtMost(20.0));
    results.note("KiB of a tenant of a proxy, both caches and TLS included", proxy.tenant_bytes / 1024.0);
    Ok(())
}

/// Starts the process of one part, and reads its figures.
fn part(name: &str, count: u32, folder: &Path) -> anyhow::Result<Part> {
    eprintln!("{name}: {count}");
    let program = std::env::current_exe()?;
    let mut command = Command::new(program);
    let output = command.args(["--part", name, &count.to_string()]).arg(folder).output()?;
    if !output.status.success() {
        bail!("{name} fails: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{name} says something else"))
}

/// The work of that process: it runs one part and prints its figures.
pub(crate) fn run_part(name: &str, count: u32, folder: &Path) -> anyhow::Result<()> {
    let part = match name {
        "caches" => caches(count, folder)?,
        "proxy" => proxy(count, folder)?,
        _ => bail!("there is no part {name}"),
    };
    serde_json::to_writer(std::io::stdout(), &part)?;
    Ok(())
}

fn loader(count: u32, folder: &Path) -> anyhow::Result<GuestLoader> {
    let compile_cache = Some(folder.to_owned());
    Ok(GuestLoader::with(LoaderConfig {
        compile_cache,
        instances_small: count + 16,
        ..LoaderConfig::new(Compilation::Trusted)
    })?)
}

type Loaded = (Vec<Arc<dyn Guest>>, Vec<f64>);

/// Loads the guests, each with a distinct section, and measures the time of each.
fn guests(loader: &GuestLoader) -> anyhow::Result<Loaded> {
    let component = artifact("rust-lru").and_then(|artifact| artifact.component.ok()).context("rust-lru is built")?;
    let load = |number: usize| {
        // A custom section: its id, its length, the length of its name, its name, and distinct contents.
        let mut own = component.to_vec();
        own.extend([0, 4, 1, b'n', b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]);
        let start = now();
        let guest = loader.load(&own, SizeClass::Small, Wasi::None, &Limits::new(SizeClass::Small))?;
        anyhow::Ok((guest, start.elapsed().as_nanos() as f64))
    };
    let loaded = (0..DISTINCT).map(load).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(loaded.into_iter().unzip())
}

fn config(tenant: u32, role: Role) -> CacheConfig {
    let limits = Limits::new(SizeClass::Small);
    CacheConfig { idle: Some(IDLE), ..CacheConfig::new(format!("tenant-{tenant}"), role, limits) }
}

type Opened = (Owner<Secret>, Reader<Secret>);

fn caches(count: u32, folder: &Path) -> anyhow::Result<Part> {
    let loader = loader(count, folder)?;
    let (guests, load_ns) = guests(&loader)?;
    let clock = Clock::manual();
    let owners = Owners::new(2, clock.clone());
    let before = resident_bytes()?;
    let mut open_ns = Vec::new();
    let mut opened: Vec<Opened> = Vec::new();
    for number in 0..count {
        let role = if number % 2 == 0 { Role::Server } else { Role::Client };
        let guest = Arc::clone(&guests[number as usize / 2 % DISTINCT]);
        let start = now();
        opened.push(owners.open(config(number / 2, role), guest)?);
        open_ns.push(start.elapsed().as_nanos() as f64);
    }
    let live_bytes = (resident_bytes()? - before) / f64::from(count);
    for (owner, _) in opened.iter_mut().take(SAMPLE) {
        owner.update(NAME, session())?;
    }
    fall_asleep(&clock, &mut opened)?;
    let idle_bytes = (resident_bytes()? - before) / f64::from(count);
    let first_lookup = |(_, reader): &Opened| {
        let start = now();
        let found = reader.lookup(NAME);
        let ns = start.elapsed().as_nanos() as f64;
        ensure!(found.is_some(), "the guest is there in time: {:?}", reader.stats());
        Ok(ns)
    };
    let first_lookup_ns = opened.iter().take(SAMPLE).map(first_lookup).collect::<anyhow::Result<Vec<f64>>>()?;
    drop(opened);
    let replay_ns = replay(&owners, &guests[0])?;
    Ok(Part { load_ns, open_ns, live_bytes, idle_bytes, first_lookup_ns, replay_ns, ..Part::default() })
}

const NAME: Name<'static> = Name { partial: b"bench.example", id: b"0123456789abcdef0123456789abcdef" };

fn session() -> Secret {
    Secret::new(SESSION.to_vec())
}

/// Moves the clock until every instance has been given up. The owner thread sees the last calls at its first look, the
/// silence since at its second, and then tells each instance.
fn fall_asleep(clock: &Clock, opened: &mut [Opened]) -> anyhow::Result<()> {
    for _ in 0..16 {
        clock.advance(IDLE.as_millis() as u64);
        opened.iter_mut().for_each(|(owner, _)| owner.settle());
        // A message keeps a cache awake, so it is left alone for a moment.
        for (owner, _) in opened.iter() {
            for _ in 0..1_000 {
                if owner.stats().state == CacheState::Idle {
                    break;
                }
                std::thread::yield_now();
            }
        }
        if opened.iter().all(|(owner, _)| owner.stats().state == CacheState::Idle) {
            opened.iter_mut().for_each(|(owner, _)| owner.settle());
            return Ok(());
        }
    }
    bail!("a cache does not fall asleep")
}

/// The times of the first lookup in an idle cache that has many sessions to replay.
fn replay(owners: &Owners, guest: &Arc<dyn Guest>) -> anyhow::Result<Vec<f64>> {
    let mut config = config(0, Role::Server);
    // The reader waits as long as necessary.
    config.limits.read.time = Duration::from_secs(10);
    let mut opened = [owners.open(config, Arc::clone(guest))?];
    for number in 0..REPLAYED {
        let id = number.to_be_bytes();
        opened[0].0.update(Name { partial: b"bench.example", id: &id }, session())?;
    }
    let mut replay_ns = Vec::new();
    for _ in 0..21 {
        fall_asleep(owners.clock(), &mut opened)?;
        let start = now();
        let found = opened[0].1.lookup(Name { partial: b"bench.example", id: &7_u32.to_be_bytes() });
        replay_ns.push(start.elapsed().as_nanos() as f64);
        ensure!(found.is_some(), "the session has been replayed");
    }
    Ok(replay_ns)
}

fn proxy(tenants: u32, folder: &Path) -> anyhow::Result<Part> {
    let certified = Certified::new(false)?;
    let before = resident_bytes()?;
    let start = now();
    let (guests, _) = guests(&loader(2 * tenants, folder)?)?;
    let tenant = |number: u32| {
        let tls = UpstreamTls {
            server_name: SERVER_NAME.try_into()?,
            roots: certified.chain.clone().into(),
            certificate: None,
        };
        // Nothing listens there: the handshake ends before the proxy connects.
        let upstream = Upstream { tls: Some(tls), ..Upstream::plain("127.0.0.1:9") };
        Ok(TenantConfig {
            name: format!("tenant-{number}"),
            server_names: vec![format!("tenant-{number}.{SERVER_NAME}")],
            tls: TenantTls::new(certified.chain.clone(), certified.key()),
            upstream,
            cache: config(number, Role::Server),
            guest: Arc::clone(&guests[number as usize % DISTINCT]),
            bounds: TenantBounds::default(),
        })
    };
    let config = ProxyConfig {
        listeners: vec![(ListenerConfig::new((Ipv4Addr::LOCALHOST, 0).into()), None)],
        limits: ProxyLimits::default(),
        maxima: None,
        tenants: (0..tenants).map(tenant).collect::<anyhow::Result<Vec<_>>>()?,
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let proxy = runtime.block_on(Proxy::start(config, Owners::with_defaults()))?;
    let start_ns = vec![start.elapsed().as_nanos() as f64];
    let tenant_bytes = (resident_bytes()? - before) / f64::from(tenants);
    let client = Arc::new(certified.client(&TLS13, None)?);
    let first_handshake = |number: u32| {
        let start = now();
        visit(proxy.local_address(), &client, &format!("tenant-{number}.{SERVER_NAME}"))?;
        anyhow::Ok(start.elapsed().as_nanos() as f64)
    };
    let first_handshake_ns = (0..tenants.min(200)).map(first_handshake).collect::<anyhow::Result<Vec<f64>>>()?;
    runtime.block_on(proxy.shutdown());
    Ok(Part { start_ns, tenant_bytes, first_handshake_ns, ..Part::default() })
}

/// The resident memory of this process, in bytes.
fn resident_bytes() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line.and_then(|line| line.split_whitespace().next()).context("VmRSS is told")?.parse()?;
    Ok(kib * 1024.0)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}
