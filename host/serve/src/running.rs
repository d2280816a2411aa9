//! The running settings beside those of a configuration: settings that only a start changes, listeners, watched files.
//! And the place in the file of an error that appears at run time.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf};

use innkeeper_proxy::{
    ListenerConfig, LoaderConfig, StartError, TenantError,
    core::{Fault, OpenError, Role, SizeClass, Solo, log_line},
};

use crate::{
    config::{
        At, Digest, ListenAt, LogSettings, Part, Problem, Problems, Settings, Source, TenantProblems, TenantSettings,
        digest_of,
    },
    error::{ActionError, ServeError},
    guests::Guests,
    tenant_info::GuestInfo,
    watch::Watch,
};

/// Sockets from systemd.
pub(crate) type Sockets = Vec<std::net::TcpListener>;

/// The running settings, to compare with a new configuration.
pub(crate) struct Running {
    listeners: Vec<ListenAt>,
    fixed: Fixed,
    /// The settings of the engines.
    room: LoaderConfig,
    watch: Option<Watch>,
}

/// The settings that only a start changes.
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
    pub(crate) fn new(settings: &Settings, watch: Option<Watch>) -> Self {
        Self { listeners: Vec::new(), fixed: Fixed::of(settings), room: settings.loader.clone(), watch }
    }

    pub(crate) fn watch(&self) -> Option<&Watch> {
        self.watch.as_ref()
    }

    /// The room of this process's engines.
    pub(crate) fn room(&self) -> &LoaderConfig {
        &self.room
    }

    /// The changed fields that take effect at the next start.
    pub(crate) fn at_next_start(&self, settings: &Settings) -> Vec<&'static str> {
        self.fixed.changed(&Fixed::of(settings))
    }

    /// Notes the settings in force.
    pub(crate) fn note(&mut self, settings: &Settings) {
        self.listeners = settings.listeners.iter().map(|(listen_at, _)| *listen_at).collect();
        let none = BTreeSet::new();
        let files = if settings.watch { &settings.files } else { &none };
        let unwatched = self.watch.as_mut().map(|watch| watch.set(files)).unwrap_or_default();
        unwatched.iter().for_each(|what| tracing::warn!("{what}"));
    }

    /// The wanted listeners, each with its socket from systemd, if it has one.
    pub(crate) fn prepare(
        &mut self,
        settings: &Settings,
        sockets: Sockets,
    ) -> Result<Vec<(ListenerConfig, Option<std::net::TcpListener>)>, Problems> {
        // The watch sees every change from here on.
        if let Some(watch) = self.watch.as_mut().filter(|_| settings.watch) {
            watch.add(&settings.files);
        }
        let most = self.fixed.connections.saturating_sub(1);
        if settings.listeners.len() > most {
            let what = format!("this process was started with `connections.max = {}`", self.fixed.connections);
            let at = At::top().key("listeners");
            return Err(settings.source.problem(&at, &what, "start again, or leave a listener out").into());
        }
        let mut sockets: Vec<Option<std::net::TcpListener>> = sockets.into_iter().map(Some).collect();
        let mut listeners = Vec::new();
        for (number, (listen_at, listener)) in settings.listeners.iter().enumerate() {
            let socket = match listen_at {
                ListenAt::Systemd(socket) if !self.listeners.contains(listen_at) => {
                    let taken = sockets.get_mut(*socket).and_then(Option::take);
                    Some(taken.ok_or_else(|| no_socket(settings, number))?)
                }
                _ => None,
            };
            listeners.push((listener.clone(), socket));
        }
        Ok(listeners)
    }
}

/// Watches the files of settings, if enabled. Called before anything slow, so no change is missed.
pub(crate) fn watch(settings: &Settings) -> Option<Watch> {
    let watch = Watch::new().inspect_err(|error| tracing::warn!("cannot watch files, so changes need SIGHUP: {error}"));
    let mut watch = watch.ok()?;
    if settings.watch {
        watch.add(&settings.files);
    }
    Some(watch)
}

fn no_socket(settings: &Settings, listener: usize) -> Problems {
    let at = At::top().key("listeners").number(listener).key("address");
    let fix = "start it by a socket unit, or write an address";
    settings.source.problem(&at, "no such socket was handed over at start", fix).into()
}

/// Loads every guest, opens it once in each of its roles with its tenant's properties, and drops it again. Returns the
/// problems of single tenants, including [`Settings::troubled`]: everything that would keep a tenant from being served
/// as the file wants. Blocks for compilation.
///
/// # Errors
/// When the engine does not start.
pub fn try_out(settings: &Settings) -> Result<Vec<TenantProblems>, ServeError> {
    let guests = Guests::new(settings.loader.clone()).map_err(ServeError::Engine)?;
    let mut troubled = settings.troubled.clone();
    for tenant in &settings.tenants {
        if let Err(problems) = try_one(settings, &guests, tenant) {
            let (tenant, part) = (tenant.name.clone(), Part::Guest);
            troubled.push(TenantProblems { tenant, part, problems });
        }
    }
    Ok(troubled)
}

fn try_one(settings: &Settings, guests: &Guests, tenant: &TenantSettings) -> Result<(), Problems> {
    let Some(own) = &tenant.guest else { return Ok(()) };
    let info = GuestInfo::new(own, tenant.instances());
    let problem = |error: ActionError| Problems::from(guest_problem(&settings.source, &tenant.name, own.class, &error));
    let guest = guests.load(&own.component, &info).map_err(|error| problem(error.into()))?;
    for role in [Role::Server, Role::Client].into_iter().take(tenant.caches()) {
        let opened = Solo::open(&*guest, &own.limits, role, own.properties.clone(), 0);
        opened.map_err(|unopened| problem(TenantError::Cache(OpenError::Guest(unopened.fault)).into()))?;
    }
    Ok(())
}

const SAID_BYTES_MAX: usize = 300;

/// The problem of a tenant's guest that failed, with its place in the configuration.
pub(crate) fn guest_problem(source: &Source, tenant: &str, class: SizeClass, error: &ActionError) -> Problem {
    let at = |keys: &str| At::top().key("tenants").key(tenant).keys(keys);
    let said = match error {
        ActionError::Load(error) => error.to_string(),
        // A guest may have written a part of the text.
        error => log_line(&with_causes(error), SAID_BYTES_MAX),
    };
    let (at, fix) = match error {
        ActionError::Tenant(TenantError::Cache(OpenError::Guest(Fault::Instantiate { .. }))) => {
            let class = if class == SizeClass::Large { "instances_large" } else { "instances_small" };
            (
                At::top().key("guests").key(class),
                "write more, and start again: a tenant has its caches twice during a change",
            )
        }
        ActionError::Tenant(TenantError::Cache(OpenError::Guest(_))) => (
            at("guest.component"),
            "read the guest's log with `log.filter = \"info,innkeeper::guest=debug\"`, and try `innkeeper check` on it",
        ),
        ActionError::Tenant(TenantError::Cache(_)) => (at("guest.limits"), "change that limit"),
        _ => (at("guest.component"), "build it again, and try `innkeeper check` on it"),
    };
    match said.split_once("\nhint: ") {
        Some((what, fix)) => source.problem(&at, what, fix),
        None => source.problem(&at, &said, fix),
    }
}

/// The problem of a proxy that does not start or change, with its place in the configuration.
pub(crate) fn problem_of(error: &StartError, settings: &Settings) -> Problem {
    let tenant = |name: &str| At::top().key("tenants").key(name);
    let (at, fix) = match error {
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
