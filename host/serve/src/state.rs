//! The state that the admin listener, the reload and the server's life share: the proxy, the running settings, and
//! everything that an operator sees.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, atomic::AtomicBool},
    time::{Duration, SystemTime},
};

use innkeeper_proxy::{
    Change, GuestChange, Proxy, TenantError, What,
    core::{Clock, UpgradeReport},
};
use tokio::task::{JoinHandle, block_in_place};

use crate::{
    config::{AdminSettings, Digest, Overrides, Part, Problems, Settings, Source, check, fit},
    error::ActionError,
    guests::Guests,
    history::{self, History},
    installer::{Installed, Installer},
    room::Room,
    running::{Running, Sockets, problem_of},
    tenant_info::{GuestInfo, TenantInfo},
    tenants::{Tenants, Trouble},
    watch::Watch,
};

/// The state that the admin listener, the reload and the server's life share.
pub(crate) struct State {
    config: ServerConfig,
    pub(crate) proxy: Proxy,
    pub(crate) guests: Guests,
    pub(crate) installer: Installer,
    /// Locked while a configuration is read and taken over, its guests aside, so reloads come one after another.
    /// Meanwhile no guest is asked. The locks below are held for an instant.
    running: tokio::sync::Mutex<Running>,
    tenants: Mutex<Tenants>,
    /// The configuration in force, which tells the place of a problem.
    source: Mutex<Arc<Source>>,
    pub(crate) infos: RwLock<Arc<Vec<Arc<TenantInfo>>>>,
    history: Mutex<History>,
    /// The time of the last reload, with the number of changed tenants or the problems.
    last_reload: Mutex<Option<(SystemTime, Result<usize, String>)>>,
    drain_delay: Mutex<Duration>,
    pub(crate) is_draining: AtomicBool,
    pub(crate) admin: Option<AdminSettings>,
    pub(crate) started: SystemTime,
}

/// The source of a server's settings.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The configuration file.
    pub path: PathBuf,
    /// The overrides of the file.
    pub overrides: Overrides,
    /// The clock of every cache.
    pub clock: Clock,
}

/// The outcome of a reload.
#[derive(Debug)]
#[non_exhaustive]
pub struct Reloaded {
    /// The change of each tenant that is not as it was.
    pub changes: Vec<Change>,
    /// The problems of single tenants, by name. Every other tenant is as the file wants it.
    pub troubles: Vec<(String, Trouble)>,
    /// The changed fields that take effect at the next start.
    pub at_next_start: Vec<&'static str>,
}

/// A reload whose installations may still be in progress.
pub(crate) struct Begun {
    changes: Vec<Change>,
    installs: Vec<(String, JoinHandle<Installed>)>,
    at_next_start: Vec<&'static str>,
}

/// The reason of a reload. It decides if unchanged guests that were refused are tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Files have changed.
    FilesChanged,
    /// An operator wants it: everything is tried again.
    AskedFor,
}

/// The outcome of an operator's upgrade.
pub(crate) enum Upgraded {
    /// The guest was exchanged.
    Exchanged(UpgradeReport),
    /// The tenant had no guest, or one under other limits. Now it has the guest of its file.
    Opened {
        /// Sessions handed over from the old caches.
        moved: Option<usize>,
    },
}

impl State {
    pub(crate) fn new(
        config: ServerConfig,
        proxy: Proxy,
        guests: Guests,
        settings: &Settings,
        running: Running,
    ) -> Self {
        Self {
            config,
            proxy,
            guests,
            installer: Installer::new(Room::new(&settings.loader)),
            running: tokio::sync::Mutex::new(running),
            tenants: Mutex::default(),
            source: Mutex::default(),
            infos: RwLock::default(),
            history: Mutex::default(),
            last_reload: Mutex::default(),
            drain_delay: Mutex::new(settings.drain_delay),
            is_draining: AtomicBool::new(false),
            admin: settings.admin.clone(),
            started: now(),
        }
    }

