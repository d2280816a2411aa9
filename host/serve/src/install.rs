//! The installation of guests: compilation, `init`, upgrade, handover. All of these may take a guest's time.
//! Installations of one tenant come one after another, the newest of those that wait. Those of different tenants run in
//! parallel, bounded by places and by the engines' room.

use std::sync::Arc;

use innkeeper_proxy::{
    GuestChange, TenantError,
    core::{Guest, OpenError},
};
use tokio::{
    sync::oneshot,
    task::{JoinHandle, spawn_blocking},
};

use crate::{
    config::{Bytes, Digest},
    error::ActionError,
    guests::is_passing,
    installer::Installed,
    running::{guest_problem, with_causes},
    state::State,
    tenant_info::GuestInfo,
    tenants::Job,
};

/// Counts an installation in progress until it is dropped.
struct Pending(Arc<State>);

impl Pending {
    fn new(state: Arc<State>) -> Self {
        state.installer.pending.send_modify(|pending| *pending += 1);
        Self(state)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.installer.pending.send_modify(|pending| *pending -= 1);
    }
}

impl State {
    /// Begins to install a tenant's guest. The handle yields the outcome.
    pub(crate) fn install(self: &Arc<Self>, job: Job) -> JoinHandle<Installed> {
        let pending = Pending::new(Arc::clone(self));
        self.installer.runtime.spawn(async move {
            let state = &pending.0;
            let ready = tokio::select! {
                // A job that has begun is never given up.
                biased;
                () = job.superseded() => None,
                ready = state.begin(&job) => Some(ready),
            };
            let installed = match ready {
                None => Installed::Superseded,
                Some(Err(error)) => Installed::Refused(error),
                Some(Ok(ready)) => state.change_guest(&job, ready).await,
            };
            state.note_installed(&job, &installed);
            installed
        })
    }

    /// Does the part that can be given up: waits for the tenant's turn and for a place, compiles, and waits for room.
    async fn begin(self: &Arc<Self>, job: &Job) -> Result<Ready, ActionError> {
        let turn = Arc::clone(&job.turn).lock_owned().await;
        // Nobody closes this semaphore.
        let place = Arc::clone(&self.installer.places).acquire_owned().await;
        let component = match &job.component {
            Some(component) => component.clone(),
            None => {
                let guest = job.guest.clone();
                let read = spawn_blocking(move || guest.read()).await.map_err(panicked)?;
                Bytes::new(read.map_err(ActionError::Read)?)
            }
        };
        let digest = component.digest;
        let guest = self.load(component, job.guest.clone()).await?;
        let own = &job.guest;
        // Instances on trial, and instances on their way out.
        let room = self.installer.room.take(own.class, own.instances.saturating_mul(2)).await;
        Ok(Ready { guest, digest, guards: Box::new((turn, place, room)) })
    }

    async fn load(self: &Arc<Self>, component: Bytes, own: GuestInfo) -> Result<Arc<dyn Guest>, ActionError> {
        let load = match self.guests.has(&component, &own) {
            true => None,
            false => Some(Arc::clone(&self.installer.loads).acquire_owned().await),
        };
        let state = Arc::clone(self);
        let load = move || {
            let _load = load;
            state.guests.load(&component, &own)
        };
        Ok(spawn_blocking(load).await.map_err(panicked)??)
    }

    /// Does the part that cannot be given up.
    async fn change_guest(self: &Arc<Self>, job: &Job, ready: Ready) -> Installed {
        let Ready { guest, digest, guards } = ready;
        let (send, receive) = oneshot::channel();
        let (state, tenant, is_forced) = (Arc::clone(self), job.tenant.clone(), job.is_forced);
        let cache = job.guest.cache(&tenant);
        let pending = Pending::new(Arc::clone(self));
        spawn_blocking(move || {
            let changed = state.proxy.set_guest(&tenant, &cache, Arc::clone(&guest));
            let is_same = |change: &GuestChange| !change.is_first && change.moved.is_none() && change.upgrade.is_none();
            let changed = match changed {
                Ok(mut change) if is_forced && is_same(&change) => state.proxy.upgrade(&tenant, guest).map(|report| {
                    change.upgrade = Some(report);
                    change
                }),
                changed => changed,
            };
            // An error means that the waiter is gone.
            let _ = send.send(changed);
            drop(pending);
            // Instances that an upgrade has replaced keep their room until they are terminated. An error means that the
            // tenant is gone.
            let _ = state.proxy.settle_tenant(&tenant);
            drop(guards);
        });
        match receive.await {
            Ok(Ok(change)) => {
                self.set_guest_info(&job.tenant, GuestInfo { digest, ..job.guest.clone() });
                Installed::Done(change)
            }
            Ok(Err(error)) => Installed::Refused(error.into()),
            Err(_) => Installed::Refused(ActionError::Panicked),
        }
    }

    fn note_installed(&self, job: &Job, installed: &Installed) {
        let tenant = job.tenant.as_str();
        match installed {
            Installed::Superseded => {}
            Installed::Done(change) => {
                let digest = self.guest_digest(tenant).unwrap_or(job.guest.digest);
                self.tenants().installed(job, digest);
                let GuestChange { is_first, moved, upgrade, .. } = change;
                tracing::info!(tenant, is_first, moved, is_upgraded = upgrade.is_some(), "guest serves");
            }
            // The removal of the tenant has been logged.
            Installed::Refused(ActionError::Tenant(TenantError::Unknown(_))) => {}
            Installed::Refused(error) => self.note_guest_refused(job, error),
        }
    }

    fn note_guest_refused(&self, job: &Job, error: &ActionError) {
        let tenant = job.tenant.as_str();
        let is_upgrade = matches!(error, ActionError::Tenant(TenantError::Upgrade(_)));
        let has_guest = self.has_guest(tenant);
        let why = match error {
            // The outer error adds nothing to the log line below.
            ActionError::Tenant(TenantError::Upgrade(why)) => with_causes(why),
            error => self.with_source(|source| guest_problem(source, tenant, job.guest.class, error)).to_string(),
        };
        let may_pass = match error {
            ActionError::Load(error) => is_passing(error),
            ActionError::Tenant(TenantError::Cache(OpenError::Guest(_))) => !has_guest,
            _ => false,
        };
        match has_guest {
            true => tracing::error!(tenant, "not upgraded, the old guest goes on serving: {why}"),
            false => tracing::error!(tenant, "served without a guest: {why}"),
        }
        let retry_from_ms = may_pass.then(|| self.now_ms());
        self.tenants().refused(job, why, is_upgrade, retry_from_ms);
    }
}

/// Everything that the final part of an installation needs.
struct Ready {
    guest: Arc<dyn Guest>,
    /// The digest of the component.
    digest: Digest,
    /// The tenant's turn, a place and room, until the installation has ended.
    guards: Box<dyn Send>,
}

fn panicked(error: tokio::task::JoinError) -> ActionError {
    tracing::error!("the installation of a guest panicked, which is a bug of the server: {error}");
    ActionError::Panicked
}
