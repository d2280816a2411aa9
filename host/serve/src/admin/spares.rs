//! File descriptors that the admin listener keeps for itself.

use std::{
    fs::File,
    os::fd::OwnedFd,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::io::{FdFlags, dup2, fcntl_setfd};
use tokio::net::TcpStream;

/// How many are kept.
const SPARES: usize = 4;

/// Descriptors kept open for the time when the process has no others. One is closed to accept a connection with it. A
/// connection that ends turns into a spare descriptor again without being free in between, so that nobody else gets it.
pub(super) struct Spares {
    /// What spare descriptors refer to: nothing.
    null: OwnedFd,
    kept: Mutex<Vec<OwnedFd>>,
}

impl Spares {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { null: File::open("/dev/null")?.into(), kept: Mutex::default() })
    }

    /// Opens what is missing, as far as there are descriptors.
    pub(super) fn fill(&self) {
        let mut kept = self.kept();
        while kept.len() < SPARES {
            match self.null.try_clone() {
                Ok(spare) => kept.push(spare),
                Err(_) => return,
            }
        }
    }

    /// Closes one. False if there is none.
    pub(super) fn give_up_one(&self) -> bool {
        self.kept().pop().is_some()
    }

    /// Closes a connection, and keeps its descriptor if one is missing.
    pub(super) fn take_back(&self, stream: TcpStream) {
        let mut kept = self.kept();
        if kept.len() >= SPARES {
            return;
        }
        let Ok(stream) = stream.into_std() else { return };
        let mut spare = OwnedFd::from(stream);
        if dup2(&self.null, &mut spare).and_then(|()| fcntl_setfd(&spare, FdFlags::CLOEXEC)).is_ok() {
            kept.push(spare);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<OwnedFd>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
