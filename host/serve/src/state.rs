//! What the admin listener, the reload and the life of the server share: the proxy, what runs, and what an operator should see.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, atomic::AtomicBool},
    time::{Duration, SystemTime},
};

use innkeeper_proxy::{Change, LoadError, Proxy, TenantError, What, core::UpgradeReport};

use crate::{
    ServerConfig,
    config::{AdminSettings, Problems, Settings, check, digest_of},
    history::{self, History},
    running::{Running, problem_of, with_causes},
    tenant_info::TenantInfo,
    watch::Watch,
};

/// What the admin listener, the reload and the life of the server share.
pub(crate) struct State {
    config: ServerConfig,
    pub(crate) proxy: Proxy,
    /// Held through a reload or an upgrade, so that they come one after another.
    running: tokio::sync::Mutex<Running>,
    pub(crate) tenants: RwLock<Arc<Vec<Arc<TenantInfo>>>>,
    history: Mutex<History>,
    notes: Mutex<Notes>,
    drain_delay: Mutex<Duration>,
    pub(crate) is_draining: AtomicBool,
    pub(crate) admin: Option<AdminSettings>,
    pub(crate) started: SystemTime,
}

/// What an operator should see that no counter tells.
#[derive(Default)]
struct Notes {
    reload: Option<(SystemTime, Result<usize, String>)>,
    upgrades: HashMap<String, (SystemTime, String)>,
}

/// What came of a reload.
#[derive(Debug)]
#[non_exhaustive]
pub struct Reloaded {
    /// What became of each tenant that is not as it was.
    pub changes: Vec<Change>,
    /// Fields that have changed and take effect at the next start.
    pub at_next_start: Vec<&'static str>,
}