    /// The notification of changed files.
    pub(crate) async fn files_settled(&self) -> Option<Arc<tokio::sync::Notify>> {
        self.running.lock().await.watch().map(Watch::settled)
    }

    /// The time that a shutdown goes on accepting.
    pub(crate) fn drain_delay(&self) -> Duration {
        *lock(&self.drain_delay)
    }

    /// Reads the configuration again and takes it over, and waits for the guests.
    pub(crate) async fn reload(self: &Arc<Self>) -> Result<Reloaded, Problems> {
        let begun = self.begin_reload(Reason::AskedFor).await?;
        Ok(self.finish_reload(begun).await)
    }

    /// Reads the configuration again and takes it over. Guests are installed in the background; none is asked here.
    pub(crate) async fn begin_reload(self: &Arc<Self>, reason: Reason) -> Result<Begun, Problems> {
        let mut running = self.running.lock().await;
        let checked = block_in_place(|| check(&self.config.path, &self.config.overrides));
        let begun = match checked {
            Ok(settings) => self.take_over(&mut running, settings, Vec::new(), reason).await,
            Err(problems) => Err(problems),
        };
        match &begun {
            Ok(Begun { changes, installs, at_next_start }) => {
                if !at_next_start.is_empty() {
                    tracing::warn!("changed, and taken over at the next start: {}", at_next_start.join(", "));
                }
                let in_trouble = self.troubles().len();
                tracing::info!(changes = changes.len(), guests = installs.len(), in_trouble, "configuration reloaded");
                *lock(&self.last_reload) = Some((now(), Ok(changes.len())));
            }
            Err(problems) => {
                problems.iter().for_each(|problem| tracing::error!("not reloaded: {problem}"));
                *lock(&self.last_reload) = Some((now(), Err(problems.to_string())));
            }
        }
        begun
    }

    /// Takes over the first configuration. Guests are installed in the background.
    pub(crate) async fn start(self: &Arc<Self>, settings: Settings, sockets: Sockets) -> Result<(), Problems> {
        let mut running = self.running.lock().await;
        // Nobody waits for the guests here: `settled` does.
        self.take_over(&mut running, settings, sockets, Reason::AskedFor).await.map(drop)
    }

    async fn take_over(
        self: &Arc<Self>,
        running: &mut Running,
        mut settings: Settings,
        sockets: Sockets,
        reason: Reason,
    ) -> Result<Begun, Problems> {
        let listeners = running.prepare(&settings, sockets)?;
        if reason == Reason::AskedFor {
            self.guests.forget_refusals();
        }
        let wanted = {
            let tenants = self.tenants();
            let goes_first = |name: &str| tenants.is_installed(name);
            fit(&mut settings.tenants, &mut settings.troubled, running.room(), &settings.source, goes_first);
            tenants.wanted(&settings)
        };
        let applied = self.proxy.apply(listeners, settings.limits.clone(), wanted).await;
        let changes = applied.map_err(|error| Problems::from(problem_of(&error, &settings)))?;
        running.note(&settings);
        *lock(&self.drain_delay) = settings.drain_delay;
        *lock(&self.source) = Arc::new(settings.source.clone());
        let jobs = {
            let is_asked_for = reason == Reason::AskedFor;
            self.tenants().note(&settings, &changes, is_asked_for, |error| problem_of(error, &settings))
        };
        self.note_infos(&settings, &changes);
        self.tell_troubles(&settings, &changes);
        let changes: Vec<Change> =
            changes.into_iter().filter(|change| !matches!(change.what, What::Refused(_))).collect();
        changes.iter().for_each(tell);
        let installs = jobs.into_iter().map(|job| (job.tenant.clone(), self.install(job))).collect();
        Ok(Begun { changes, installs, at_next_start: running.at_next_start(&settings) })
    }

