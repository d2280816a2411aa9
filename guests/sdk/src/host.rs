//! The host's functions for guests. Each call costs 200 units of fuel and some hundred nanoseconds. Natively a double
//! answers: see [`testing`](../testing/index.html).

#[cfg(target_family = "wasm")]
use crate::bindings::innkeeper::session_cache::host as there;
#[cfg(not(target_family = "wasm"))]
use crate::double as there;

use crate::contract::{Key, Session};

pub use crate::contract::{Level, SessionInfo};

/// Returns a session's size and times, or none when the vault has no such session. Any callback may use it.
///
/// ```
/// use innkeeper_guest::{Session, host, host::SessionInfo, testing};
///
/// let info = SessionInfo { stored_bytes: 300, created_ms: 1_000, expires_ms: 61_000 };
/// testing::set_info(Session(7), info);
/// assert_eq!(host::describe(Session(7)), Some(info));
/// assert_eq!(host::describe(Session(8)), None);
/// ```
pub fn describe(session: Session) -> Option<SessionInfo> {
    there::describe(session.0).map(|info| SessionInfo {
        stored_bytes: info.stored_bytes,
        created_ms: info.created_ms,
        expires_ms: info.expires_ms,
    })
}

/// Asks the vault to forget a session once the running callback returns. The host calls no `delete` for it, so the
/// guest forgets it too. A session that the vault lacks is no error.
///
/// Traps outside `update` and `delete`, and after more calls in one callback than twice `sessions_max` and 1024. The
/// double never traps.
///
/// ```
/// use innkeeper_guest::{Session, host, testing};
///
/// host::evict(Session(7));
/// assert_eq!(testing::seen().evicted, [Session(7)]);
/// ```
pub fn evict(session: Session) {
    there::evict(session.0);
}

/// The time in milliseconds since some moment before the cache was opened. It never goes back, and may stand still for
/// some milliseconds.
///
/// ```
/// use innkeeper_guest::{host, testing};
///
/// testing::set_now_ms(1_500);
/// assert_eq!(host::now_ms(), 1_500);
/// ```
pub fn now_ms() -> u64 {
    there::now_ms()
}

/// Writes one line to the tenant's log. Long lines are cut, and lines beyond the tenant's rate dropped. One more unit
/// of fuel for each byte.
///
/// ```
/// use innkeeper_guest::{host, host::Level, testing};
///
/// host::log(Level::Warn, "half full");
/// assert_eq!(testing::seen().log, [(Level::Warn, "half full".to_owned())]);
/// ```
pub fn log(level: Level, message: &str) {
    #[cfg(target_family = "wasm")]
    let level = match level {
        Level::Debug => there::Level::Debug,
        Level::Info => there::Level::Info,
        Level::Warn => there::Level::Warn,
        Level::Error => there::Level::Error,
    };
    there::log(level, message);
}

pub(crate) fn apply(fun: u64, key: Key, session: Session, acc: u64) -> u64 {
    #[cfg(target_family = "wasm")]
    return there::apply(fun, (key, session).into(), acc);
    #[cfg(not(target_family = "wasm"))]
    return there::apply(fun, (key, session), acc);
}
