//! What can be written in the configuration file. The schema for editors and the reference are made of these types.

use std::{path::PathBuf, time::Duration};

use indexmap::IndexMap;
use innkeeper_proxy::core::{self, Quantity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The configuration of `innkeeper serve`. Paths are taken from the folder that this file is in.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where to listen for clients, at least one.
    pub listeners: Vec<Listener>,
    /// Who is served, by name. A name is 1 to 63 lower-case letters, digits, `-`, `_` and `.`, and begins with a letter or a
    /// digit.
    pub tenants: IndexMap<String, Tenant>,
    /// Metrics, health, the admin page and its actions, over HTTP. Read at start only.
    #[serde(default)]
    pub admin: Admin,
    /// What is logged, to standard error. Read at start only.
    #[serde(default)]
    pub log: Log,
    /// The bounds on connections.
    #[serde(default)]
    pub connections: Connections,
    /// How guests are run. Read at start only.
    #[serde(default)]
    pub guests: Guests,
    /// The most that tenants' limits may be.
    #[serde(default)]
    pub maxima: Maxima,
    /// Whether a change of this file, or of one that it names, is taken over at once. SIGHUP does so in any case.
    #[serde(default = "yes")]
    pub watch: bool,
}

fn yes() -> bool {
    true
}

/// Where to listen.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// The address and port, such as `0.0.0.0:443` or `[::]:443`; or `systemd:N` for the socket number N, from 0, that systemd
    /// hands over.
    pub address: String,
    /// Whether each connection begins with a header of the PROXY protocol, version 1 or 2. Only load balancers should then be
    /// able to connect, since the header says who the client is.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// The server name of clients that send none. Without it they are turned away. They get the first of the tenant's
    /// certificates whose key they can verify.
    #[serde(default)]
    pub default_server_name: Option<String>,
}

/// One tenant.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// The server names it serves, at least one: a host's name, or `*.` and a domain, for every name that has one label more.
    /// A host's own name goes before a wildcard, and each belongs to one tenant.
    pub server_names: Vec<String>,
    /// Its certificates, at least one. A client gets the first that is for the name it asked for and whose key it can verify.
    pub certificates: Vec<Certificate>,
    /// Whether its clients have to show a certificate.
    #[serde(default)]
    pub client_auth: ClientAuth,
    /// The protocols it offers by ALPN, best first, such as `["h2", "http/1.1"]`. The upstream has to speak what is agreed on.
    #[serde(default)]
    pub alpn: Vec<String>,
    /// How many bytes a client may send with its ClientHello when it resumes. 0 is off. Bytes sent so may be replayed to
    /// another server by whoever sees them: RFC 8446, section 8.
    #[serde(default)]
    pub early_data_bytes: u32,
    /// Where its connections go.
    pub upstream: Upstream,
    /// What decides about its sessions.
    pub guest: Guest,
    /// How long a session lives, in seconds. At most a day for TLS 1.2 and a week for TLS 1.3, whatever is written here.
    #[serde(default = "day")]
    pub lifetime_s: u64,
    /// What goes when the vault is full and the guest has not chosen.
    #[serde(default)]
    pub overflow: Overflow,
    /// What its connections may take at a time.
    #[serde(default)]
    pub connections: TenantConnections,
}

fn day() -> u64 {
    24 * 60 * 60
}

/// A certificate chain with its key, both in PEM.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The file with the chain, leaf first.
    pub chain: PathBuf,
    /// The file with the leaf's key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

/// Whether clients have to show a certificate.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientAuth {
    /// Whether they are asked for one, and must have one.
    pub mode: ClientAuthMode,
    /// The file with the roots that theirs must come from, in PEM. Needed unless the mode is `none`.
    #[serde(default)]
    pub roots: Option<PathBuf>,
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuthMode {
    /// They are not asked.
    #[default]
    None,
    /// They are asked, and may have none.
    Optional,
    /// They must have one.
    Required,
}

