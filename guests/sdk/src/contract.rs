//! The words of the WIT package as Rust types.

use crate::bindings::innkeeper::session_cache::{host, types};

/// The peer of a session: a keyed fingerprint of the server name (role server) or of the peer's host and port (role
/// client). Above zero and below 2^53; unrelated to the same name's number in another cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartialKey(pub u64);

/// One of a peer's sessions: a keyed fingerprint of the TLS session id or ticket id. Above zero and below 2^53.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// A session in the host's vault, by its number: above zero, below 2^53, and never used for another session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Session(pub u64);

/// The name of a session. At most one live session has a given key. Keys of one partial key are neighbours in the
/// order.
///
/// The two halves cannot be swapped:
///
/// ```compile_fail,E0308
/// # use innkeeper_guest::{Key, PartialKey, SessionId};
/// let key = Key { partial: SessionId(1), id: PartialKey(2) };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The peer.
    pub partial: PartialKey,
    /// The peer's session.
    pub id: SessionId,
}

impl Key {
    /// Every key that a partial key can have, for the range of an ordered map.
    ///
    /// ```
    /// use std::collections::BTreeSet;
    /// use innkeeper_guest::{Key, PartialKey, testing::key};
    ///
    /// let keys = BTreeSet::from([key(1, 7), key(2, 3), key(2, 9), key(3, 1)]);
    /// assert!(keys.range(Key::all_of(PartialKey(2))).eq(&[key(2, 3), key(2, 9)]));
    /// ```
    pub fn all_of(partial: PartialKey) -> std::ops::RangeInclusive<Self> {
        Self { partial, id: SessionId(0) }..=Self { partial, id: SessionId(u64::MAX) }
    }
}

/// The end of a TLS connection that a cache serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The host is the TLS client: sessions to resume with other servers.
    Client,
    /// The host is the TLS server: sessions that connecting clients may resume.
    Server,
}

/// The settings of a new cache.
#[derive(Clone, Debug)]
pub struct InitArgs {
    /// The end of the connections that the cache serves.
    pub role: Role,
    /// The most sessions that the vault holds, above zero. Past that the host removes the oldest, or all, and tells the
    /// guest by `delete`.
    pub sessions_max: usize,
    /// The time that the vault keeps a session, in milliseconds.
    pub lifetime_ms: u64,
    /// The operator's settings: names and values, in their order in the configuration.
    pub properties: Vec<(String, String)>,
}

impl InitArgs {
    /// The value of the last setting with a name, as the operator wrote it.
    ///
    /// ```
    /// use innkeeper_guest::{InitArgs, Role};
    ///
    /// let properties = vec![("ttl-ms".to_owned(), "500".to_owned())];
    /// let args = InitArgs { role: Role::Server, sessions_max: 10, lifetime_ms: 60_000, properties };
    /// assert_eq!(args.property("ttl-ms"), Some("500"));
    /// assert_eq!(args.property("quota"), None);
    /// ```
    pub fn property(&self, name: &str) -> Option<&str> {
        let mut named = self.properties.iter().rev().filter(|(own_name, _)| own_name == name);
        named.next().map(|(_, value)| value.as_str())
    }
}

/// A session's size and times, which reveal nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its size in the vault, key included, in bytes.
    pub stored_bytes: u32,
    /// The time of its registration, on the clock of [`now_ms`](crate::host::now_ms).
    pub created_ms: u64,
    /// The time when the vault drops it, on the clock of [`now_ms`](crate::host::now_ms).
    pub expires_ms: u64,
}

/// The importance of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the guest's author.
    Debug,
    /// Worth knowing.
    Info,
    /// A problem; the cache still serves.
    Warn,
    /// A failure.
    Error,
}

impl From<types::Key> for Key {
    fn from(key: types::Key) -> Self {
        Self { partial: PartialKey(key.partial), id: SessionId(key.id) }
    }
}

impl From<(Key, Session)> for host::Element {
    fn from((key, session): (Key, Session)) -> Self {
        let key = types::Key { partial: key.partial.0, id: key.id.0 };
        Self { key, session: session.0 }
    }
}
