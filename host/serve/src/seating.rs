//! Changes of tenants' guests, which may take a guest's time: compilation, `init`, upgrade, hand-over. Each tenant's are made one
//! after another, the newest of those that wait; different tenants' beside each other, bounded by places and by the engines' room.

use std::sync::Arc;

use innkeeper_proxy::{
    GuestChange, TenantError,
    core::{Guest, OpenError},
};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, oneshot, watch},
    task::{JoinHandle, spawn_blocking},
};

use crate::{
    config::{Bytes, Digest},
    guests::is_passing,
    room::Room,
    running::{guest_problem, with_causes},
    state::{ActionError, State},
    tenant_info::GuestInfo,
    tenants::Job,
};

/// Changes of guests at a time. Each has a thread of the runtime, which has 512 for all that blocks.
const CHANGES_AT_ONCE: usize = 64;

/// Components loaded at a time: as many as are compiled at a time, so that none waits for the compiler longer than it may. One that
/// has been compiled, or was refused, does not count.
const LOADS_AT_ONCE: usize = 2;

/// What bounds changes of guests.
pub(crate) struct Seating {
    places: Arc<Semaphore>,
    loads: Arc<Semaphore>,
    pub(crate) room: Arc<Room>,
    /// How many changes have been begun and have not ended.
    pending: watch::Sender<usize>,
    runtime: Handle,
}

/// A change that has been begun, until it is dropped.
struct Pending(Arc<State>);

impl Pending {
    fn new(state: Arc<State>) -> Self {
        state.seating.pending.send_modify(|pending| *pending += 1);
        Self(state)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.seating.pending.send_modify(|pending| *pending -= 1);
    }
}

/// What came of a job.
pub(crate) enum Seated {
    /// The guest serves.
    Done(GuestChange),
    /// A newer one has come before it was begun.
    Superseded,
    /// The guest was refused; whatever served before goes on.
    Refused(ActionError),
}

impl Seating {
    /// Must be called within a tokio runtime.
    pub(crate) fn new(room: Room) -> Self {
        Self {
            places: Arc::new(Semaphore::new(CHANGES_AT_ONCE)),
            loads: Arc::new(Semaphore::new(LOADS_AT_ONCE)),
            room: Arc::new(room),
            pending: watch::Sender::new(0),
            runtime: Handle::current(),
        }
    }

    /// Waits until every change that has been begun has ended.
    pub(crate) async fn settled(&self) {
        // The sender is here.
        let _ = self.pending.subscribe().wait_for(|pending| *pending == 0).await;
    }
}

impl State {
    /// Begins a change of a tenant's guest, and says what came of it.
    pub(crate) fn seat(self: &Arc<Self>, job: Job) -> JoinHandle<Seated> {
        let pending = Pending::new(Arc::clone(self));
        self.seating.runtime.spawn(async move {
            let state = &pending.0;
            let seated = tokio::select! {
                // A job that is under way is not given up.
                biased;
                () = job.superseded() => None,
                ready = state.begin(&job) => Some(ready),
            };
            let seated = match seated {
                None => Seated::Superseded,
                Some(Err(error)) => Seated::Refused(error),
                Some(Ok(ready)) => state.change_guest(&job, ready).await,
            };
            state.note_seated(&job, &seated);
            seated
        })
    }

    /// Does what can be given up: waits for the tenant's turn and for a place, compiles, waits for room.
    async fn begin(self: &Arc<Self>, job: &Job) -> Result<Ready, ActionError> {
        let turn = Arc::clone(&job.turn).lock_owned().await;
        // Closed by nobody.
        let place = Arc::clone(&self.seating.places).acquire_owned().await;
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
        // Those that are tried, and those that are on their way out.
        let room = self.seating.room.take(own.class, own.instances.saturating_mul(2)).await;
        Ok(Ready { guest, digest, held: Box::new((turn, place, room)) })
    }

    async fn load(self: &Arc<Self>, component: Bytes, own: GuestInfo) -> Result<Arc<dyn Guest>, ActionError> {
        let load = match self.guests.has(&component, &own) {
            true => None,
            false => Some(Arc::clone(&self.seating.loads).acquire_owned().await),
        };
        let state = Arc::clone(self);
        let load = move || {
            let _load = load;
            state.guests.load(&component, &own)
        };
        Ok(spawn_blocking(load).await.map_err(panicked)??)
    }

    /// Does what cannot be given up.
    async fn change_guest(self: &Arc<Self>, job: &Job, ready: Ready) -> Seated {
        let Ready { guest, digest, held } = ready;
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
            // An error means that nobody waits any more.
            let _ = send.send(changed);
            drop(pending);
            // What an upgrade has replaced has its room until it has been terminated. A tenant that is gone has none.
            let _ = state.proxy.settle_tenant(&tenant);
            drop(held);
        });
        match receive.await {
            Ok(Ok(change)) => {
                self.set_guest_info(&job.tenant, GuestInfo { digest, ..job.guest.clone() });
                Seated::Done(change)
            }
            Ok(Err(error)) => Seated::Refused(error.into()),
            Err(_) => Seated::Refused(ActionError::Panicked),
        }
    }

    fn note_seated(&self, job: &Job, seated: &Seated) {
        let tenant = job.tenant.as_str();
        match seated {
            Seated::Superseded => {}
            Seated::Done(change) => {
                let digest = self.guest_digest(tenant).unwrap_or(job.guest.digest);
                self.tenants().seated(job, digest);
                let GuestChange { is_first, moved, upgrade, .. } = change;
                tracing::info!(tenant, is_first, moved, is_upgraded = upgrade.is_some(), "guest serves");
            }
            // Whoever took it away has said so.
            Seated::Refused(ActionError::Tenant(TenantError::Unknown(_))) => {}
            Seated::Refused(error) => self.note_guest_refused(job, error),
        }
    }

    fn note_guest_refused(&self, job: &Job, error: &ActionError) {
        let tenant = job.tenant.as_str();
        let is_upgrade = matches!(error, ActionError::Tenant(TenantError::Upgrade(_)));
        let has_guest = self.has_guest(tenant);
        let why = match error {
            // The tenant's own error says no more than what is said around it.
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

/// What a change needs that cannot be given up.
struct Ready {
    guest: Arc<dyn Guest>,
    /// Of the component.
    digest: Digest,
    /// The tenant's turn, a place and room, until the change has ended.
    held: Box<dyn Send>,
}

fn panicked(error: tokio::task::JoinError) -> ActionError {
    tracing::error!("a change of a guest has panicked, which is a fault of the server: {error}");
    ActionError::Panicked
}
