//! The scalars that cross between host and guest, each with a type of its own.
//!
//! A number from the host is below [`SCALAR_END`], so that a guest whose numbers are doubles holds it exactly. What a
//! guest gives back is a [`Claim`] until the vault has checked it.

/// One past the largest number the host hands to a guest: 2^53.
pub const SCALAR_END: u64 = 1 << 53;

/// The end of a TLS connection that a cache serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The host is the TLS client: sessions to resume with upstream servers.
    Client,
    /// The host is the TLS server: sessions that connecting clients may resume.
    Server,
}

impl Role {
    /// The role's name in logs, metrics and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// The guest's own name for a cache, as its `init` returned it; any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheRef(pub u64);

/// A keyed fingerprint of whom a session is with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartialKey(pub u64);

/// A keyed fingerprint of a session id or ticket id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// The name that a session is filed under, as the guest sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The peer of the session.
    pub partial: PartialKey,
    /// The session among those of the peer.
    pub id: SessionId,
}

/// A session that the vault has issued: the number is never used again once the session has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Session(pub(crate) u64);

impl Session {
    /// The number that a guest sees.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// A number that a guest says is a session. Only the vault can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim(pub u64);

impl From<Session> for Claim {
    fn from(session: Session) -> Self {
        Self(session.0)
    }
}

/// A session with its key, as a guest gives it to the function of a fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// The key of the session, as the guest claims.
    pub key: Key,
    /// The session, as the guest claims.
    pub session: Claim,
}

/// The function of one fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoldFun(pub u64);

/// The accumulator of one fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acc(pub u64);

/// A setting that the operator wrote for a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The setting's name.
    pub name: String,
    /// The setting's value.
    pub value: String,
}

/// The arguments of a guest's `init`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitArgs {
    /// The end of the connections that the cache serves.
    pub role: Role,
    /// The most sessions that the vault holds.
    pub sessions_max: u32,
    /// The longest life of a session in the vault, in milliseconds.
    pub lifetime_ms: u64,
    /// The operator's settings, in the order in which they were written.
    pub properties: Vec<Property>,
}

/// The facts of a session that do not reveal it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// The memory of the session in the vault, key included, in bytes.
    pub stored_bytes: u32,
    /// The time of its registration, on the cache's clock.
    pub created_ms: u64,
    /// The time at which the vault drops it, on the cache's clock.
    pub expires_ms: u64,
}

/// The level of a guest's log line.
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

impl Level {
    /// The level's name in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}
