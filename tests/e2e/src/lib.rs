//! A proxy on loopback with one tenant for each guest that a test names, and independent clients.

pub mod soak;

mod client_hello;
mod flaky;
mod gated;
mod programs;
mod served;
mod servers;
mod upstream;

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use innkeeper_corpus::artifact;
use innkeeper_proxy::{
    Compilation, GuestLoader, ListenerConfig, LoadError, Proxy, ProxyConfig, ProxyLimits, TenantBounds, TenantConfig,
    TenantStats, TenantTls, Upstream, Wasi,
    core::{CacheConfig, Clock, Guest, Limits, NativeLru, Owners, Role, SizeClass},
    rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub use crate::{
    client_hello::{ClientHello, first_record},
    flaky::flaky,
    gated::Gate,
    programs::{Ended, Reachable, Waiting, address_in, curl, many, openssl, python, reconnects, run},
    served::{Folder, Served, TOKEN},
    servers::TlsUpstream,
    upstream::{ANSWER, REQUEST},
};

/// The guests that keep the contract. Native code has to keep it as well.
pub const HONEST: [&str; 4] = ["native-lru", "rust-lru", "rust-ttl", "c-lru"];

/// The guests that break it.
pub const HOSTILE: [&str; 3] = ["spin", "trap", "liar"];

/// A running proxy. The tenant of guest `G` serves `G.example` and `other.G.example`.
pub struct House {
    runtime: Runtime,
    proxy: Option<Proxy>,
    address: SocketAddr,
    loader: GuestLoader,
    tls: HashMap<String, TenantTls>,
    upstream: SocketAddr,
    clock: Clock,
    folder: TempDir,
}

impl House {
    /// Starts a proxy with a tenant for each guest.
    ///
    /// # Panics
    /// If a guest was left out of the build, or anything does not start.
    pub fn open(guests: &[&str]) -> Self {
        Self::open_with(guests, |_| {})
    }

    /// Starts a proxy with a tenant for each guest, changed as a test needs it.
    ///
    /// # Panics
    /// If a guest was left out of the build, or anything does not start.
    pub fn open_with(guests: &[&str], change: impl Fn(&mut TenantConfig)) -> Self {
        let runtime = Runtime::new().expect("the runtime starts");
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let upstream = upstream::start();
        let loader = GuestLoader::new(Compilation::Trusted).expect("the engine starts");
        let mut authorities = String::new();
        let mut tenants: Vec<TenantConfig> =
            guests.iter().map(|guest| tenant(&loader, guest, upstream, &mut authorities)).collect();
        let tls = tenants.iter().map(|tenant| (tenant.name.clone(), tenant.tls.clone())).collect();
        tenants.iter_mut().for_each(change);
        std::fs::write(folder.path().join("ca.pem"), authorities).expect("the folder can be written");
        let clock = Clock::manual();
        let config = ProxyConfig {
            listeners: vec![(ListenerConfig::new((Ipv4Addr::LOCALHOST, 0).into()), None)],
            limits: ProxyLimits::default(),
            maxima: None,
            tenants,
        };
        let owners = Owners::new(2, clock.clone());
        let proxy = runtime.block_on(Proxy::start(config, owners)).expect("the proxy starts");
        Self { runtime, address: proxy.local_address(), proxy: Some(proxy), loader, tls, upstream, clock, folder }
    }

    /// The proxy's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The proxy.
    ///
    /// # Panics
    /// Never: it runs until the house is closed.
    pub fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("the proxy runs until the house is closed")
    }

    /// The guest with a name, ready for an upgrade.
    ///
    /// # Errors
    /// The reason of the refusal at load.
    ///
    /// # Panics
    /// If the guest is unknown, or was left out of the build.
    pub fn guest(&self, name: &str) -> Result<Arc<dyn Guest>, LoadError> {
        load(&self.loader, name, &limits())
    }

    /// A tenant's TLS settings before a test changed them: only its own certificate.
    ///
    /// # Panics
    /// If the tenant is unknown.
    pub fn tls(&self, guest: &str) -> TenantTls {
        self.tls.get(guest).expect("the house was opened with this guest").clone()
    }

    /// The upstream, which answers one line.
    pub fn upstream(&self) -> Upstream {
        Upstream::plain(self.upstream)
    }

    /// Runs something in the proxy's runtime.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// A file that trusts every tenant's certificate.
    pub fn authorities(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A folder that is removed with the proxy.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The clock of every cache.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A tenant's counters, once every session that has been stored so far has reached its guest.
    ///
    /// # Panics
    /// If the tenant is unknown.
    pub fn settled(&mut self, guest: &str) -> TenantStats {
        let proxy = self.proxy();
        proxy.settle();
        let stats = proxy.stats().into_iter().find(|(name, _)| name == guest);
        stats.expect("the house was opened with this guest").1
    }

    /// Shuts the proxy down, and returns the number of connections that it cut off.
    ///
    /// # Panics
    /// Never: a house is closed once.
    pub fn close(mut self) -> usize {
        let proxy = self.proxy.take().expect("a house is closed once");
        self.runtime.block_on(proxy.shutdown())
    }
}

fn tenant(loader: &GuestLoader, guest: &str, upstream: SocketAddr, authorities: &mut String) -> TenantConfig {
    let limits = limits();
    let server_names = vec![format!("{guest}.example"), format!("other.{guest}.example")];
    let made = rcgen::generate_simple_self_signed(server_names.clone()).expect("a certificate can be made");
    authorities.push_str(&made.cert.pem());
    TenantConfig {
        name: guest.to_owned(),
        server_names,
        tls: TenantTls::new(
            vec![CertificateDer::from(made.cert)],
            PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der())),
        ),
        upstream: Upstream::plain(upstream),
        cache: CacheConfig::new(guest, Role::Server, limits.clone()),
        guest: load(loader, guest, &limits).unwrap_or_else(|error| panic!("{guest} does not load: {error}")),
        bounds: TenantBounds::default(),
    }
}

fn limits() -> Limits {
    let mut limits = Limits::new(SizeClass::Small);
    // Neither a busy machine nor the manual clock may cause a miss.
    limits.read.time = Duration::from_secs(10);
    limits.compile = Duration::from_secs(120);
    limits.fuel_burst = 1 << 50;
    limits.time_burst = Duration::from_secs(3_600);
    limits
}

fn load(loader: &GuestLoader, guest: &str, limits: &Limits) -> Result<Arc<dyn Guest>, LoadError> {
    if guest == "native-lru" {
        return Ok(Arc::new(NativeLru));
    }
    let artifact = artifact(guest).unwrap_or_else(|| panic!("there is no guest {guest}"));
    let component = artifact.component.unwrap_or_else(|why| panic!("{guest} was not built: {why}"));
    loader.load(component, SizeClass::Small, Wasi::None, limits)
}
