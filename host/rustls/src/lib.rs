//! Innkeeper session caches as session stores of rustls.
//!
//! [`ServerSessions`] is one tenant's store in the server role. It gives rustls a store for each connection, which
//! knows the server name that the client asked for, and bounds the cost of the connection. Afterwards it tells the
//! outcome of the connection's resumption. [`ClientSessions`] is the same in the client role, for one upstream.
//!
//! Whatever a guest does, the worst outcome for a handshake is a full one. This crate never learns what a guest is: it
//! sees a [`Reader`] and a [`Mailbox`](innkeeper_core::Mailbox).

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

/// The length of every session id and ticket id that rustls issues. An id of another length is foreign.
const ID_LEN: usize = 32;

/// The longest life of a TLS 1.2 session, whatever the cache allows: RFC 5246, appendix F.1.4.
const LIFETIME_TLS12: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest life of a TLS 1.3 session: RFC 9846, section 4.7.1.
const LIFETIME_TLS13: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The questions that one connection may cause to the guest. An honest client needs one.
const ASKS_MAX: u32 = 2;

/// A tenant's server sessions under one TLS configuration.
#[derive(Clone)]
pub struct ServerSessions {
    reader: Reader<Secret>,
    identity: TlsIdentity,
}

/// A configuration for one connection, and the observations of the connection's store.
#[derive(Debug)]
pub struct Scoped {
    /// The configuration of the connection.
    pub config: Arc<ServerConfig>,
    outcome: Arc<Outcome>,
}

impl Scoped {
    /// A connection of a tenant without a cache. Sessions go to the store of `config`, if it has one, and
    /// [`Scoped::resumption`] tells nothing but whether the handshake resumed.
    pub fn without_cache(config: Arc<ServerConfig>) -> Self {
        Self { config, outcome: Arc::default() }
    }

    /// The outcome of the connection's resumption. Ask after the handshake, which tells `is_resumed`.
    pub fn resumption(&self, is_resumed: bool) -> Resumption {
        self.outcome.resumption(is_resumed)
    }
}

impl ServerSessions {
    /// A store over a cache that was opened in the server role. A session stored under one identity is unknown under
    /// another.
    pub fn new(reader: Reader<Secret>, identity: TlsIdentity) -> Self {
        Self { reader, identity }
    }

    /// The tenant's configuration with a store for one connection to `server_name`, which must be in lower case.
    ///
    /// Costs a copy of the configuration's references. The thread that drives the handshake then makes blocking guest
    /// calls. See [`Reader`] for their duration.
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

/// Prepares a tenant's configuration, so that each resumption goes through its cache: no stateless tickets, one session
/// for each TLS 1.3 handshake, and no other store.
///
/// `early_data_bytes` bounds the bytes that a client may send with its ClientHello when it resumes, before the server
/// has answered: RFC 8446, section 2.3. An attacker may send them to another server again. So 0, which turns early data
/// off, is right unless the upstream allows for that. This process accepts early data once, since a TLS 1.3 session is
/// used once.
///
/// The bound may change at any time. A session keeps the promise to its client: once less is allowed, it is not
/// resumed.
pub fn prepare(config: &mut ServerConfig, early_data_bytes: u32) {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // Tickets are disabled by default: rustls then keeps TLS 1.3 sessions in the store.
    debug_assert!(!config.ticketer.enabled(), "stateless tickets would go past the cache");
    config.send_tls13_tickets = 1;
    config.max_tls13_tickets = 1;
    config.max_early_data_size = early_data_bytes;
}

/// The store of one connection.
struct ConnectionSessions {
    reader: Reader<Secret>,
    /// The terms at the start of the connection, so that a later revocation is final.
    terms: Terms,
    identity: TlsIdentity,
    server_name: Box<str>,
    /// The early data that the connection may bring, and that its client is promised for the next.
    early_data_bytes: u32,
    /// True if the handshake is TLS 1.2. rustls tells no version, but asks `can_cache` for TLS 1.2 only, before `put`.
    is_tls12: AtomicBool,
    asks_left: AtomicU32,
    /// The end of the session that this connection may have resumed. A session that it stores ends no later.
    expires_ms: AtomicU64,
    outcome: Arc<Outcome>,
}

/// An id behind the protocol version and the TLS configuration that it is bound to. Under another version or
/// configuration the id is unknown.
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

    /// Spends one of the connection's questions, if the cache may hold the session. False if none is left.
    fn may_ask(&self, name: Name<'_>) -> bool {
        let spend = |left: u32| left.checked_sub(1);
        !self.reader.may_hold(name) || self.asks_left.fetch_update(Ordering::AcqRel, Ordering::Acquire, spend).is_ok()
    }

    /// Asks for the session of a key in a version of TLS, if the connection still may, and notes the outcome.
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

    /// A TLS 1.3 session as rustls stored it. None if its client may send more early data than the connection may
    /// bring: rustls would accept the data, and then break the handshake off. With early data off rustls accepts none,
    /// and nothing breaks.
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

/// The length of the promise behind a stored TLS 1.3 session: the bytes of early data promised to its client,
/// big-endian.
const PROMISE_LEN: usize = size_of::<u32>();

fn with_promise(value: &Secret, early_data_bytes: u32) -> Secret {
    // The right size from the start: a buffer that grows leaves a copy behind that nobody wipes.
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

    /// Looks a TLS 1.2 session up. Its id may be used many times.
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.read(Version::Tls12, key, |name| self.reader.lookup_or_why(name)).map(Secret::into_exposed)
    }

    /// Takes a TLS 1.3 session. Its ticket is used once.
    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let taken = self.read(Version::Tls13, key, |name| self.reader.take_or_why(name))?;
        let value = self.unless_promised_more(taken.value)?;
        // rustls hides whether it resumed, so the session of a full handshake may end early too.
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
