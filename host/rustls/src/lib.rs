//! Innkeeper session caches as session stores of rustls.
//!
//! [`ServerSessions`] is one tenant's store in the server role. For each connection it gives rustls a store of that
//! connection's own, which knows the server name that the client asked for, and bounds what the connection may cost.
//! Afterwards it says what became of the connection's resumption. [`ClientSessions`] is the same in the client role, for one
//! upstream.
//!
//! What a guest does never shows in a handshake but as a full one. This crate never learns what a guest is: it sees a
//! [`Reader`] and a [`Mailbox`](innkeeper_core::Mailbox).

mod client;
mod identity;
mod outcome;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use innkeeper_core::{Miss, Name, Reader, Secret, Terms};
use rustls::{
    ServerConfig,
    server::{NoServerSessionStorage, StoresServerSessions},
};

use crate::outcome::Outcome;

pub use crate::{
    client::{ClientSession, ClientSessions, upstream_identity},
    identity::{ClientAuth, TlsIdentity},
    outcome::Resumption,
};

/// The length of every session id and ticket id that rustls issues. Another length is nothing of ours.
const ID_LEN: usize = 32;

/// The longest life of a TLS 1.2 session, whatever the cache gives: RFC 5246, appendix F.1.4.
const LIFETIME_TLS12: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest life of a TLS 1.3 session: RFC 9846, section 4.7.1.
const LIFETIME_TLS13: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How many times one connection may cause the guest to be asked. A client that means well needs one.
const ASKS_MAX: u32 = 2;

/// A tenant's server sessions under one TLS configuration.
#[derive(Clone)]
pub struct ServerSessions {
    reader: Reader<Secret>,
    identity: TlsIdentity,
}

/// A configuration for one connection, and what the connection's store has seen.
#[derive(Debug)]
pub struct Scoped {
    /// What the connection is to be made of.
    pub config: Arc<ServerConfig>,
    outcome: Arc<Outcome>,
}

impl Scoped {
    /// A connection of a configuration that has a store of its own, or none. For a tenant without a cache, and for benchmarks: what
    /// rustls does by itself is the floor.
    #[doc(hidden)]
    pub fn of_own_store(config: Arc<ServerConfig>) -> Self {
        Self { config, outcome: Arc::default() }
    }

    /// What became of the connection's resumption. To be asked after the handshake, which says whether it resumed a session.
    pub fn resumption(&self, is_resumed: bool) -> Resumption {
        self.outcome.resumption(is_resumed)
    }
}

impl ServerSessions {
    /// A store over a cache that was opened in the server role. What is stored under one identity is unknown under another.
    pub fn new(reader: Reader<Secret>, identity: TlsIdentity) -> Self {
        Self { reader, identity }
    }

    /// The tenant's configuration with a store for one connection to `server_name`, which must be in lower case.
    ///
    /// Costs a copy of the configuration's references. Blocking guest calls then happen on the thread that drives the
    /// handshake; see [`Reader`] for how long.
    pub fn scoped(&self, config: &ServerConfig, server_name: &str) -> Scoped {
        let mut config = config.clone();
        let outcome = Arc::<Outcome>::default();
        config.session_storage = Arc::new(ConnectionSessions {
            reader: self.reader.clone(),
            terms: self.reader.mailbox().terms(),
            identity: self.identity,
            server_name: server_name.into(),
            early_data_bytes: config.max_early_data_size,
            is_tls12: AtomicBool::new(false),
            asks_left: AtomicU32::new(ASKS_MAX),
            expires_ms: AtomicU64::new(u64::MAX),
            outcome: Arc::clone(&outcome),
        });
        Scoped { config: Arc::new(config), outcome }
    }
}

impl fmt::Debug for ServerSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSessions").finish_non_exhaustive()
    }
}

/// Sets what every tenant's configuration needs, so that each resumption goes through its cache: no stateless tickets,
/// one session for each TLS 1.3 handshake, and no store besides.
///
/// `early_data_bytes` is how much a client may send with its ClientHello when it resumes, before the server has answered:
/// RFC 8446, section 2.3. An attacker may send it to another server again, so 0, which is off, is right for all but those
/// whose upstream allows for that. This process accepts it once, since a TLS 1.3 session is used once.
///
/// It may be changed at any time. A session keeps what its client was promised: once less is allowed, it is not resumed.
pub fn prepare(config: &mut ServerConfig, early_data_bytes: u32) {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // Disabled is the default: rustls then keeps TLS 1.3 sessions in the store.
    debug_assert!(!config.ticketer.enabled(), "stateless tickets would go past the cache");
    config.send_tls13_tickets = 1;
    config.max_tls13_tickets = 1;
    config.max_early_data_size = early_data_bytes;
}

