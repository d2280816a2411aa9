//! Spare file descriptors of the admin listener.

use std::{
    fs::File,
    os::fd::OwnedFd,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::io::{FdFlags, dup2, fcntl_setfd};
use tokio::net::TcpStream;

/// The number of spare descriptors.
const SPARES: usize = 4;

/// Descriptors kept open for the time when the process has no others. The listener closes one to accept a connection. A
/// connection that ends turns into a spare descriptor without being free in between, so nobody else gets it.
pub(super) struct Spares {
    /// The file that spare descriptors refer to.
    null: OwnedFd,
    kept: Mutex<Vec<OwnedFd>>,
}

impl Spares {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { null: File::open("/dev/null")?.into(), kept: Mutex::default() })
    }

    /// Opens missing spare descriptors, as far as the system allows.
    pub(super) fn fill(&self) {
        let mut kept = self.kept();
        while kept.len() < SPARES {
            match self.null.try_clone() {
                Ok(spare) => kept.push(spare),
                Err(_) => return,
            }
        }
    }

    /// Closes a spare descriptor. False if none is left.
    pub(super) fn give_up_one(&self) -> bool {
        self.kept().pop().is_some()
    }

    /// Closes a connection, and keeps its descriptor if a spare one is missing.
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