/// Where a tenant's connections go.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// The host and port, such as `10.0.0.7:8080`. A name is looked up for connections, at most once a second, and
    /// its addresses tried in turn.
    pub address: String,
    /// How it speaks TLS. Without this it is spoken to in plain TCP.
    #[serde(default)]
    pub tls: Option<UpstreamTls>,
    /// The version of the PROXY protocol in which it is told of the client. Without this it is not told.
    #[serde(default)]
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// How an upstream speaks TLS. Its sessions are kept in a cache in the client role, which the tenant's guest decides about too.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTls {
    /// The name that its certificate must be for. Without this, the host of its address.
    #[serde(default)]
    pub server_name: Option<String>,
    /// The file with the roots that its certificate must come from, in PEM. Without this, the system's.
    #[serde(default)]
    pub roots: Option<PathBuf>,
    /// What is shown when it asks for a certificate.
    #[serde(default)]
    pub certificate: Option<Certificate>,
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyProtocol {
    /// The line of text.
    V1,
    /// The binary header.
    V2,
}

/// What decides about a tenant's sessions.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Guest {
    /// The component file. A change of it is an upgrade, which keeps the sessions.
    pub component: PathBuf,
    /// How much room it needs.
    #[serde(default)]
    pub size_class: SizeClass,
    /// Whether it may import WASI.
    #[serde(default)]
    pub wasi: Wasi,
    /// How many instances serve lookups at a time, from 1 to 64.
    #[serde(default = "one")]
    pub readers: usize,
    /// How many seconds it may be asked nothing before its instances are given up, 0 for ever. The sessions stay; the next one
    /// that is used waits until an instance has been built.
    #[serde(default = "ten_minutes")]
    pub idle_s: u64,
    /// Settings for the guest's `init`, in their order.
    #[serde(default)]
    pub properties: IndexMap<String, PropertyValue>,
    /// What it may use. What is not written here is the size class's.
    #[serde(default)]
    pub limits: Limits,
}

fn one() -> usize {
    1
}

fn ten_minutes() -> u64 {
    600
}

/// How much room a guest's language needs.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SizeClass {
    /// Compiled languages: Rust, C, C++, Zig.
    #[default]
    Small,
    /// Languages that bring an interpreter: JavaScript, Python.
    Large,
}

/// Whether a guest may import WASI.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wasi {
    /// It may not.
    #[default]
    None,
    /// It may, and finds nothing there: no files, no network, no environment.
    Closed,
}

/// A setting for a guest. It sees the text.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(untagged)]
pub enum PropertyValue {
    /// True or false.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(String),
}

impl std::fmt::Display for PropertyValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(own) => own.fmt(f),
            Self::Number(own) => own.fmt(f),
            Self::Float(own) => own.fmt(f),
            Self::Text(own) => own.fmt(f),
        }
    }
}

/// What goes when a vault is full.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// The sessions registered longest ago, as many as needed.
    #[default]
    EvictOldest,
    /// Every session but the one just registered.
    InvalidateAll,
}

