//! What runs, beside what a configuration wants: guests loaded, tenants planned, and where in the file it is that something
//! does not do.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
};

use innkeeper_proxy::{
    ListenerConfig, LoadError, LoaderConfig, StartError, TenantConfig, Wanted,
    core::{CacheConfig, Fault, Guest, OpenError, Role, SizeClass, Solo, log_line},
};

use crate::{
    ServeError,
    config::{
        At, Digest, ListenAt, LogSettings, Problem, Problems, Settings, Source, TenantSettings, digest_of,
        instances_needed,
    },
    guests::Guests,
    tenant_info::TenantInfo,
    watch::Watch,
};

/// What runs, to tell what a new configuration changes.
pub(crate) struct Running {
    guests: Guests,
    tenants: HashMap<String, Digest>,
    listeners: Vec<ListenAt>,
    fixed: Fixed,
    /// What the engines were made with.
    room: LoaderConfig,
    watch: Option<Watch>,
}

/// What only a start changes, each with its name.
#[derive(PartialEq)]
struct Fixed {
    connections: usize,
    admin: Option<(SocketAddr, Vec<String>, usize, Option<Digest>)>,
    log: LogSettings,
    guests: (Option<PathBuf>, u32, u32, Option<usize>),
}

impl Fixed {
    fn of(settings: &Settings) -> Self {
        let Settings { limits, admin, log, loader, owner_threads, .. } = settings;
        Self {
            connections: limits.connections,
            admin: admin.as_ref().map(|admin| {
                let token = admin.token.as_ref().map(|token| digest_of(token.as_bytes()));
                (admin.address, admin.hosts.clone(), admin.metrics_tenants, token)
            }),
            log: log.clone(),
            guests: (loader.compile_cache.clone(), loader.instances_small, loader.instances_large, *owner_threads),
        }
    }

    fn changed(&self, new: &Self) -> Vec<&'static str> {
        let fields = [
            ("connections.max", self.connections != new.connections),
            ("admin", self.admin != new.admin),
            ("log", self.log != new.log),
            ("guests", self.guests != new.guests),
        ];
        fields.into_iter().filter(|(_, is_changed)| *is_changed).map(|(name, _)| name).collect()
    }
}

impl Running {
    pub(crate) fn new(settings: &Settings, guests: Guests, watch: Option<Watch>) -> Self {
        let mut running = Self {
            guests,
            tenants: HashMap::new(),
            listeners: settings.listeners.iter().map(|(listen_at, _)| *listen_at).collect(),
            fixed: Fixed::of(settings),
            room: settings.loader.clone(),
            watch,
        };
        running.note(settings);
        running
    }

    pub(crate) fn watch(&self) -> Option<&Watch> {
        self.watch.as_ref()
    }