    /// Waits for a reload's installations, except superseded ones.
    pub(crate) async fn finish_reload(&self, begun: Begun) -> Reloaded {
        let Begun { mut changes, installs, at_next_start } = begun;
        for (tenant, install) in installs {
            let (moved_now, upgrade_now) = match install.await {
                Ok(Installed::Done(GuestChange { moved, upgrade, .. })) => (moved, upgrade.map(Ok)),
                Ok(Installed::Refused(ActionError::Tenant(TenantError::Upgrade(error)))) => (None, Some(Err(error))),
                _ => continue,
            };
            match changes.iter_mut().find(|change| change.tenant == tenant).map(|change| &mut change.what) {
                Some(What::Changed { moved, upgrade, .. }) => (*moved, *upgrade) = (moved_now, upgrade_now),
                Some(_) => {}
                None => {
                    let what = What::Changed { wiped: 0, moved: moved_now, upgrade: upgrade_now };
                    changes.push(Change { tenant, what });
                }
            }
        }
        Reloaded { changes, troubles: self.troubles(), at_next_start }
    }

    /// Logs a line for each problem of a single tenant.
    fn tell_troubles(&self, settings: &Settings, changes: &[Change]) {
        for troubled in &settings.troubled {
            let tenant = troubled.tenant.as_str();
            let Some(Trouble { standing, .. }) = self.trouble(tenant) else { continue };
            let (standing, part) = (standing.name(), if troubled.part == Part::Front { "tenant" } else { "guest" });
            troubled
                .problems
                .iter()
                .for_each(|problem| tracing::error!(tenant, standing, "{part} not taken over: {problem}"));
        }
        for Change { tenant, what } in changes {
            if let What::Refused(error) = what {
                tracing::error!(tenant, "tenant not taken over: {}", problem_of(error, settings));
            }
        }
    }

    /// Reads every counter for the sparklines, and tries guests again that failed to open.
    pub(crate) fn tick(self: &Arc<Self>) {
        let stats = self.proxy.stats();
        for (tenant, stats) in &stats {
            let Some((role, _)) = stats.caches().find(|(_, cache)| cache.is_rolled_back) else { continue };
            let why = format!("rolled back in the role {}, since its faults suspended it", role.name());
            if self.tenants().rolled_back(tenant, &why) {
                tracing::error!(tenant, "not upgraded, the old guest goes on serving: {why}");
            }
        }
        lock(&self.history).note(&stats);
        let due = self.tenants().due(self.now_ms());
        due.into_iter().for_each(|job| drop(self.install(job)));
    }

    pub(crate) fn history(&self, tenant: &str) -> Vec<history::Reading> {
        lock(&self.history).of(tenant)
    }

    /// Notes the settings in force of every tenant, each with its guest.
    fn note_infos(&self, settings: &Settings, changes: &[Change]) {
        let refused: HashSet<&str> = changes
            .iter()
            .filter(|change| matches!(change.what, What::Refused(_)))
            .map(|change| change.tenant.as_str())
            .collect();
        let mut infos = self.infos.write().unwrap_or_else(PoisonError::into_inner);
        let mut before: Vec<Option<Arc<TenantInfo>>> = infos.iter().cloned().map(Some).collect();
        let mut take = |name: &str| {
            let place = before.iter_mut().find(|own| own.as_ref().is_some_and(|own| own.name == name));
            place.and_then(Option::take)
        };
        let mut after = Vec::new();
        for tenant in &settings.tenants {
            let own = take(&tenant.name);
            match refused.contains(tenant.name.as_str()) {
                true => after.extend(own),
                false => {
                    let guest = own.and_then(|own| own.guest.clone());
                    after.push(Arc::new(TenantInfo::new(tenant, guest)));
                }
            }
        }
        let troubled = settings.troubled.iter().filter(|troubled| troubled.part == Part::Front);
        after.extend(troubled.filter_map(|troubled| take(&troubled.tenant)));
        for gone in before.into_iter().flatten() {
            self.installer.room.note(&gone.name, None);
        }
        *infos = Arc::new(after);
    }