/// Why nothing came of an action.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActionError {
    #[error(transparent)]
    Tenant(#[from] TenantError),
    #[error("{0}")]
    Read(String),
    #[error("the component is refused: {0}")]
    Load(#[from] LoadError),
}

impl State {
    pub(crate) fn new(config: ServerConfig, proxy: Proxy, settings: &Settings, running: Running) -> Self {
        Self {
            config,
            proxy,
            running: tokio::sync::Mutex::new(running),
            tenants: RwLock::new(Arc::new(settings.tenants.iter().map(TenantInfo::new).map(Arc::new).collect())),
            history: Mutex::default(),
            notes: Mutex::default(),
            drain_delay: Mutex::new(settings.drain_delay),
            is_draining: AtomicBool::new(false),
            admin: settings.admin.clone(),
            started: now(),
        }
    }

    /// What tells of changes of files.
    pub(crate) async fn settled(&self) -> Option<Arc<tokio::sync::Notify>> {
        self.running.lock().await.watch().map(Watch::settled)
    }

    /// How long a shutdown goes on accepting.
    pub(crate) fn drain_delay(&self) -> Duration {
        *self.drain_delay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn reload(&self) -> Result<Reloaded, Problems> {
        let reloaded = self.try_reload().await;
        match &reloaded {
            Ok(Reloaded { changes, at_next_start }) => {
                changes.iter().for_each(|change| self.tell(change));
                if !at_next_start.is_empty() {
                    tracing::warn!("changed, and taken over at the next start: {}", at_next_start.join(", "));
                }
                tracing::info!(changes = changes.len(), "configuration reloaded");
                self.notes().reload = Some((now(), Ok(changes.len())));
            }
            Err(problems) => {
                problems.iter().for_each(|problem| tracing::error!("not reloaded: {problem}"));
                self.notes().reload = Some((now(), Err(problems.to_string())));
            }
        }
        reloaded
    }

    async fn try_reload(&self) -> Result<Reloaded, Problems> {
        let mut running = self.running.lock().await;
        let (settings, wanted) = tokio::task::block_in_place(|| {
            let settings = check(&self.config.path, &self.config.overrides)?;
            let wanted = running.plan(&settings)?;
            Ok::<_, Problems>((settings, wanted))
        })?;
        let listeners = settings.listeners.iter().map(|(_, listener)| listener.clone()).collect();
        let applied = self.proxy.apply(listeners, settings.limits.clone(), wanted).await;
        let changes = applied.map_err(|error| Problems::from(problem_of(&error, &settings)))?;
        running.note(&settings);
        *self.drain_delay.lock().unwrap_or_else(PoisonError::into_inner) = settings.drain_delay;
        let before = self.infos();
        let mut infos: Vec<TenantInfo> = settings.tenants.iter().map(TenantInfo::new).collect();
        for change in &changes {
            let What::Changed { upgrade: Some(Err(_)), .. } = change.what else { continue };
            // What serves is the guest from before, and the next reload tries again.
            running.forget(&change.tenant);
            let served = before.iter().find(|info| info.name == change.tenant);
            let info = infos.iter_mut().find(|info| info.name == change.tenant);
            if let Some((info, served)) = info.zip(served) {
                info.digest = served.digest;
            }
        }
        self.set_infos(infos);
        Ok(Reloaded { changes, at_next_start: running.at_next_start(&settings) })
    }

    fn tell(&self, change: &Change) {
        let tenant = change.tenant.as_str();
        match &change.what {
            What::Added => tracing::info!(tenant, "added"),
            What::Removed => {
                self.notes().upgrades.remove(tenant);
                tracing::info!(tenant, "removed");
            }
            What::Changed { wiped, moved, upgrade } => {
                tracing::info!(tenant, wiped, moved, is_upgraded = matches!(upgrade, Some(Ok(_))), "changed");
                match upgrade {
                    Some(Err(error)) => self.note_refusal(tenant, &with_causes(error)),
                    // The guest that serves is the one that was wanted.
                    Some(Ok(_)) | None => drop(self.notes().upgrades.remove(tenant)),
                }
            }
            _ => {}
        }
    }

    fn note_refusal(&self, tenant: &str, why: &str) {
        tracing::error!(tenant, "not upgraded, the old guest goes on serving: {why}");
        self.notes().upgrades.insert(tenant.to_owned(), (now(), why.to_owned()));
    }

    /// Reads every counter for the sparklines.
    pub(crate) fn tick(&self) {
        let stats = self.proxy.stats();
        for (tenant, stats) in &stats {
            let rolled_back = stats.caches().find(|(_, cache)| cache.is_rolled_back);
            if let Some((role, _)) = rolled_back.filter(|_| self.refusal(tenant).is_none()) {
                self.note_refusal(
                    tenant,
                    &format!("rolled back in the role {}, since its faults suspended it", role.name()),
                );
            }
        }
        self.history.lock().unwrap_or_else(PoisonError::into_inner).note(&stats);
    }

    pub(crate) fn history(&self, tenant: &str) -> Vec<history::Reading> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).of(tenant)
    }

    fn set_infos(&self, infos: Vec<TenantInfo>) {
        let infos = infos.into_iter().map(Arc::new).collect();
        *self.tenants.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(infos);
    }

    pub(crate) fn infos(&self) -> Arc<Vec<Arc<TenantInfo>>> {
        Arc::clone(&self.tenants.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// When the configuration was last read again, and how many tenants that changed or why it did not do.
    pub(crate) fn last_reload(&self) -> Option<(SystemTime, Result<usize, String>)> {
        self.notes().reload.clone()
    }

    /// Why a tenant's guest is not the one that its file has, if so.
    pub(crate) fn refusal(&self, tenant: &str) -> Option<(SystemTime, String)> {
        self.notes().upgrades.get(tenant).cloned()
    }

    /// Reads a tenant's component file again, and puts the guest in the place of the running one.
    pub(crate) async fn upgrade(&self, tenant: &str) -> Result<UpgradeReport, ActionError> {
        let mut running = self.running.lock().await;
        let infos = self.infos();
        let info = infos.iter().find(|info| info.name == tenant);
        let info = info.ok_or_else(|| TenantError::Unknown(tenant.to_owned()))?;
        let upgraded = tokio::task::block_in_place(|| {
            let bytes = info.read().map_err(ActionError::Read)?;
            let digest = digest_of(&bytes);
            let guest = running.load(bytes, info)?;
            Ok::<_, ActionError>((self.proxy.upgrade(tenant, guest)?, digest))
        });
        // The next reload looks whether that is what its file has then.
        running.forget(tenant);
        match upgraded {
            Ok((report, digest)) => {
                self.notes().upgrades.remove(tenant);
                let with_digest = |own: &Arc<TenantInfo>| match own.name == tenant {
                    true => TenantInfo { digest, ..TenantInfo::clone(own) },
                    false => TenantInfo::clone(own),
                };
                self.set_infos(infos.iter().map(with_digest).collect());
                Ok(report)
            }
            Err(error) => {
                // The tenant's own error says no more than what is said around it.
                let why = match &error {
                    ActionError::Tenant(TenantError::Upgrade(why)) => with_causes(why),
                    error => with_causes(error),
                };
                self.note_refusal(tenant, &why);
                Err(error)
            }
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells people when; nothing is decided by it.
fn now() -> SystemTime {
    SystemTime::now()
}
