//! The configuration file: from text to [`Settings`], or to every [`Problem`] in it.
//!
//! [`mod@file`] has the types of the file, and [`mod@reference`] generates the schema for editors and the reference
//! from them. [`check`] reads the file and the files it names, and returns values. A problem tells file, line, field,
//! value and fix. Nothing here starts or changes anything.

pub mod file;
pub mod reference;

mod document;
mod files;
mod problem;
mod settings;
mod tenant;

use std::{
    collections::{BTreeMap, HashSet},
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use innkeeper_proxy::{
    Compilation, ListenerConfig, LoaderConfig, ProxyLimits,
    core::{LimitError, Limits, SizeClass},
    is_dns_name,
};
use serde::Deserialize as _;
use zeroize::Zeroizing;

pub(crate) use self::reference::lower_first;
pub use self::{
    document::At,
    problem::{Part, Problem, Problems, TenantProblems},
    settings::{AdminSettings, GuestSettings, ListenAt, LogSettings, Settings, TenantSettings},
};
use self::{
    document::Document,
    file::File,
    problem::{Notes, shape, syntax},
    tenant::check_tenants,
};
pub(crate) use self::{
    files::{Bytes, Digest, Files, digest_of, read as read_file},
    settings::Source,
};

/// The longest configuration file.
const CONFIG_BYTES_MAX: usize = 32 << 20;

/// Settings from the command line and the environment, which override the file.
#[derive(Clone, Debug)]
pub struct Overrides {
    /// The compiler of components. The file has no such setting.
    pub compilation: Compilation,
    /// Overrides `admin.address`.
    pub admin_address: Option<String>,
    /// Overrides `log.format`.
    pub log_format: Option<file::LogFormat>,
    /// Overrides `log.filter`.
    pub log_filter: Option<String>,
    /// Overrides `guests.compile_cache`.
    pub compile_cache: Option<PathBuf>,
}

impl Overrides {
    /// No overrides.
    pub fn none(compilation: Compilation) -> Self {
        Self { compilation, admin_address: None, log_format: None, log_filter: None, compile_cache: None }
    }
}

/// Reads a configuration file and the files that it names, and checks all of it. A problem of one tenant affects that
/// tenant alone, and [`Settings::troubled`] has it. Blocking.
///
/// # Errors
/// Every problem, if one of them affects all tenants: in the file itself, in a listener, or outside of the tenants.
pub fn check(path: &Path, overrides: &Overrides) -> Result<Settings, Problems> {
    let text = read(path)?;
    check_text(path, text, overrides)
}

fn read(path: &Path) -> Result<String, Problems> {
    let problem = |what: String| Problem {
        file: path.to_owned(),
        line: None,
        field: String::new(),
        value: None,
        what,
        fix: "name a TOML file that can be read, such as `--config innkeeper.toml`".into(),
    };
    let bytes = files::read(path, CONFIG_BYTES_MAX).map_err(problem)?;
    Ok(String::from_utf8(bytes).map_err(|error| problem(format!("it is not UTF-8: {error}")))?)
}

fn check_text(path: &Path, text: String, overrides: &Overrides) -> Result<Settings, Problems> {
    let document = Document::parse(&text).map_err(|error| syntax(path.to_owned(), &text, &error))?;
    let deserializer = toml::Deserializer::from(document.table());
    let file = File::deserialize(deserializer).map_err(|error| shape(path.to_owned(), &text, &document, &error))?;
    let mut files = Files::new(path.parent().map(Path::to_owned).unwrap_or_default());
    let mut notes = Notes::new(path.to_owned(), &document);
    let listeners = check_listeners(&file, &mut notes);
    let limits = check_connections(&file, &mut notes);
    let drain_delay = Duration::from_secs(file.connections.drain_delay_s);
    let admin = check_admin(&file.admin, overrides, &listeners, &files, &mut notes);
    let log = check_log(&file.log, overrides, &mut notes);
    let (mut tenants, mut troubled) = check_tenants(&file, &mut files, &mut notes);
    check_default_server_names(&file, &mut notes);
    let loader = check_loader(&file, overrides, &files, &tenants, &mut notes);
    let owner_threads = file.guests.owner_threads;
    if owner_threads.is_some_and(|threads| !(1..=256).contains(&threads)) {
        notes.add(&At::top().keys("guests.owner_threads"), "out of range", "write 1 to 256");
    }
    let source = Source { file: path.to_owned(), text: text.clone() };
    fit(&mut tenants, &mut troubled, &loader, &source, |_| false);
    notes.finish_with(&troubled)?;
    let mut paths = files.named();
    paths.insert(path.to_owned());
    let watch = file.watch;
    let files = paths;
    Ok(Settings {
        listeners,
        limits,
        drain_delay,
        admin,
        log,
        loader,
        owner_threads,
        watch,
        tenants,
        troubled,
        files,
        source,
    })
}

fn check_listeners(file: &File, notes: &mut Notes<'_>) -> Vec<(ListenAt, ListenerConfig)> {
    let all = At::top().key("listeners");
    if file.listeners.is_empty() {
        notes.add(
            &all,
            "the list is empty, so no client could connect",
            "write at least one `[[listeners]]` with an `address`",
        );
    }
    let mut seen = BTreeMap::new();
    let mut listeners = Vec::new();
    for (number, listener) in file.listeners.iter().enumerate() {
        let at = all.number(number).key("address");
        let Some(listen_at) = check_address(&listener.address, &at, notes) else { continue };
        // Each free port is another one.
        let is_free_port = matches!(listen_at, ListenAt::Address(address) if address.port() == 0);
        if let Some(first) = seen.insert(listen_at, number).filter(|_| !is_free_port) {
            let what = format!("`listeners[{first}]` listens there already");
            notes.add(&at, what, "leave one of the two out, or give it another port");
            continue;
        }
        let address = match listen_at {
            ListenAt::Address(address) => address,
            ListenAt::Systemd(number) => systemd_address(number),
        };
        let default_server_name = listener.default_server_name.as_deref().map(str::to_ascii_lowercase);
        let proxy_protocol = listener.proxy_protocol;
        listeners.push((listen_at, ListenerConfig { address, proxy_protocol, default_server_name }));
    }
    listeners
}

/// The placeholder address of a socket from systemd, which tells its listener from the others. It is one of the
/// addresses for documentation, RFC 5737, which no machine has.
fn systemd_address(number: usize) -> SocketAddr {
    ([192, 0, 2, 1], u16::try_from(number).unwrap_or(u16::MAX)).into()
}

fn check_address(address: &str, at: &At, notes: &mut Notes<'_>) -> Option<ListenAt> {
    if let Some(number) = address.strip_prefix("systemd:") {
        return match number.parse::<u8>() {
            Ok(number) => Some(ListenAt::Systemd(number.into())),
            Err(_) => {
                notes.none(at, "not the number of a socket", "write `systemd:0` for the first socket of the unit")
            }
        };
    }
    match address.parse() {
        Ok(address) => Some(ListenAt::Address(address)),
        Err(_) => notes.none(
            at,
            "not an IP address with a port",
            "write it as `0.0.0.0:443` or `[::]:443`; a host's name is not looked up here",
        ),
    }
}

fn check_default_server_names(file: &File, notes: &mut Notes<'_>) {
    let written = file.tenants.values().flat_map(|tenant| &tenant.server_names);
    let served: HashSet<String> = written.map(|name| name.to_ascii_lowercase()).collect();
    for (number, listener) in file.listeners.iter().enumerate() {
        let Some(name) = listener.default_server_name.as_deref().map(str::to_ascii_lowercase) else { continue };
        let wildcard = name.split_once('.').map(|(_, domain)| format!("*.{domain}"));
        if !served.contains(&name) && !wildcard.is_some_and(|wildcard| served.contains(&wildcard)) {
            let at = At::top().key("listeners").number(number).key("default_server_name");
            notes.add(&at, "no tenant serves this name", "write one of a tenant's `server_names`");
        }
    }
}

fn check_connections(file: &File, notes: &mut Notes<'_>) -> ProxyLimits {
    let at = At::top().key("connections");
    let file::Connections { max, hello_max, hello_per_peer, hello_ms, handshake_ms, .. } = file.connections;
    let file::Connections { upstream_connect_ms, idle_s, life_s, drain_s, .. } = file.connections;
    let least_one = [
        ("max", max as u64),
        ("hello_max", hello_max.unwrap_or(1) as u64),
        ("hello_per_peer", hello_per_peer.unwrap_or(1) as u64),
        ("hello_ms", hello_ms),
        ("handshake_ms", handshake_ms),
        ("upstream_connect_ms", upstream_connect_ms),
        ("idle_s", idle_s),
        ("life_s", life_s),
    ];
    for (name, value) in least_one {
        if value == 0 {
            notes.add(&at.key(name), "no connection could be served", "write at least 1, or leave it out");
        }
    }
    if (1..=file.listeners.len()).contains(&max) {
        let what = format!("too few: each of the {} listeners holds one for its next connection", file.listeners.len());
        notes.add(&at.key("max"), what, format!("write at least {}", file.listeners.len() + 1));
    }
    if max > 1 && hello_max.is_some_and(|hello_max| hello_max >= max) {
        let what = format!("leaves no connections for tenants: `connections.max` is {max}");
        notes.add(&at.key("hello_max"), what, format!("write at most {}", max - 1));
    }
    if hello_ms > handshake_ms {
        let what = format!("longer than the whole handshake may take, {handshake_ms} ms");
        notes.add(&at.key("hello_ms"), what, "write at most `connections.handshake_ms`");
    }
    ProxyLimits {
        connections: max,
        hellos: hello_max,
        hellos_per_peer: hello_per_peer,
        hello: Duration::from_millis(hello_ms),
        handshake: Duration::from_millis(handshake_ms),
        upstream_connect: Duration::from_millis(upstream_connect_ms),
        idle: Duration::from_secs(idle_s),
        connection: Duration::from_secs(life_s),
        drain: Duration::from_secs(drain_s),
    }
}

/// The shortest token. A shorter one could be guessed.
const TOKEN_CHARS_MIN: usize = 16;
const TOKEN_BYTES_MAX: usize = 4_096;

fn check_admin(
    admin: &file::Admin,
    overrides: &Overrides,
    listeners: &[(ListenAt, ListenerConfig)],
    files: &Files,
    notes: &mut Notes<'_>,
) -> Option<AdminSettings> {
    let at = At::top().key("admin");
    if !admin.enabled {
        return None;
    }
    let written = overrides.admin_address.as_ref().unwrap_or(&admin.address);
    let (own, fix) = (at.key("address"), "write it as `127.0.0.1:9900`");
    let Ok(address) = written.parse::<SocketAddr>() else {
        return notes.none(&own, format!("`{written}` is not an IP address with a port"), fix);
    };
    if !address.ip().is_loopback() && !admin.allow_remote {
        notes.add(&own, "other machines could connect", "write a loopback address, or `admin.allow_remote = true`");
    }
    if address.port() != 0 && listeners.iter().any(|(listen_at, _)| *listen_at == ListenAt::Address(address)) {
        notes.add(&own, "clients are served there", "give one of the two another port");
    }
    let token = match &admin.token_file {
        Some(path) => match read_token(&files.path(path)) {
            Ok(token) => Some(token),
            Err((what, fix)) => notes.none(&at.key("token_file"), what, fix),
        },
        None => None,
    };
    for (number, host) in admin.hosts.iter().enumerate() {
        if !is_dns_name(host) {
            let at = at.key("hosts").number(number);
            notes.add(&at, "not a host's name", "write the name alone, without a scheme or a port");
        }
    }
    let hosts = admin.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    Some(AdminSettings { address, token, hosts, metrics_tenants: admin.metrics_tenants })
}

fn read_token(path: &Path) -> Result<Zeroizing<String>, (String, &'static str)> {
    let make = "make one: `(umask 077; openssl rand -hex 32 > FILE)`";
    let bytes = files::read(path, TOKEN_BYTES_MAX).map_err(|what| (what, make))?;
    let bytes = Zeroizing::new(bytes);
    let mode = std::fs::metadata(path).map(|metadata| metadata.mode()).unwrap_or(0);
    if mode & 0o007 != 0 {
        return Err(("every user of this machine can read it".into(), "take that away: `chmod o= FILE`"));
    }
    let token = std::str::from_utf8(&bytes).unwrap_or_default().trim();
    match token.chars().count() >= TOKEN_CHARS_MIN && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(Zeroizing::new(token.to_owned())),
        false => Err((format!("the token is not {TOKEN_CHARS_MIN} or more printable ASCII characters"), make)),
    }
}

