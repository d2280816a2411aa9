//! The types of the configuration file. The schema for editors and the reference are generated from them.

use std::{path::PathBuf, time::Duration};

use indexmap::IndexMap;
use innkeeper_proxy::core::{self, Quantity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The configuration of `innkeeper serve`. Paths are relative to the folder of this file.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The listeners for clients, at least one.
    pub listeners: Vec<Listener>,
    /// The tenants, by name. A name is 1 to 63 lower-case letters, digits, `-`, `_` and `.`, and begins with a letter
    /// or a digit.
    pub tenants: IndexMap<String, Tenant>,
    /// Metrics, health, the admin page and its actions, over HTTP. Read at start only.
    #[serde(default)]
    pub admin: Admin,
    /// The log, which goes to standard error. Read at start only.
    #[serde(default)]
    pub log: Log,
    /// The bounds on connections.
    #[serde(default)]
    pub connections: Connections,
    /// The engines that run guests. Read at start only.
    #[serde(default)]
    pub guests: Guests,
    /// The upper bounds of tenants' limits.
    #[serde(default)]
    pub maxima: Maxima,
    /// Takes over a change of this file, or of a file that it names, at once. SIGHUP does so in any case.
    #[serde(default = "yes")]
    pub watch: bool,
}

fn yes() -> bool {
    true
}

/// A listener for clients.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// The address and port, such as `0.0.0.0:443` or `[::]:443`. Or `systemd:N` for the socket number N, from 0, that
    /// systemd passes on.
    pub address: String,
    /// Reads a header of the PROXY protocol, version 1 or 2, at the start of each connection. Only load balancers
    /// should then be able to connect, since the header tells the client's address.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// The server name of clients that send none. Without it the proxy turns them away. They get the first of the
    /// tenant's certificates whose key they can verify.
    #[serde(default)]
    pub default_server_name: Option<String>,
}

/// One tenant.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// The server names it serves, at least one: a host's name, or `*.` and a domain for every name with one label
    /// more. A host's own name takes precedence over a wildcard. Each name belongs to one tenant.
    pub server_names: Vec<String>,
    /// Its certificates, at least one. A client gets the first that fits the name it asked for and whose key it can
    /// verify.
    pub certificates: Vec<Certificate>,
    /// The demand for client certificates.
    #[serde(default)]
    pub client_auth: ClientAuth,
    /// The protocols it offers by ALPN, best first, such as `["h2", "http/1.1"]`. The upstream has to speak each of
    /// them.
    #[serde(default)]
    pub alpn: Vec<String>,
    /// The bytes that a client may send with its ClientHello when it resumes; 0 turns early data off. Anybody who sees
    /// such bytes can replay them to another server: RFC 8446, section 8.
    #[serde(default)]
    pub early_data_bytes: u32,
    /// The destination of its connections.
    pub upstream: Upstream,
    /// The guest that decides about its sessions.
    pub guest: Guest,
    /// The life of a session, in seconds. Never more than a day for TLS 1.2 and a week for TLS 1.3.
    #[serde(default = "day")]
    pub lifetime_s: u64,
    /// The sessions that leave a full vault if the guest evicts none.
    #[serde(default)]
    pub overflow: Overflow,
    /// The bounds on its connections.
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

/// The demand for client certificates.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientAuth {
    /// The demand.
    pub mode: ClientAuthMode,
    /// The file with the roots of clients' certificates, in PEM. Needed unless the mode is `none`.
    #[serde(default)]
    pub roots: Option<PathBuf>,
}

/// The demand for client certificates.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuthMode {
    /// Clients are not asked for a certificate.
    #[default]
    None,
    /// Clients are asked for a certificate, and may have none.
    Optional,
    /// Clients must have a certificate.
    Required,
}

/// The destination of a tenant's connections.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// The host and port, such as `10.0.0.7:8080`. The proxy looks a name up at most once a second, and tries its
    /// addresses in turn.
    pub address: String,
    /// Its TLS settings. Without these the proxy speaks plain TCP to it.
    #[serde(default)]
    pub tls: Option<UpstreamTls>,
    /// The version of the PROXY protocol that tells it the client's address. Without this it is not told.
    #[serde(default)]
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// The TLS settings of an upstream. A cache in the client role keeps its sessions, and the tenant's guest decides about
/// them too.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTls {
    /// The name that its certificate must be for. Without this, the host of its address.
    #[serde(default)]
    pub server_name: Option<String>,
    /// The file with the roots that its certificate must come from, in PEM. Without this, the system's.
    #[serde(default)]
    pub roots: Option<PathBuf>,
    /// The certificate that the proxy shows when the upstream asks for one.
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

/// The guest that decides about a tenant's sessions.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Guest {
    /// The component file. A change of it is an upgrade, which keeps the sessions.
    pub component: PathBuf,
    /// The room it needs.
    #[serde(default)]
    pub size_class: SizeClass,
    /// The WASI imports it may have.
    #[serde(default)]
    pub wasi: Wasi,
    /// The instances that serve lookups at a time, from 1 to 64.
    #[serde(default = "one")]
    pub readers: usize,
    /// The time without a question to the guest before its instances are dropped, in seconds; 0 keeps them. The
    /// sessions stay. The next one that is used waits until an instance has been built.
    #[serde(default = "ten_minutes")]
    pub idle_s: u64,
    /// Settings for the guest's `init`, in their order.
    #[serde(default)]
    pub properties: IndexMap<String, PropertyValue>,
    /// The limits of the guest and its vaults. The defaults are those of the size class.
    #[serde(default)]
    pub limits: Limits,
}