    /// Fields that have changed and take effect at the next start.
    pub(crate) fn at_next_start(&self, settings: &Settings) -> Vec<&'static str> {
        self.fixed.changed(&Fixed::of(settings))
    }

    /// Has the next plan set a tenant up, as if it had changed.
    pub(crate) fn forget(&mut self, tenant: &str) {
        self.tenants.remove(tenant);
    }

    /// A guest from the bytes that a tenant's file has by now. Blocking.
    pub(crate) fn load(&mut self, bytes: Vec<u8>, tenant: &TenantInfo) -> Result<Arc<dyn Guest>, LoadError> {
        self.guests.load_bytes(bytes, tenant)
    }

    /// Notes what runs now.
    pub(crate) fn note(&mut self, settings: &Settings) {
        self.tenants = settings.tenants.iter().map(|tenant| (tenant.name.clone(), tenant.digest)).collect();
        self.listeners = settings.listeners.iter().map(|(listen_at, _)| *listen_at).collect();
        let none = BTreeSet::new();
        let files = if settings.watch { &settings.files } else { &none };
        let unwatched = self.watch.as_mut().map(|watch| watch.set(files)).unwrap_or_default();
        unwatched.iter().for_each(|what| tracing::warn!("{what}"));
    }

    /// What the engines of this process have no room for.
    fn check_room(&self, settings: &Settings) -> Vec<Problem> {
        let rooms = [
            (SizeClass::Small, "instances_small", self.room.instances_small, &self.room.limits_small),
            (SizeClass::Large, "instances_large", self.room.instances_large, &self.room.limits_large),
        ];
        let most_listeners = self.fixed.connections.saturating_sub(1);
        let fix = "start again; to be able to raise it later, write it in `maxima` before";
        let mut problems = Vec::new();
        if settings.listeners.len() > most_listeners {
            let what = format!("this process was started with `connections.max = {}`", self.fixed.connections);
            let at = At::top().key("listeners");
            problems.push(settings.source.problem(&at, &what, "start again, or leave a listener out"));
        }
        for (class, name, instances, most) in rooms {
            let needed = instances_needed(&settings.tenants, class);
            if needed > instances as usize {
                let at = At::top().key("guests").key(name);
                let what = format!("{needed} are needed, and this process was started with room for {instances}");
                problems.push(settings.source.problem(&at, &what, "write at least as many, and start again"));
            }
            for tenant in settings.tenants.iter().filter(|tenant| tenant.guest.class == class) {
                let at = |name| At::top().key("tenants").key(&tenant.name).keys("guest.limits").key(name);
                let limits = &tenant.limits;
                let what = |most: usize| format!("this process was started with room for {most}");
                if limits.memory_bytes > most.memory_bytes {
                    problems.push(settings.source.problem(&at("memory_bytes"), &what(most.memory_bytes), fix));
                }
                if limits.table_elements > most.table_elements {
                    problems.push(settings.source.problem(&at("table_elements"), &what(most.table_elements), fix));
                }
            }
        }
        problems
    }

    /// What is to become of each tenant. Compiles what is new.
    pub(crate) fn plan(&mut self, settings: &Settings) -> Result<Vec<Wanted>, Problems> {
        // Guests take their time to be compiled, and files may change meanwhile.
        if let Some(watch) = self.watch.as_mut().filter(|_| settings.watch) {
            watch.add(&settings.files);
        }
        let mut problems = self.check_room(settings);
        let mut wanted = Vec::new();
        for tenant in &settings.tenants {
            if self.tenants.get(&tenant.name) == Some(&tenant.digest) {
                wanted.push(Wanted::Kept(tenant.name.clone()));
                continue;
            }
            match self.guests.load(tenant) {
                Ok(guest) => wanted.push(Wanted::Set(Box::new(tenant_config(tenant, guest)))),
                Err(error) => problems.push(load_problem(&settings.source, tenant, &error)),
            }
        }
        let is_new =
            |listen_at: &ListenAt| matches!(listen_at, ListenAt::Systemd(_)) && !self.listeners.contains(listen_at);
        let without = settings.listeners.iter().position(|(listen_at, _)| is_new(listen_at));
        problems.extend(without.map(|number| no_socket(settings, number)));
        Problems::none_of(problems).map(|()| wanted)
    }
}

/// Watches the files of settings, if they are to be watched, from before anything takes its time.
pub(crate) fn watch(settings: &Settings) -> Option<Watch> {
    let watch = Watch::new().inspect_err(|error| tracing::warn!("changes of files are not seen: {error}"));
    let mut watch = watch.ok()?;
    if settings.watch {
        watch.add(&settings.files);
    }
    Some(watch)
}

/// Loads the guest of every tenant. Each different one is compiled once.
pub(crate) fn load_all(settings: &Settings, guests: &mut Guests) -> Result<Vec<TenantConfig>, Problems> {
    let (mut tenants, mut problems) = (Vec::new(), Vec::new());
    for tenant in &settings.tenants {
        match guests.load(tenant) {
            Ok(guest) => tenants.push(tenant_config(tenant, guest)),
            Err(error) => problems.push(load_problem(&settings.source, tenant, &error)),
        }
    }
    Problems::none_of(problems).map(|()| tenants)
}

fn load_problem(source: &Source, tenant: &TenantSettings, error: &LoadError) -> Problem {
    let at = At::top().key("tenants").key(&tenant.name).keys("guest.component");
    let said = error.to_string();
    let (what, fix) = said.split_once("\nhint: ").unwrap_or((&said, "build it anew and try `innkeeper check` on it"));
    source.problem(&at, what, fix)
}

fn tenant_config(tenant: &TenantSettings, guest: Arc<dyn Guest>) -> TenantConfig {
    let TenantSettings {
        name, server_names, tls, upstream, bounds, limits, overflow, properties, readers, idle, ..
    } = tenant;
    let cache = CacheConfig {
        overflow: *overflow,
        properties: properties.clone(),
        readers: *readers,
        idle: *idle,
        ..CacheConfig::new(name, Role::Server, limits.clone())
    };
    TenantConfig {
        name: name.clone(),
        server_names: server_names.clone(),
        tls: tls.clone(),
        upstream: upstream.clone(),
        cache,
        guest,
        bounds: bounds.clone(),
    }
}

