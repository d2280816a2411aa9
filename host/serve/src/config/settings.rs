//! A checked configuration: values instead of files.

use std::{collections::BTreeSet, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use innkeeper_proxy::{
    ListenerConfig, LoaderConfig, ProxyLimits, TenantBounds, TenantTls, Upstream, Wasi,
    core::{Limits, Overflow, Property, SizeClass},
};
use zeroize::Zeroizing;

use super::{
    document::{At, Document},
    file::LogFormat,
    files::{Bytes, Digest},
    problem::{Notes, Problem, TenantProblems},
};

/// A checked configuration.
pub struct Settings {
    /// The listeners, in the order of the file.
    pub listeners: Vec<(ListenAt, ListenerConfig)>,
    /// The bounds on connections.
    pub limits: ProxyLimits,
    /// The time that a shutdown goes on accepting.
    pub drain_delay: Duration,
    /// The admin listener, if it is enabled.
    pub admin: Option<AdminSettings>,
    /// The log.
    pub log: LogSettings,
    /// The compiler of guests, and the room for their instances.
    pub loader: LoaderConfig,
    /// The threads that own caches; None for the default.
    pub owner_threads: Option<usize>,
    /// True to take over changes of files at once.
    pub watch: bool,
    /// The tenants that can be served, in the order of the file.
    pub tenants: Vec<TenantSettings>,
    /// The tenants with problems.
    pub troubled: Vec<TenantProblems>,
    /// The configuration file and every file that it names.
    pub files: BTreeSet<PathBuf>,
    pub(crate) source: Source,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys and tokens are left out.
        let tenants: Vec<&str> = self.tenants.iter().map(|tenant| tenant.name.as_str()).collect();
        f.debug_struct("Settings")
            .field("listeners", &self.listeners)
            .field("tenants", &tenants)
            .finish_non_exhaustive()
    }
}

/// The source of a listener's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListenAt {
    /// An address.
    Address(SocketAddr),
    /// A socket from systemd, by its number.
    Systemd(usize),
}

/// The admin listener.
#[derive(Clone)]
pub struct AdminSettings {
    /// Its address.
    pub address: SocketAddr,
    /// The token for actions; None turns actions off.
    pub token: Option<Zeroizing<String>>,
    /// The names it answers to, besides `localhost` and addresses.
    pub hosts: Vec<String>,
    /// The number of tenants with metrics of their own.
    pub metrics_tenants: usize,
}

/// The log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The format of the lines.
    pub format: LogFormat,
    /// The events to log.
    pub filter: String,
    /// True to log each handshake.
    pub handshakes: bool,
}

/// One tenant.
#[derive(Clone)]
pub struct TenantSettings {
    /// Its name.
    pub name: String,
    /// The server names it serves, in lower case.
    pub server_names: Vec<String>,
    /// The TLS settings towards its clients.
    pub tls: TenantTls,
    /// The destination of its connections.
    pub upstream: Upstream,
    /// The bounds on its connections.
    pub bounds: TenantBounds,
    /// Its guest; None if its settings are invalid, as [`Settings::troubled`] tells.
    pub guest: Option<GuestSettings>,
    /// The digest of all of this, the component aside. Equal digests mean equal settings.
    pub digest: Digest,
}

impl TenantSettings {
    /// The number of its caches: one in the server role, and one in the client role for an upstream that speaks TLS.
    pub fn caches(&self) -> usize {
        1 + usize::from(self.upstream.tls.is_some())
    }

    /// The number of its guest's instances.
    pub fn instances(&self) -> usize {
        self.guest.as_ref().map_or(0, |guest| self.caches().saturating_mul(guest.readers))
    }

    /// The memory that its guests, its vaults and early data may take, in bytes.
    pub fn memory_bytes_max(&self) -> u64 {
        let one = self.guest.as_ref().map_or(0, |GuestSettings { readers, limits, .. }| {
            readers.saturating_mul(limits.memory_bytes).saturating_add(limits.vault_bytes)
        });
        // Early data is kept until the upstream is connected.
        let early_data = self.bounds.connections.saturating_mul(self.tls.early_data_bytes as usize);
        self.caches().saturating_mul(one).saturating_add(early_data) as u64
    }
}

/// The settings of a guest.
#[derive(Clone)]
pub struct GuestSettings {
    /// The component file.
    pub path: PathBuf,
    /// The room it needs.
    pub class: SizeClass,
    /// The WASI imports it may have.
    pub wasi: Wasi,
    /// The limits of the guest and its vaults.
    pub limits: Limits,
    /// The sessions that leave a full vault.
    pub overflow: Overflow,
    /// Settings for the guest, in their order.
    pub properties: Vec<Property>,
    /// The instances that serve lookups.
    pub readers: usize,
    /// The time without a question before its instances are dropped; None keeps them.
    pub idle: Option<Duration>,
    /// The digest of all of this, of the component and of the tenant's whole table. Equal digests need no change.
    pub digest: Digest,
    pub(crate) component: Bytes,
}

impl GuestSettings {
    /// The digest of the component's bytes.
    pub fn component_digest(&self) -> Digest {
        self.component.digest
    }
}

/// The text that settings come from. It tells the place of a problem that appears later.
#[derive(Clone, Default)]
pub(crate) struct Source {
    pub(crate) file: PathBuf,
    pub(crate) text: String,
}

impl Source {
    /// A problem with a field.
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