fn one() -> usize {
    1
}

fn ten_minutes() -> u64 {
    600
}

/// The room that a guest's language needs.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SizeClass {
    /// Compiled languages: Rust, C, C++, Zig.
    #[default]
    Small,
    /// Languages that bring an interpreter: JavaScript, Python.
    Large,
}

/// The WASI imports that a guest may have.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wasi {
    /// No imports of WASI.
    #[default]
    None,
    /// WASI without content: no files, no network, no environment.
    Closed,
}

/// A setting for a guest, which sees it as text.
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

/// The sessions that leave a full vault.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// The sessions registered longest ago, as many as needed.
    #[default]
    EvictOldest,
    /// Every session except the one just registered.
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

/// The bounds on one tenant's connections.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantConnections {
    /// Connections. More are closed before their handshake. A new connection displaces a handshake that has waited a
    /// second for its client.
    pub max: usize,
    /// Connections among them that no other tenant can use up, at most `max`. The tenants share the rest. Without this,
    /// an even share of half of all tenants' connections, which are `connections.max` less `connections.hello_max`.
    pub reserve: Option<usize>,
    /// Connections of one peer, which is an IPv4 address or an IPv6 prefix of 64 bits. More are closed before their
    /// handshake. Without this, three quarters of `max`. Behind a load balancer without the PROXY protocol all clients
    /// are one peer, or a few: write `max` here then.
    pub per_peer: Option<usize>,
    /// Handshakes in progress: they compute, or wait for one of `threads`. More wait while their time runs. A handshake
    /// that waits for its client does not count, unless it has sent early data.
    pub handshakes: usize,
    /// Handshakes in progress of one peer. More wait while their time runs. Without this, a quarter of `handshakes`.
    /// Behind a load balancer without the PROXY protocol, write `handshakes` here.
    pub handshakes_per_peer: Option<usize>,
    /// Handshakes that compute or wait for the guest. Each takes a thread.
    pub threads: usize,
    /// Handshakes that may begin in a second. Connections beyond are closed before their handshake. Without this, no
    /// bound.
    pub handshakes_per_s: Option<u32>,
    /// Handshakes that may begin at once after a quiet time, if `handshakes_per_s` is set.
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
    /// Opens the admin listener.
    pub enabled: bool,
    /// Its address and port. An address other than loopback needs `allow_remote`.
    pub address: String,
    /// Lets other machines connect. Anybody who can connect sees tenants' names and counters; actions need the token.
    pub allow_remote: bool,
    /// The file with the token for actions: at least 16 characters, and not readable by others. Without it actions are
    /// off.
    pub token_file: Option<PathBuf>,
    /// The names that the listener answers to, besides `localhost` and addresses. Other sites' pages cannot read it
    /// through a name of their own.
    pub hosts: Vec<String>,
    /// The number of tenants with metrics of their own: the first ones in this file.
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

/// The log.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The format of the lines.
    pub format: LogFormat,
    /// The events to log, as a filter of `tracing`, such as `info,innkeeper::guest=debug`.
    pub filter: String,
    /// Logs each handshake: tenant, TLS version, and the outcome of its resumption.
    pub handshakes: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Human, filter: "info".into(), handshakes: false }
    }
}

/// The format of the log.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Lines of text, for people.
    #[default]
    Human,
    /// One JSON object a line, for programs.
    Json,
}

/// The bounds on all connections together, and on each.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Connections {
    /// Connections at a time. Each listener holds one of them for the next connection it accepts. At the limit,
    /// listeners accept no more until a connection ends. Read at start only.
    pub max: usize,
    /// Connections among them that wait for their ClientHello. A new one displaces the one that has waited longest.
    /// Without this, a quarter of `max`. The tenants have the rest.
    pub hello_max: Option<usize>,
    /// Connections of one peer that wait for their ClientHello. A peer is an IPv4 address or an IPv6 prefix of 64 bits.
    /// At this bound a new connection displaces another of its peer. Without this, three quarters of `hello_max`.
    /// Behind a load balancer without the PROXY protocol, write `hello_max` here.
    pub hello_per_peer: Option<usize>,
    /// The time from acceptance to the end of the ClientHello, in milliseconds.
    pub hello_ms: u64,
    /// The time from acceptance to the end of the handshake, in milliseconds.
    pub handshake_ms: u64,
    /// The time to connect to the upstream, its handshake included, in milliseconds.
    pub upstream_connect_ms: u64,
    /// The time without a byte either way before a connection ends, in seconds. It may take up to twice as long.
    pub idle_s: u64,
    /// The life of a connection, in seconds.
    pub life_s: u64,
    /// The time that a shutdown goes on accepting while `/readyz` answers `draining`, in seconds. A load balancer can
    /// use it to choose another server.
    pub drain_delay_s: u64,
    /// The time that a shutdown then waits for connections to end by themselves, in seconds.
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

/// The engines that run guests.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guests {
    /// The folder that keeps compiled code from one start to the next. Anybody who can write there runs code in this
    /// process.
    pub compile_cache: Option<PathBuf>,
    /// The threads that own caches. Without this, one for each core, at most four.
    pub owner_threads: Option<usize>,
    /// The room for instances of small guests. Each tenant takes its readers once for each role, and three times as
    /// many during a change.
    pub instances_small: u32,
    /// The room for instances of large guests.
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
            // The schema breaks long ones into lines.
            let doc: String = limit.doc.trim().chars().take(40).collect();
            assert!(schema.contains(&doc), "{}", limit.name);
            assert!(reference.contains(&format!("`{}`", limit.name)), "{}", limit.name);
        }
    }
}