/// The sockets that systemd has handed over, each for the listener that names it.
pub(crate) fn with_sockets(
    settings: &Settings,
    sockets: Vec<std::net::TcpListener>,
) -> Result<Vec<(ListenerConfig, Option<std::net::TcpListener>)>, Problems> {
    let mut sockets: Vec<Option<std::net::TcpListener>> = sockets.into_iter().map(Some).collect();
    let mut listeners = Vec::new();
    for (number, (listen_at, listener)) in settings.listeners.iter().enumerate() {
        let socket = match listen_at {
            ListenAt::Address(_) => None,
            ListenAt::Systemd(socket) => {
                let taken = sockets.get_mut(*socket).and_then(Option::take);
                Some(taken.ok_or_else(|| Problems::from(no_socket(settings, number)))?)
            }
        };
        listeners.push((listener.clone(), socket));
    }
    Ok(listeners)
}

fn no_socket(settings: &Settings, listener: usize) -> Problem {
    let at = At::top().key("listeners").number(listener).key("address");
    settings.source.problem(
        &at,
        "no such socket was handed over at start",
        "start it by a socket unit, or write an address",
    )
}

/// Loads every guest and opens it once in each role that it is to have, with its tenant's properties, and drops it again:
/// whatever would keep a server from starting, but for addresses that are taken. Blocks for compilation.
///
/// # Errors
/// Everything that is wrong.
pub fn try_out(settings: &Settings) -> Result<(), ServeError> {
    let mut guests = Guests::new(settings.loader.clone()).map_err(ServeError::Engine)?;
    let configs = load_all(settings, &mut guests)?;
    let mut problems = Vec::new();
    for config in configs {
        let roles = [Role::Server, Role::Client].into_iter().take(1 + usize::from(config.upstream.tls.is_some()));
        let CacheConfig { limits, properties, .. } = &config.cache;
        let opened = roles.map(|role| Solo::open(&*config.guest, limits, role, properties.clone(), 0).map(|_| ()));
        if let Err(unopened) = opened.collect::<Result<(), _>>() {
            let error = StartError::Cache { tenant: config.name, source: OpenError::Guest(unopened.fault) };
            problems.push(problem_of(&error, settings));
        }
    }
    Ok(Problems::none_of(problems)?)
}

const SAID_BYTES_MAX: usize = 300;

/// Where in the configuration it is that the proxy does not start, or does not change.
pub(crate) fn problem_of(error: &StartError, settings: &Settings) -> Problem {
    let tenant = |name: &str| At::top().key("tenants").key(name);
    let (at, fix) = match error {
        StartError::Cache { tenant: name, source: OpenError::Guest(Fault::Instantiate { .. }) } => {
            let own = settings.tenants.iter().find(|tenant| tenant.name == *name).map(|tenant| tenant.guest.class);
            let class = if own == Some(SizeClass::Large) { "instances_large" } else { "instances_small" };
            (
                At::top().key("guests").key(class),
                "write more, and start again: a tenant that changes has its caches twice",
            )
        }
        StartError::Cache { tenant: name, source: OpenError::Guest(_) } => (
            tenant(name).keys("guest.component"),
            "see what the guest logs with `log.filter = \"info,innkeeper::guest=debug\"`, and try `innkeeper check` on it",
        ),
        StartError::Cache { tenant: name, .. } => (tenant(name).keys("guest.limits"), "change that limit"),
        StartError::Certificate { tenant: name, .. } => (tenant(name).key("certificates"), "name other files"),
        StartError::Listen { address, .. } => {
            let own = settings.listeners.iter().position(|(_, listener)| listener.address == *address);
            let at = At::top().key("listeners").number(own.unwrap_or(0)).key("address");
            (at, "end what listens there, or write another address; a port below 1024 wants CAP_NET_BIND_SERVICE")
        }
        StartError::ServerNameTwice { second, .. } => {
            (tenant(second).key("server_names"), "leave it out of one of the two")
        }
        StartError::NoServerName(name) => (tenant(name).key("server_names"), "write at least one"),
        _ => (At::top().key("tenants"), "see the configuration reference"),
    };
    // A guest may have had a hand in the text.
    settings.source.problem(&at, &log_line(&with_causes(error), SAID_BYTES_MAX), fix)
}

/// An error and its causes in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let next = cause.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        source = cause.source();
    }
    text.replace('\n', "; ")
}
