//! Log lines about listeners that cannot accept.

use std::{
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The time between two lines. A process that is out of file descriptors fails many times a second.
const LINES_APART: Duration = Duration::from_secs(10);

/// Logs errors of `accept`, at most one line in ten seconds.
#[derive(Debug, Default)]
pub struct AcceptErrors {
    /// The time of the last line, and the errors since. Locked for an instant.
    logged: Mutex<Option<(Instant, u64)>>,
}

impl AcceptErrors {
    /// Logs an error, unless a line was logged in the last ten seconds. The next line tells the number of errors left
    /// out. `what` names the connections that are not accepted.
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