fn check_log(log: &file::Log, overrides: &Overrides, notes: &mut Notes<'_>) -> LogSettings {
    let filter = overrides.log_filter.clone().unwrap_or_else(|| log.filter.clone());
    if let Err(error) = filter.parse::<tracing_subscriber::EnvFilter>() {
        let at = At::top().keys("log.filter");
        notes.add(
            &at,
            format!("invalid filter: {error}"),
            "write a level, such as `info`, or `info,innkeeper::guest=debug`",
        );
    }
    let format = overrides.log_format.unwrap_or(log.format);
    LogSettings { format, filter, handshakes: log.handshakes }
}

/// The settings of the engines, which reserve their room at start: for the limits in the file, for the maxima that a
/// later file may use, and for the defaults of the class.
fn check_loader(
    file: &File,
    overrides: &Overrides,
    files: &Files,
    tenants: &[TenantSettings],
    notes: &mut Notes<'_>,
) -> LoaderConfig {
    let file::Guests { compile_cache, instances_small, instances_large, .. } = &file.guests;
    let at = At::top().key("guests");
    let classes = [
        (SizeClass::Small, "instances_small", *instances_small, &file.maxima.small, 20_000),
        (SizeClass::Large, "instances_large", *instances_large, &file.maxima.large, 5_000),
    ];
    let rooms = classes.map(|(class, name, instances, maxima, most)| {
        let own = tenants.iter().filter_map(|tenant| tenant.guest.as_ref()).filter(|guest| guest.class == class);
        if instances > most {
            // wasmtime sets 4 GiB of addresses aside for each memory.
            notes.add(&at.key(name), "too many for the address space", format!("write at most {most}"));
        }
        let mut limits = Limits::new(class);
        for guest in own {
            limits.memory_bytes = limits.memory_bytes.max(guest.limits.memory_bytes);
            limits.table_elements = limits.table_elements.max(guest.limits.table_elements);
        }
        check_maxima(class, maxima, notes);
        limits.memory_bytes = limits.memory_bytes.max(maxima.memory_bytes.unwrap_or(0));
        limits.table_elements = limits.table_elements.max(maxima.table_elements.unwrap_or(0));
        limits
    });
    let [limits_small, limits_large] = rooms;
    // wasmtime's cache wants a whole path.
    let compile_cache = overrides.compile_cache.as_ref().or(compile_cache.as_ref());
    let compile_cache =
        compile_cache.map(|path| std::path::absolute(files.path(path)).unwrap_or_else(|_| path.clone()));
    let (instances_small, instances_large) = (*instances_small, *instances_large);
    let compilation = overrides.compilation.clone();
    LoaderConfig { compilation, compile_cache, instances_small, instances_large, limits_small, limits_large }
}

