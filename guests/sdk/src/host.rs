//! What a guest may ask of the host. Each call costs the host some fuel of yours and some hundred nanoseconds.

#[cfg(target_family = "wasm")]
use crate::bindings::innkeeper::session_cache::host as there;
#[cfg(not(target_family = "wasm"))]
use crate::testing as there;

use crate::{Key, Session};

/// What may be told of a session without revealing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// What it takes in the vault, key included, in bytes.
    pub stored_bytes: u32,
    /// When it was registered, on the clock of [`now_ms`].
    pub created_ms: u64,
    /// When the vault will drop it, on the clock of [`now_ms`].
    pub expires_ms: u64,
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the guest's author.
    Debug,
    /// Worth knowing.
    Info,
    /// Something is off; the cache still serves.
    Warn,
    /// Something failed.
    Error,
}

/// Tells a session's size and times, or none when the vault does not hold it.
pub fn describe(session: Session) -> Option<SessionInfo> {
    there::describe(session.0).map(|info| SessionInfo {
        stored_bytes: info.stored_bytes,
        created_ms: info.created_ms,
        expires_ms: info.expires_ms,
    })
}

/// Asks the vault to forget a session once the running callback returns. Traps outside `update` and `delete`.
pub fn evict(session: Session) {
    there::evict(session.0);
}

/// The time in milliseconds since some moment before the cache was opened. Coarse, and it never goes back.
pub fn now_ms() -> u64 {
    there::now_ms()
}

/// Writes one line to the tenant's log. Long lines are cut, and too many dropped.
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