    /// Notes the guest that serves a tenant.
    pub(crate) fn set_guest_info(&self, tenant: &str, guest: GuestInfo) {
        let mut infos = self.infos.write().unwrap_or_else(PoisonError::into_inner);
        let Some(number) = infos.iter().position(|info| info.name == tenant) else { return };
        self.installer.room.note(tenant, Some((guest.class, guest.instances)));
        let mut all = Vec::clone(&infos);
        all[number] = Arc::new(TenantInfo { guest: Some(guest), ..TenantInfo::clone(&all[number]) });
        *infos = Arc::new(all);
    }

    pub(crate) fn infos(&self) -> Arc<Vec<Arc<TenantInfo>>> {
        Arc::clone(&self.infos.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The digest of the component that serves a tenant.
    pub(crate) fn guest_digest(&self, tenant: &str) -> Option<Digest> {
        let infos = self.infos();
        let info = infos.iter().find(|info| info.name == tenant)?;
        info.guest.as_ref().map(|guest| guest.digest)
    }

    /// The time of the last reload, with the number of changed tenants or the problems.
    pub(crate) fn last_reload(&self) -> Option<(SystemTime, Result<usize, String>)> {
        lock(&self.last_reload).clone()
    }

    /// The problems of a tenant, if any.
    pub(crate) fn trouble(&self, tenant: &str) -> Option<Trouble> {
        self.tenants().trouble(tenant, |name| self.has_guest(name))
    }

    /// The problems of single tenants.
    pub(crate) fn troubles(&self) -> Vec<(String, Trouble)> {
        self.tenants().troubles(|name| self.has_guest(name))
    }

    /// True if a tenant's guest is being compiled, opened or upgraded, or waits for that.
    pub(crate) fn is_pending(&self, tenant: &str) -> bool {
        self.tenants().is_pending(tenant)
    }

    pub(crate) fn has_guest(&self, tenant: &str) -> bool {
        self.proxy.has_guest(tenant)
    }

    /// Reads a tenant's component file again, and replaces the running guest or installs the first one.
    pub(crate) async fn upgrade(self: &Arc<Self>, tenant: &str) -> Result<Upgraded, ActionError> {
        self.proxy.stats_of(tenant)?;
        let job = self.tenants().job(tenant).ok_or(ActionError::NothingWanted)?;
        match self.install(job).await.map_err(|_| ActionError::Panicked)? {
            Installed::Done(GuestChange { upgrade: Some(report), .. }) => Ok(Upgraded::Exchanged(report)),
            Installed::Done(GuestChange { moved, .. }) => Ok(Upgraded::Opened { moved }),
            Installed::Superseded => Err(ActionError::Superseded),
            Installed::Refused(error) => Err(error),
        }
    }

    /// Calls a function with the configuration in force.
    pub(crate) fn with_source<T>(&self, with: impl FnOnce(&Source) -> T) -> T {
        let source = Arc::clone(&lock(&self.source));
        with(&source)
    }

    /// The time on the clock of every cache.
    pub(crate) fn now_ms(&self) -> u64 {
        self.config.clock.now_ms()
    }

    pub(crate) fn tenants(&self) -> MutexGuard<'_, Tenants> {
        lock(&self.tenants)
    }
}

fn tell(change: &Change) {
    let tenant = change.tenant.as_str();
    match &change.what {
        What::Added => tracing::info!(tenant, "added"),
        What::Removed => tracing::info!(tenant, "removed"),
        What::Changed { wiped, .. } => tracing::info!(tenant, wiped, "changed"),
        _ => {}
    }
}

/// No code that panics runs under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time for people to read; no decision depends on it.
fn now() -> SystemTime {
    SystemTime::now()
}
