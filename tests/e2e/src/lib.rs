//! A proxy on loopback with one tenant for each guest that a test names, and the clients that nobody here wrote.

mod client_hello;
mod programs;
mod upstream;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use innkeeper_artifacts::artifact;
use innkeeper_proxy::{
    GuestLoader, Proxy, ProxyConfig, ProxyLimits, TenantConfig, TenantStats, Wasi,
    core::{CacheConfig, Clock, Guest, Limits, NativeLru, Owners, Role, SizeClass},
    rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub use crate::{
    client_hello::{ClientHello, first_record},
    programs::{Ended, curl, openssl, python},
    upstream::{ANSWER, REQUEST},
};

/// The guests that keep the contract. Native code is held to the same.
pub const HONEST: [&str; 4] = ["native-lru", "rust-lru", "rust-ttl", "c-lru"];

/// The guests that break it.
pub const HOSTILE: [&str; 3] = ["spin", "trap", "liar"];

/// A running proxy. The tenant of guest `G` serves `G.example` and `other.G.example`.
pub struct House {
    runtime: Runtime,
    proxy: Option<Proxy>,
    address: SocketAddr,
    clock: Clock,
    folder: TempDir,
}

impl House {
    /// Starts a proxy with a tenant for each guest.
    ///
    /// # Panics
    /// When a guest was left out of the build, or anything does not start.
    pub fn open(guests: &[&str]) -> Self {
        let runtime = Runtime::new().expect("the runtime starts");
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let upstream = upstream::start();
        let loader = GuestLoader::new().expect("the engine starts");
        let mut authorities = String::new();
        let tenants = guests.iter().map(|guest| tenant(&loader, guest, upstream, &mut authorities)).collect();
        std::fs::write(folder.path().join("ca.pem"), authorities).expect("the folder can be written");
        let clock = Clock::manual();
        let config =
            ProxyConfig { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), limits: ProxyLimits::default(), tenants };
        let owners = Owners::new(2, clock.clone());
        let proxy = runtime.block_on(Proxy::start(config, owners)).expect("the proxy starts");
        Self { runtime, address: proxy.local_address(), proxy: Some(proxy), clock, folder }
    }

    /// Where the proxy listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A file that trusts every tenant's certificate.
    pub fn authorities(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A folder that goes with the house.
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
    /// When there is no such tenant.
    pub fn settled(&mut self, guest: &str) -> TenantStats {
        let proxy = self.proxy.as_mut().expect("the proxy runs until the house is closed");
        proxy.settle();
        let stats = proxy.stats().into_iter().find(|(name, _)| name == guest);
        stats.expect("the house was opened with this guest").1
    }

    /// Shuts the proxy down, and says how many connections it cut off.
    ///
    /// # Panics
    /// Never: a house is closed once.
    pub fn close(mut self) -> usize {
        let proxy = self.proxy.take().expect("a house is closed once");
        self.runtime.block_on(proxy.shutdown())
    }
}

fn tenant(loader: &GuestLoader, guest: &str, upstream: SocketAddr, authorities: &mut String) -> TenantConfig {
    let mut limits = Limits::new(SizeClass::Small);
    // Nothing may be missed here because the machine is busy.
    limits.read.time = Duration::from_secs(10);
    let server_names = vec![format!("{guest}.example"), format!("other.{guest}.example")];
    let made = rcgen::generate_simple_self_signed(server_names.clone()).expect("a certificate can be made");
    authorities.push_str(&made.cert.pem());
    TenantConfig {
        name: guest.to_owned(),
        server_names,
        certificates: vec![CertificateDer::from(made.cert)],
        key: PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der())),
        upstream,
        cache: CacheConfig::new(guest, Role::Server, limits.clone()),
        guest: load(loader, guest, &limits),
    }
}

fn load(loader: &GuestLoader, guest: &str, limits: &Limits) -> Arc<dyn Guest> {
    if guest == "native-lru" {
        return Arc::new(NativeLru);
    }
    let artifact = artifact(guest).unwrap_or_else(|| panic!("there is no guest {guest}"));
    let component = artifact.component.unwrap_or_else(|why| panic!("{guest} was not built: {why}"));
    loader.load(component, Wasi::None, limits).unwrap_or_else(|error| panic!("{guest} does not load: {error}"))
}
