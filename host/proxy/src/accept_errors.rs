//! Errors of listeners that cannot accept, as the log tells of them.

use std::{
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// A line in so long is enough: a process that is out of file descriptors fails many times a second.
const LINES_APART: Duration = Duration::from_secs(10);

/// Logs errors of `accept`, at most one line in ten seconds.
#[derive(Debug, Default)]
pub struct AcceptErrors {
    /// When the last line was logged, and the errors since. Held for an instant.
    logged: Mutex<Option<(Instant, u64)>>,
}

impl AcceptErrors {
    /// Logs an error, unless a line was logged in the last ten seconds; the next line tells how many were left out. `what` is
    /// what is not accepted.
    pub fn log(&self, what: &str, error: &io::Error) {
        let now = Instant::now();
        let unlogged = {
            let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *logged {
                Some((at, unlogged)) if now.duration_since(*at) < LINES_APART => {
                    *unlogged += 1;
                    return;
                }
                other => other.replace((now, 0)).map_or(0, |(_, unlogged)| unlogged),
            }
        };
        tracing::warn!(unlogged, "cannot accept {what}: {error}");
    }
}