/// Makes the limits of the file from the core's table.
macro_rules! written_limits {
    (
        grants {$($(#[doc = $grant_doc:literal])+ $grant:ident: $callbacks:tt, $small_grant:tt, $large_grant:tt;)+}
        limits {$(
            $(#[doc = $doc:literal])+
            $field:ident as $name:literal: $type:ty, $unit:ident, $small:expr, $large:expr, $range:expr;
        )+}
        set_elsewhere {$($elsewhere:tt)+}
    ) => {
        /// The limits of a guest, and of its tenant's sessions in the vault.
        #[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
        #[serde(deny_unknown_fields)]
        pub struct Limits {
            $(
                $(#[doc = $grant_doc])+
                #[serde(default)]
                pub $grant: Grant,
            )+
            $(
                $(#[doc = $doc])+
                #[serde(rename = $name)]
                pub $field: Option<<$type as Quantity>::Written>,
            )+
        }

        impl Limits {
            /// Puts every limit that is written into `limits`.
            pub(crate) fn put_into(&self, limits: &mut core::Limits) {
                $(self.$grant.put_into(&mut limits.$grant);)+
                $(
                    if let Some(written) = self.$field {
                        limits.$field = Quantity::from_written(written);
                    }
                )+
            }
        }
    };
}

core::limits!(written_limits);

/// The bounds of one call.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Fuel: roughly one unit for each WebAssembly instruction.
    pub fuel: Option<u64>,
    /// Time on a core, in milliseconds, and how long a reader waits for a busy instance.
    pub time_ms: Option<u64>,
}

impl Grant {
    fn put_into(self, grant: &mut core::Grant) {
        if let Some(fuel) = self.fuel {
            grant.fuel = fuel;
        }
        if let Some(time_ms) = self.time_ms {
            grant.time = Duration::from_millis(time_ms);
        }
    }
}

/// What one tenant's connections may take at a time.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantConnections {
    /// Connections; more are closed before their handshake. A handshake that has waited a second for its client gives its
    /// place to a new connection first.
    pub max: usize,
    /// Connections among them that no other tenant can use up, at most `max`. Beyond it the tenants share what is left. Without
    /// this, an even share of half of what all tenants may have, which is `connections.max` less `connections.hello_max`.
    pub reserve: Option<usize>,
    /// Connections of one peer, which is an IPv4 address or an IPv6 prefix of 64 bits; more are closed before their handshake.
    /// Without this, three quarters of `max`. Behind a load balancer that does not speak the PROXY protocol all clients are one
    /// peer, or a few: write `max` here then.
    pub per_peer: Option<usize>,
    /// Handshakes that go on, which is that they compute or wait for one of `threads`. More wait, and their time runs. One that
    /// waits for its client is none of them, unless it has sent early data.
    pub handshakes: usize,
    /// Handshakes of one peer among them; more wait, and their time runs. Without this, a quarter of `handshakes`. Behind a load
    /// balancer that does not speak the PROXY protocol, write `handshakes` here.
    pub handshakes_per_peer: Option<usize>,
    /// Handshakes that compute or wait for the guest: so many threads may be the tenant's.
    pub threads: usize,
    /// Handshakes that may begin in a second; connections beyond are closed before theirs. Without this, no bound.
    pub handshakes_per_s: Option<u32>,
    /// Handshakes that may begin at once after a quiet time, where `handshakes_per_s` is set.
    pub handshakes_burst: u32,
}

impl Default for TenantConnections {
    fn default() -> Self {
        let innkeeper_proxy::TenantBounds { connections, handshakes, threads, handshakes_burst, .. } =
            innkeeper_proxy::TenantBounds::default();
        Self {
            max: connections,
            reserve: None,
            per_peer: None,
            handshakes,
            handshakes_per_peer: None,
            threads,
            handshakes_per_s: None,
            handshakes_burst: handshakes_burst.get(),
        }
    }
}

/// Metrics, health, the admin page and its actions.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Whether there is such a listener.
    pub enabled: bool,
    /// Its address and port. One that is not a loopback address wants `allow_remote`.
    pub address: String,
    /// Whether other machines may connect. Whoever can connect sees tenants' names and counters; actions want the token.
    pub allow_remote: bool,
    /// The file with the token that actions want: at least 16 characters, readable by nobody else. Without it there are no
    /// actions.
    pub token_file: Option<PathBuf>,
    /// Names by which the listener may be asked for besides `localhost` and addresses, which keeps other sites' pages from
    /// reading it through a name of their own.
    pub hosts: Vec<String>,
    /// How many tenants have metrics of their own: the first so many in this file.
    pub metrics_tenants: usize,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            enabled: true,
            address: "127.0.0.1:9900".into(),
            allow_remote: false,
            token_file: None,
            hosts: Vec::new(),
            metrics_tenants: 1_000,
        }
    }
}

/// What is logged.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// For people or for programs.
    pub format: LogFormat,
    /// Which events, as `tracing` filters are written, such as `info,innkeeper::guest=debug`.
    pub filter: String,
    /// Whether each handshake is logged: tenant, TLS version, and whether it resumed or why not.
    pub handshakes: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Human, filter: "info".into(), handshakes: false }
    }
}