/// The store of one connection.
struct ConnectionSessions {
    reader: Reader<Secret>,
    /// As they were when the connection began, so that a revocation in between is final.
    terms: Terms,
    identity: TlsIdentity,
    server_name: Box<str>,
    /// How much early data the connection may bring, and how much its client is promised for the next.
    early_data_bytes: u32,
    /// Whether the handshake is TLS 1.2. rustls tells no version, but asks `can_cache` for TLS 1.2 only, before `put`.
    is_tls12: AtomicBool,
    asks_left: AtomicU32,
    /// When the session ends that this connection may have resumed; what it stores ends no later.
    expires_ms: AtomicU64,
    outcome: Arc<Outcome>,
}

/// An id with what it is bound to before it: the protocol version, and the TLS configuration. An id is unknown under
/// another version or configuration.
type BoundId = [u8; 1 + TlsIdentity::LEN + ID_LEN];

#[derive(Clone, Copy)]
enum Version {
    Tls12 = 2,
    Tls13 = 3,
}

impl ConnectionSessions {
    fn bound(&self, version: Version, key: &[u8]) -> Option<BoundId> {
        let key: &[u8; ID_LEN] = key.try_into().ok()?;
        let mut id = [version as u8; 1 + TlsIdentity::LEN + ID_LEN];
        id[1..][..TlsIdentity::LEN].copy_from_slice(self.identity.as_bytes());
        id[1 + TlsIdentity::LEN..].copy_from_slice(key);
        Some(id)
    }

    fn name<'a>(&'a self, id: &'a BoundId) -> Name<'a> {
        Name { partial: self.server_name.as_bytes(), id }
    }

    /// Spends one of the connection's asks, where there is something to ask for or to wait for.
    fn may_ask(&self, name: Name<'_>) -> bool {
        let spend = |left: u32| left.checked_sub(1);
        !self.reader.may_hold(name) || self.asks_left.fetch_update(Ordering::AcqRel, Ordering::Acquire, spend).is_ok()
    }

    /// Asks for what is under a key in a version of TLS, where the connection still may, and notes what becomes of it.
    fn read<T>(&self, version: Version, key: &[u8], ask: impl FnOnce(Name<'_>) -> Result<T, Miss>) -> Option<T> {
        let Some(id) = self.bound(version, key) else {
            self.outcome.missed(Miss::Absent);
            return None;
        };
        let name = self.name(&id);
        if !self.may_ask(name) {
            self.outcome.spent();
            return None;
        }
        match ask(name) {
            Ok(found) => {
                self.outcome.given();
                Some(found)
            }
            Err(cause) => {
                self.outcome.missed(cause);
                None
            }
        }
    }

    /// A TLS 1.3 session as rustls stored it, unless its client may send more early data than the connection may bring. rustls
    /// would accept that, and then break the handshake off. Where none may be sent at all it accepts none, and nothing breaks.
    fn unless_promised_more(&self, kept: Secret) -> Option<Vec<u8>> {
        let (_, promise) = kept.expose().split_last_chunk()?;
        let is_kept = self.early_data_bytes == 0 || u32::from_be_bytes(*promise) <= self.early_data_bytes;
        is_kept.then(|| {
            let mut value = kept.into_exposed();
            value.truncate(value.len() - PROMISE_LEN);
            value
        })
    }
}

/// What a TLS 1.3 session is kept with: how much early data its client was promised, as a big-endian number behind it.
const PROMISE_LEN: usize = size_of::<u32>();

fn with_promise(value: &Secret, early_data_bytes: u32) -> Secret {
    // Of the right size from the start: a buffer that grows leaves a copy behind that nobody wipes.
    let mut kept = Vec::with_capacity(value.expose().len() + PROMISE_LEN);
    kept.extend_from_slice(value.expose());
    kept.extend_from_slice(&early_data_bytes.to_be_bytes());
    Secret::new(kept)
}

impl StoresServerSessions for ConnectionSessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let value = Secret::new(value);
        let is_tls12 = self.is_tls12.load(Ordering::Acquire);
        let (version, lifetime, value) = match is_tls12 {
            true => (Version::Tls12, LIFETIME_TLS12, value),
            false => (Version::Tls13, LIFETIME_TLS13, with_promise(&value, self.early_data_bytes)),
        };
        let Some(id) = self.bound(version, &key) else { return false };
        let terms = self.terms.lifetime(lifetime).until(self.expires_ms.load(Ordering::Acquire));
        self.reader.mailbox().update_on(self.name(&id), value, terms)
    }

    /// TLS 1.2: a session id may be used many times.
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.read(Version::Tls12, key, |name| self.reader.lookup_or_why(name)).map(Secret::into_exposed)
    }

    /// TLS 1.3: a ticket is used once.
    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let taken = self.read(Version::Tls13, key, |name| self.reader.take_or_why(name))?;
        let value = self.unless_promised_more(taken.value)?;
        // Resumed or not: rustls does not tell, and a full handshake's session may end early.
        self.expires_ms.fetch_min(taken.expires_ms, Ordering::AcqRel);
        Some(value)
    }

    fn can_cache(&self) -> bool {
        self.is_tls12.store(true, Ordering::Release);
        true
    }
}

impl fmt::Debug for ConnectionSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionSessions").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}