/// Checks that each maximum is within the range of its limit.
fn check_maxima(class: SizeClass, maxima: &file::Limits, notes: &mut Notes<'_>) {
    let mut limits = Limits::new(class);
    // Whatever the grants are, there could be as much.
    limits.fuel_burst = u64::MAX >> 4;
    maxima.put_into(&mut limits);
    if let Err(LimitError { name, least, most, .. }) = limits.check() {
        let at = At::top().key("maxima").key(class.name()).keys(name);
        notes.add(&at, "out of range", format!("write {least} to {most}"));
    }
}

/// Removes the guests that the engines have no room for. Tenants for which `goes_first` is true get room first, then
/// the others in the order of the file. Each tenant needs its readers in each role. The largest tenant needs twice as
/// many again, for instances on trial and instances on their way out. With no more room than that, tenants are changed
/// one after another.
pub(crate) fn fit(
    tenants: &mut [TenantSettings],
    troubled: &mut Vec<TenantProblems>,
    room: &LoaderConfig,
    source: &Source,
    goes_first: impl Fn(&str) -> bool,
) {
    let mut order: Vec<usize> = (0..tenants.len()).collect();
    order.sort_by_key(|number| !goes_first(&tenants[*number].name));
    let mut used = [(0, 0); 2];
    for number in order {
        let tenant = &mut tenants[number];
        let Some(guest) = &tenant.guest else { continue };
        let (name, instances, most) = match guest.class {
            SizeClass::Small => ("instances_small", room.instances_small as usize, &room.limits_small),
            SizeClass::Large => ("instances_large", room.instances_large as usize, &room.limits_large),
        };
        let (sum, largest) = &mut used[guest.class as usize];
        let (own, at) = (tenant.instances(), At::top().key("tenants").key(&tenant.name).keys("guest.limits"));
        let needed = *sum + own + 2 * (*largest).max(own);
        let what = |most: usize| format!("the process has room for {most} only");
        let fix = "start again; to be able to raise it later, write it in `maxima` before";
        let problem = if guest.limits.memory_bytes > most.memory_bytes {
            source.problem(&at.key("memory_bytes"), &what(most.memory_bytes), fix)
        } else if guest.limits.table_elements > most.table_elements {
            source.problem(&at.key("table_elements"), &what(most.table_elements), fix)
        } else if needed > instances {
            let what = format!(
                "with tenant `{}`, upgrades included, this class needs {needed} instances; there is room for {instances}",
                tenant.name
            );
            source.problem(
                &At::top().key("guests").key(name),
                &what,
                &format!("write at least {needed}, and start again"),
            )
        } else {
            (*sum, *largest) = (*sum + own, (*largest).max(own));
            continue;
        };
        tenant.guest = None;
        let (tenant, part) = (tenant.name.clone(), Part::Guest);
        troubled.push(TenantProblems { tenant, part, problems: problem.into() });
    }
}
