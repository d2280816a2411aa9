//! The bounds on installations of guests, and the outcome of one.

use std::sync::Arc;

use innkeeper_proxy::GuestChange;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch},
};

use crate::{error::ActionError, room::Room};

/// Installations at a time. Each has a thread of the runtime, which has 512 for all blocking work.
const CHANGES_AT_ONCE: usize = 64;

/// Components loaded at a time, which is also the number of compilers. So none waits for the compiler longer than it
/// may. A component that has been compiled or refused before does not count.
const LOADS_AT_ONCE: usize = 2;

/// The bounds on installations.
pub(crate) struct Installer {
    pub(crate) places: Arc<Semaphore>,
    pub(crate) loads: Arc<Semaphore>,
    pub(crate) room: Arc<Room>,
    /// The number of installations in progress.
    pub(crate) pending: watch::Sender<usize>,
    pub(crate) runtime: Handle,
}

/// The outcome of a job.
pub(crate) enum Installed {
    /// The guest serves.
    Done(GuestChange),
    /// A newer job came before this one began.
    Superseded,
    /// The guest was refused. The old guest, if any, goes on serving.
    Refused(ActionError),
}

impl Installer {
    /// Bounds installations by an engine's room. Must be called within a tokio runtime.
    pub(crate) fn new(room: Room) -> Self {
        Self {
            places: Arc::new(Semaphore::new(CHANGES_AT_ONCE)),
            loads: Arc::new(Semaphore::new(LOADS_AT_ONCE)),
            room: Arc::new(room),
            pending: watch::Sender::new(0),
            runtime: Handle::current(),
        }
    }

    /// Waits until no installation is in progress.
    pub(crate) async fn settled(&self) {
        // Never an error: the sender is in `self`.
        let _ = self.pending.subscribe().wait_for(|pending| *pending == 0).await;
    }
}