/// How events are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// A line of text.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// The bounds on all connections together, and on each.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Connections {
    /// Connections at a time, one for each listener that waits for its next included. At the limit no more are accepted until
    /// one ends. Read at start only.
    pub max: usize,
    /// Connections among them whose ClientHello has not come. A new one takes the place of the one that has been there the
    /// longest. Without this, a quarter of `max`; the rest is the tenants'.
    pub hello_max: Option<usize>,
    /// Connections among those of one peer, which is an IPv4 address or an IPv6 prefix of 64 bits. A new one of a peer that has
    /// so many takes the place of another of that peer. Without this, three quarters of `hello_max`. Behind a load balancer that
    /// does not speak the PROXY protocol, write `hello_max` here.
    pub hello_per_peer: Option<usize>,
    /// From its acceptance to the end of the ClientHello, in milliseconds.
    pub hello_ms: u64,
    /// From its acceptance to the end of the handshake, in milliseconds.
    pub handshake_ms: u64,
    /// To connect to the upstream, its handshake included, in milliseconds.
    pub upstream_connect_ms: u64,
    /// Without a byte either way, in seconds. It may take twice as long.
    pub idle_s: u64,
    /// The life of a connection, in seconds.
    pub life_s: u64,
    /// How long a shutdown goes on accepting while `/readyz` says that it is draining, in seconds, so that a load balancer can
    /// look elsewhere first.
    pub drain_delay_s: u64,
    /// How long a shutdown then waits for connections to end by themselves, in seconds.
    pub drain_s: u64,
}

impl Default for Connections {
    fn default() -> Self {
        let innkeeper_proxy::ProxyLimits {
            connections,
            hello,
            handshake,
            upstream_connect,
            idle,
            connection,
            drain,
            ..
        } = innkeeper_proxy::ProxyLimits::default();
        let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            max: connections,
            hello_max: None,
            hello_per_peer: None,
            hello_ms: ms(hello),
            handshake_ms: ms(handshake),
            upstream_connect_ms: ms(upstream_connect),
            idle_s: idle.as_secs(),
            life_s: connection.as_secs(),
            drain_delay_s: 0,
            drain_s: drain.as_secs(),
        }
    }
}

/// How guests are run.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guests {
    /// The folder that keeps compiled code from one start to the next. Who can write there runs code in this process.
    pub compile_cache: Option<PathBuf>,
    /// The threads that own caches. Without this, one for each core, at most four.
    pub owner_threads: Option<usize>,
    /// Room for instances of small guests. Each tenant takes its readers once for each role, and three times as
    /// many while it is changed.
    pub instances_small: u32,
    /// Room for instances of large guests.
    pub instances_large: u32,
}

impl Default for Guests {
    fn default() -> Self {
        let [instances_small, instances_large] = innkeeper_proxy::LoaderConfig::INSTANCES;
        Self { compile_cache: None, owner_threads: None, instances_small, instances_large }
    }
}

/// The most that tenants' limits may be, for each size class. What is not written is bounded by its range only.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Maxima {
    /// For small guests.
    #[serde(default)]
    pub small: Limits,
    /// For large guests.
    #[serde(default)]
    pub large: Limits,
    /// The longest `lifetime_s`.
    pub lifetime_s: Option<u64>,
}

#[cfg(test)]
mod tests {
    use innkeeper_proxy::core::{self, SizeClass};

    use crate::config::reference;

    #[test]
    fn every_limit_of_the_core_can_be_written_and_stands_in_schema_and_reference() {
        let (schema, reference) = (reference::schema(), reference::markdown());
        for limit in core::Limits::ALL.iter().filter(|limit| limit.name != "lifetime_ms") {
            let number = limit.least + 1;
            let text = match limit.name.split_once('.') {
                Some((grant, part)) => format!("{grant} = {{ {part} = {number} }}"),
                None => format!("{} = {number}", limit.name),
            };
            let written: super::Limits = toml::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let default = core::Limits::new(SizeClass::Small);
            let mut limits = default.clone();
            written.put_into(&mut limits);
            for own in core::Limits::ALL {
                let expected = if own.name == limit.name { number } else { own.of(&default) };
                assert_eq!(own.of(&limits), expected, "{text} sets {}", own.name);
            }
            assert!(schema.contains(limit.doc.trim().split('.').next().unwrap_or_default()), "{}", limit.name);
            assert!(reference.contains(&format!("| `{}` |", limit.name)), "{}", limit.name);
        }
    }
}
