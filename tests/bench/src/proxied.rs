//! Resumed handshakes through the proxy: a tenant with a guest, and one with rustls's own store.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, OnceLock},
    time::Instant,
};

use anyhow::{Context as _, ensure};
use innkeeper_core::{CacheConfig, Clock, Owners, Role};
use innkeeper_proxy::{
    ListenerConfig, Proxy, ProxyConfig, ProxyLimits, Scoped, ServerSessions, SessionStores, TenantBounds, TenantCaches,
    TenantConfig, TenantTls, Upstream,
};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ServerConfig, Stream,
    server::ServerSessionMemoryCache,
    version::{TLS12, TLS13},
};

use crate::{
    cache,
    handshakes::{Certified, SERVER_NAME},
    results::{Bound, Results, Row},
};

/// Connections of each client in a round.
const CONNECTIONS: usize = 40;

/// Clients at a time.
const CLIENTS: usize = 2;

const TENANTS: [&str; 2] = ["rust-lru", "rustls-store"];

/// Measures both tenants in turn, in TLS 1.2 and 1.3.
pub(crate) fn measure(rounds: usize, results: &mut Results) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let certified = Certified::new(false)?;
    let proxies = TENANTS.map(|tenant| open(&runtime, tenant, &certified));
    let [guest, own] = proxies;
    let proxies = [guest?, own?];
    for (version, name) in [(&TLS12, "tls12"), (&TLS13, "tls13")] {
        let mut samples = [Vec::new(), Vec::new()];
        let mut ratios = Vec::new();
        let clients = (0..CLIENTS).map(|_| certified.client(version, None).map(Arc::new));
        let clients = clients.collect::<anyhow::Result<Vec<_>>>()?;
        for number in 0..rounds {
            // The two take turns to go first.
            let order = if number % 2 == 0 { [0, 1] } else { [1, 0] };
            for place in order {
                samples[place].push(round(proxies[place].local_address(), &clients)?);
            }
            let [guest, own] = samples.each_ref().map(|samples| samples[number]);
            ratios.push(own / guest);
        }
        ratios.sort_by(f64::total_cmp);
        let work = format!("proxied-{name}-resumed");
        for (tenant, samples) in TENANTS.iter().zip(samples) {
            results.rows.push(Row::new(&work, tenant, 0, CLIENTS as u32, samples, Vec::new()));
        }
        let name = format!("resumed handshakes/s through the proxy, {name} / with rustls's own store");
        results.target(&name, Some(ratios[ratios.len() / 2]), Bound::AtLeast(0.98));
    }
    proxies.into_iter().for_each(|proxy| _ = runtime.block_on(proxy.shutdown()));
    Ok(())
}

/// A proxy with one tenant.
fn open(runtime: &tokio::runtime::Runtime, tenant: &str, certified: &Certified) -> anyhow::Result<Proxy> {
    let engine = cache::engine(1_000, 4)?;
    let tls = TenantTls::new(certified.chain.clone(), certified.key());
    let stores: Arc<dyn SessionStores> = match tenant {
        "rustls-store" => Arc::new(RustlsStore::default()),
        _ => Arc::new(TenantCaches),
    };
    let tenant = TenantConfig {
        name: tenant.to_owned(),
        server_names: vec![SERVER_NAME.to_owned()],
        tls,
        upstream: Upstream::plain(upstream()?),
        cache: CacheConfig::new(tenant, Role::Server, cache::limits(1_000)),
        guest: cache::guest(&engine, "rust-lru", 1_000)?,
        bounds: TenantBounds::default(),
    };
    let config = ProxyConfig {
        listeners: vec![(ListenerConfig::new((Ipv4Addr::LOCALHOST, 0).into()), None)],
        limits: ProxyLimits::default(),
        maxima: None,
        tenants: vec![tenant],
    };
    Ok(runtime.block_on(Proxy::start_with(config, Owners::new(1, Clock::system()), stores))?)
}

/// Sessions in the store of rustls, instead of the tenant's cache. All connections share one configuration with it.
#[derive(Default)]
struct RustlsStore(OnceLock<Arc<ServerConfig>>);

impl SessionStores for RustlsStore {
    fn scoped(&self, _: Option<&ServerSessions>, config: &Arc<ServerConfig>, _: &str) -> Scoped {
        let with_store = || {
            let mut config = ServerConfig::clone(config);
            config.session_storage = ServerSessionMemoryCache::new(10_000);
            Arc::new(config)
        };
        Scoped::without_cache(Arc::clone(self.0.get_or_init(with_store)))
    }
}

/// Answers each byte with itself, until the program ends.
fn upstream() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut byte = [0];
            // A client that has left needs no answer.
            let _ = stream.read_exact(&mut byte).and_then(|()| stream.write_all(&byte));
        }
    });
    Ok(address)
}

/// The time per connection, from the first to the last, with all clients at once.
fn round(address: SocketAddr, clients: &[Arc<ClientConfig>]) -> anyhow::Result<f64> {
    // The first connection to a proxy creates its session.
    clients.iter().try_for_each(|client| echo(address, client).map(|_| ()))?;
    let start = now();
    let resumed = std::thread::scope(|scope| {
        let run = |client| {
            scope.spawn(move || {
                let kinds = (0..CONNECTIONS).map(|_| echo(address, client));
                kinds.collect::<anyhow::Result<Vec<HandshakeKind>>>()
            })
        };
        let running: Vec<_> = clients.iter().map(run).collect();
        let mut resumed = 0;
        for thread in running {
            let kinds = thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
            resumed += kinds.iter().filter(|kind| **kind == HandshakeKind::Resumed).count();
        }
        anyhow::Ok(resumed)
    })?;
    let connections = clients.len() * CONNECTIONS;
    ensure!(resumed * 100 >= connections * 98, "{resumed} of {connections} were resumed");
    Ok(start.elapsed().as_nanos() as f64 / connections as f64)
}

/// Makes only a handshake.
pub(crate) fn visit(address: SocketAddr, client: &Arc<ClientConfig>, server_name: &str) -> anyhow::Result<()> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    let mut connection = ClientConnection::new(Arc::clone(client), server_name.to_owned().try_into()?)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    Ok(())
}

/// Makes one connection: handshake, a byte there and back, end.
fn echo(address: SocketAddr, client: &Arc<ClientConfig>) -> anyhow::Result<HandshakeKind> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    let mut connection = ClientConnection::new(Arc::clone(client), SERVER_NAME.try_into()?)?;
    let mut stream = Stream::new(&mut connection, &mut socket);
    stream.write_all(b"x")?;
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    connection.handshake_kind().context("the handshake has ended")
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}
