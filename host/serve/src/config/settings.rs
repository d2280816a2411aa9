//! A configuration that has been checked: values, and no files any more.

use std::{collections::BTreeSet, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use innkeeper_proxy::{
    ListenerConfig, LoaderConfig, ProxyLimits, TenantBounds, TenantTls, Upstream, Wasi,
    core::{Limits, Overflow, Property, SizeClass},
};
use zeroize::Zeroizing;

use super::{
    At, Problem, Problems,
    document::Document,
    file::LogFormat,
    files::{Bytes, Digest},
    problem::Notes,
};

/// What is to run.
pub struct Settings {
    /// Where to listen, in the order of the file.
    pub listeners: Vec<(ListenAt, ListenerConfig)>,
    /// The bounds on connections.
    pub limits: ProxyLimits,
    /// How long a shutdown goes on accepting.
    pub drain_delay: Duration,
    /// The admin listener, if there is to be one.
    pub admin: Option<AdminSettings>,
    /// What is logged.
    pub log: LogSettings,
    /// How guests are compiled and how much room there is for them.
    pub loader: LoaderConfig,
    /// The threads that own caches; none for the default.
    pub owner_threads: Option<usize>,
    /// Whether changes of files are taken over at once.
    pub watch: bool,
    /// The tenants that can be served, in the order of the file.
    pub tenants: Vec<TenantSettings>,
    /// The tenants that something is wrong with.
    pub troubled: Vec<TenantProblems>,
    /// The configuration file and every file that it names.
    pub files: BTreeSet<PathBuf>,
    pub(crate) source: Source,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys and tokens stay out of it.
        let tenants: Vec<&str> = self.tenants.iter().map(|tenant| tenant.name.as_str()).collect();
        f.debug_struct("Settings")
            .field("listeners", &self.listeners)
            .field("tenants", &tenants)
            .finish_non_exhaustive()
    }
}

/// What a listener listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListenAt {
    /// An address.
    Address(SocketAddr),
    /// A socket that systemd hands over, by its number.
    Systemd(usize),
}

/// The admin listener.
#[derive(Clone)]
pub struct AdminSettings {
    /// Its address.
    pub address: SocketAddr,
    /// What actions want; none, if there are to be no actions.
    pub token: Option<Zeroizing<String>>,
    /// Names by which it may be asked for, besides `localhost` and addresses.
    pub hosts: Vec<String>,
    /// How many tenants have metrics of their own.
    pub metrics_tenants: usize,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// For people or for programs.
    pub format: LogFormat,
    /// Which events.
    pub filter: String,
    /// Whether each handshake is.
    pub handshakes: bool,
}

/// What is wrong with one tenant, and with no other.
#[derive(Clone, Debug)]
pub struct TenantProblems {
    /// Its name.
    pub tenant: String,
    /// What it concerns.
    pub part: Part,
    /// All of it.
    pub problems: Problems,
}

/// A part of a tenant's settings that can be of use without the other, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Names, certificates, upstream, bounds of connections. Without them a tenant is not served; one that is served already is
    /// kept as it was.
    Front,
    /// Component, limits, properties. Without them a tenant is served, without a guest; one that has a guest keeps it.
    Guest,
}

/// One tenant.
#[derive(Clone)]
pub struct TenantSettings {
    /// Its name.
    pub name: String,
    /// The server names it serves, in lower case.
    pub server_names: Vec<String>,
    /// How it speaks TLS with its clients.
    pub tls: TenantTls,
    /// Where its connections go.
    pub upstream: Upstream,
    /// What its connections may take.
    pub bounds: TenantBounds,
    /// What decides about its sessions; none if something is wrong with it, as [`Settings::troubled`] tells.
    pub guest: Option<GuestSettings>,
    /// Of all of this, the component aside. Two that are alike are set up alike.
    pub digest: Digest,
}

impl TenantSettings {
    /// How many caches it has: one in the server role, and one in the client role for an upstream that speaks TLS.
    pub fn caches(&self) -> usize {
        1 + usize::from(self.upstream.tls.is_some())
    }

    /// How many instances its guest has.
    pub fn instances(&self) -> usize {
        self.guest.as_ref().map_or(0, |guest| self.caches().saturating_mul(guest.readers))
    }

    /// What its guests, its vaults and early data may take in memory, in bytes.
    pub fn memory_bytes_max(&self) -> u64 {
        let one = self.guest.as_ref().map_or(0, |GuestSettings { readers, limits, .. }| {
            readers.saturating_mul(limits.memory_bytes).saturating_add(limits.vault_bytes)
        });
        // Kept until there is an upstream to give it to.
        let early_data = self.bounds.connections.saturating_mul(self.tls.early_data_bytes as usize);
        self.caches().saturating_mul(one).saturating_add(early_data) as u64
    }
}

/// A component, how it is loaded, and what it may.
#[derive(Clone)]
pub struct GuestSettings {
    /// The file.
    pub path: PathBuf,
    /// How much room it needs.
    pub class: SizeClass,
    /// Whether it may import WASI.
    pub wasi: Wasi,
    /// What the guest and the vaults may take.
    pub limits: Limits,
    /// What goes when a vault is full.
    pub overflow: Overflow,
    /// Settings for the guest, in their order.
    pub properties: Vec<Property>,
    /// How many instances serve lookups.
    pub readers: usize,
    /// How long the guest may be asked nothing before its instances are given up; none for ever.
    pub idle: Option<Duration>,
    /// Of all of this, the component and what else the tenant's table says. Two that are alike need no change.
    pub digest: Digest,
    pub(crate) component: Bytes,
}

impl GuestSettings {
    /// The digest of the component's bytes.
    pub fn component_digest(&self) -> Digest {
        self.component.digest
    }
}

/// The text that settings come from, to tell where a problem is that shows later.
#[derive(Clone, Default)]
pub(crate) struct Source {
    pub(crate) file: PathBuf,
    pub(crate) text: String,
}

impl Source {
    /// What is wrong with a field.
    pub(crate) fn problem(&self, at: &At, what: &str, fix: &str) -> Problem {
        let Ok(document) = Document::parse(&self.text) else {
            let (file, field) = (self.file.clone(), at.to_string());
            return Problem { file, line: None, field, value: None, what: what.into(), fix: fix.into() };
        };
        let mut notes = Notes::new(self.file.clone(), &document);
        notes.add(at, what, fix);
        notes.into_first().expect("it has just been noted")
    }
}
