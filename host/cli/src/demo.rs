//! `innkeeper demo`: real TLS clients resume through untrusted guests.
//!
//! Starts an upstream and the proxy on loopback with a tenant for each guest of `guests/artifacts`, hostile ones among
//! them. Drives TLS clients against it, and prints the results.

mod report;

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use innkeeper_artifacts::{ARTIFACTS, Artifact};
use innkeeper_program::{
    compiler,
    loopback::{
        Stand,
        client::{self, Visits},
        upstream,
    },
    progress::Progress,
};
use innkeeper_proxy::{
    GuestLoader, ListenerConfig, Proxy, ProxyConfig, ProxyLimits, TenantBounds, TenantConfig, Upstream, Wasi,
    core::{CacheConfig, Limits, Owners, Role, SizeClass},
};
use tokio::time::Instant;

use self::report::Row;

/// Shows real TLS clients that resume through untrusted guests, on loopback.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Connections for each tenant, half of them TLS 1.2 and half TLS 1.3.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    connections: u32,
    /// The tenants to run, instead of all: such as `rust-lru,c-lru`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Stay up until interrupted, to try the tenants by hand.
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let runtime = compiler::runtime()?;
    let done = runtime.block_on(run_on(options));
    // A connection that hangs on an upstream must not keep the demo.
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

/// A tenant of the demo: its guest and its stand.
type Stall = (&'static Artifact, Stand);

async fn run_on(options: &Options) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let artifacts = chosen(&options.only)?;
    let progress = Progress::new();
    progress.say("compiling guests");
    let upstream = upstream::start().await?;
    let (stands, tenants) = stands(&artifacts, upstream)?;
    let config = ProxyConfig {
        listeners: vec![(ListenerConfig::new((Ipv4Addr::LOCALHOST, 0).into()), None)],
        limits: ProxyLimits { drain: Duration::from_secs(2), ..ProxyLimits::default() },
        maxima: None,
        tenants,
    };
    let proxy = Proxy::start(config, Owners::with_defaults()).await?;
    let visits = visit(&stands, &proxy, options, &progress).await?;
    let stats = proxy.stats();
    let rows: Vec<Row> = stands
        .iter()
        .zip(&visits)
        .zip(&stats)
        .map(|(((artifact, _), visits), (_, stats))| Row::new(artifact, visits, stats))
        .collect();
    let wall = start.elapsed();
    progress.clear();
    let mut out = std::io::stdout().lock();
    match options.json {
        true => writeln!(out, "{}", report::json(&rows, wall)?)?,
        false => {
            write!(out, "{}", report::table(&rows, wall))?;
            report::left_out(&mut out, &artifacts)?;
            report::commands(
                &mut out,
                &proxy,
                stands.iter().map(|(_, stand)| stand.server_name.as_str()),
                options.keep,
            )?;
        }
    }
    out.flush()?;
    if options.keep {
        tokio::signal::ctrl_c().await.context("cannot wait for the interrupt")?;
    }
    proxy.shutdown().await;
    let is_clean = rows.iter().all(|row| row.failed == 0);
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(only: &[String]) -> anyhow::Result<Vec<&'static Artifact>> {
    let names: Vec<&str> = ARTIFACTS.iter().map(|artifact| artifact.name).collect();
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        bail!("unknown tenant `{unknown}`; known tenants: {}", names.join(", "));
    }
    let is_chosen = |artifact: &&Artifact| only.is_empty() || only.iter().any(|chosen| chosen == artifact.name);
    Ok(ARTIFACTS.iter().filter(is_chosen).collect())
}

/// Loads every guest that was built, and makes a tenant of it with a certificate of its own.
fn stands(artifacts: &[&'static Artifact], upstream: SocketAddr) -> anyhow::Result<(Vec<Stall>, Vec<TenantConfig>)> {
    let loader = GuestLoader::new(compiler::apart())?;
    let limits = Limits::new(SizeClass::Small);
    let mut stands = Vec::new();
    let mut tenants = Vec::new();
    for artifact in artifacts {
        let Ok(component) = artifact.component else { continue };
        let guest = loader
            .load(component, SizeClass::Small, Wasi::None, &limits)
            .with_context(|| format!("guest {}", artifact.name))?;
        let (stand, tls) = Stand::new(artifact.name)?;
        tenants.push(TenantConfig {
            name: artifact.name.to_owned(),
            server_names: vec![stand.server_name.clone()],
            tls,
            upstream: Upstream::plain(upstream),
            cache: CacheConfig::new(artifact.name, Role::Server, limits.clone()),
            guest,
            bounds: TenantBounds::default(),
        });
        stands.push((*artifact, stand));
    }
    Ok((stands, tenants))
}

/// Drives the clients of all tenants at once, each tenant's one after another for each TLS version.
async fn visit(
    stands: &[Stall],
    proxy: &Proxy,
    options: &Options,
    progress: &Progress,
) -> anyhow::Result<Vec<Arc<Visits>>> {
    let mut all = Vec::new();
    let mut clients = tokio::task::JoinSet::new();
    for (_, stand) in stands {
        let visits = Arc::new(Visits::default());
        for version in client::VERSIONS {
            let client = client::Client::new(version, stand.roots()?, &stand.server_name, proxy.local_address())?;
            let visits = Arc::clone(&visits);
            let connections = options.connections.div_ceil(2);
            clients.spawn(async move { client.visit(connections, &visits).await });
        }
        all.push(visits);
    }
    let total = u64::from(options.connections.div_ceil(2)) * 2 * stands.len() as u64;
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let made: u64 = all.iter().map(|visits| visits.made()).sum();
                progress.say(&format!("{made} of {total} connections"));
            }
            ended = clients.join_next() => match ended {
                Some(ended) => ended.map_err(|error| anyhow!("a client panicked: {error}"))?,
                None => return Ok(all),
            },
        }
    }
}
