//! The client role: a tenant's sessions with one upstream. Its guest selects the session to offer.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use innkeeper_core::{Name, OwnedName, Picked, Reader, Terms, Value, ZeroizeOnDrop};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::{
    ClientConfig, NamedGroup,
    client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls12Resumption, Tls13ClientSessionValue},
    pki_types::{CertificateDer, ServerName},
};

use crate::{ASKS_MAX, LIFETIME_TLS12, LIFETIME_TLS13, identity::Digest};

/// A session with an upstream, as rustls made it.
pub enum ClientSession {
    /// A session that may be offered many times.
    Tls12(Box<Tls12ClientSessionValue>),
    /// A session that may be offered once.
    Tls13(Box<Tls13ClientSessionValue>),
}

/// The size that a session counts for. rustls hides the real size, most of which is the chain and the ticket. A session
/// of a public server takes two kibibytes, with a chain of two certificates and a ticket of some hundred bytes.
const SESSION_BYTES: usize = 2 << 10;

// rustls keeps the master secret and the resumption secret in its type `Zeroizing`, which wipes them. Only the ticket
// and the server's chain are not wiped, and both have been on the wire.
impl ZeroizeOnDrop for ClientSession {}

impl Value for ClientSession {
    fn stored_bytes(&self) -> usize {
        SESSION_BYTES
    }
}

impl fmt::Debug for ClientSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls12(_) => "ClientSession(TLS 1.2)",
            Self::Tls13(_) => "ClientSession(TLS 1.3)",
        })
    }
}

/// A digest of the basis of the trust in an upstream: the roots and the name that its certificate must have, the
/// protocols offered, best first, and the client's own chain. Sessions of one digest are unknown under any other.
pub fn upstream_identity(
    roots: &[CertificateDer<'_>],
    server_name: &str,
    alpn: &[Vec<u8>],
    client_chain: &[CertificateDer<'_>],
) -> [u8; 32] {
    Digest::new(b"innkeeper upstream 1\0")
        .list(roots.iter().map(AsRef::as_ref))
        .list(std::iter::once(server_name.as_bytes()))
        .list(alpn.iter().map(Vec::as_slice))
        .list(client_chain.iter().map(AsRef::as_ref))
        .finish()
}

/// A tenant's sessions with one upstream under one configuration.
#[derive(Clone)]
pub struct ClientSessions {
    reader: Reader<ClientSession>,
    /// The start of every partial key, before the server name: the peer and the identity.
    prefix: Arc<[u8]>,
    /// The last key exchange group that the upstream chose.
    kx_hint: Arc<Mutex<Option<NamedGroup>>>,
}

impl ClientSessions {
    /// A store over a cache that was opened in the client role. `peer` is the upstream's host and port, as in
    /// `host:port`, and `identity` the [`upstream_identity`] of its configuration. A session stored under one identity
    /// is unknown under another.
    ///
    /// rustls itself offers a session only with the very objects for the verifier and for the client's certificate that
    /// the session was made with. So use clones of one configuration for connections that should share sessions.
    pub fn new(reader: Reader<ClientSession>, peer: &str, identity: [u8; 32]) -> Self {
        let prefix = [peer.as_bytes(), &[0], &identity].concat().into();
        Self { reader, prefix, kx_hint: Arc::default() }
    }

    /// The upstream's configuration with a store for one connection.
    ///
    /// Costs a copy of the configuration's references. The thread that begins the handshake then makes two blocking
    /// guest calls at most. See [`Reader`] for their duration.
    pub fn scoped(&self, config: &ClientConfig) -> Arc<ClientConfig> {
        let mut config = config.clone();
        let store = Arc::new(ConnectionSessions {
            terms: self.reader.mailbox().terms(),
            sessions: self.clone(),
            asks_left: AtomicU32::new(ASKS_MAX),
            offered: Mutex::default(),
            tls13_expires_ms: AtomicU64::new(u64::MAX),
        });
        config.resumption = Resumption::store(store).tls12_resumption(Tls12Resumption::SessionIdOrTickets);
        Arc::new(config)
    }

    fn partial(&self, server_name: &ServerName<'_>) -> Vec<u8> {
        let server_name = server_name.to_str().to_ascii_lowercase();
        [&self.prefix, server_name.as_bytes()].concat()
    }
}

impl fmt::Debug for ClientSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSessions").finish_non_exhaustive()
    }
}

/// The store of one connection.
struct ConnectionSessions {
    sessions: ClientSessions,
    /// The terms at the start of the connection, so that a later revocation is final.
    terms: Terms,
    asks_left: AtomicU32,
    /// The TLS 1.2 session that rustls has got, and its end.
    offered: Mutex<Option<(OwnedName, u64)>>,
    /// The end of the TLS 1.3 session that this connection may have resumed. A session that follows from it ends no
    /// later.
    tls13_expires_ms: AtomicU64,
}

impl ConnectionSessions {
    fn may_ask(&self) -> bool {
        let spend = |left: u32| left.checked_sub(1);
        self.asks_left.fetch_update(Ordering::AcqRel, Ordering::Acquire, spend).is_ok()
    }

    /// Posts a session under a random name. If the system gives no random bytes, the session is wiped.
    fn post(&self, server_name: &ServerName<'_>, session: ClientSession, lifetime: Duration, expires_ms: u64) {
        let mut id = [0; 16];
        if SystemRandom::new().fill(&mut id).is_ok() {
            let partial = self.sessions.partial(server_name);
            self.post_as(Name { partial: &partial, id: &id }, session, lifetime, expires_ms);
        }
    }

    fn post_as(&self, name: Name<'_>, session: ClientSession, lifetime: Duration, expires_ms: u64) {
        let terms = self.terms.lifetime(lifetime).until(expires_ms);
        // A cache may lose sessions: a full mailbox costs a full handshake.
        self.sessions.reader.mailbox().update_on(name, session, terms);
    }
}

/// No code that panics runs under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClientSessionStore for ConnectionSessions {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        *lock(&self.sessions.kx_hint) = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        *lock(&self.sessions.kx_hint)
    }

    /// Stores a session. It replaces the one that was offered, if any: the server has renewed or refused that one.
    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        let session = ClientSession::Tls12(Box::new(value));
        match &*lock(&self.offered) {
            // rustls hides whether the session was renewed, so the session of a full handshake may end early too.
            Some((name, expires_ms)) => self.post_as(name.name(), session, LIFETIME_TLS12, *expires_ms),
            None => self.post(&server_name, session, LIFETIME_TLS12, u64::MAX),
        }
    }

    /// Returns a session that may be offered many times. It stays in the cache.
    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        let partial = self.sessions.partial(server_name);
        let tls12 = |session: &ClientSession| match session {
            ClientSession::Tls12(value) => Some(Tls12ClientSessionValue::clone(value)),
            ClientSession::Tls13(_) => None,
        };
        let picked = self.may_ask().then(|| self.sessions.reader.pick_selected(&partial, tls12))?;
        let Picked { name, value, expires_ms, .. } = picked.ok()?;
        *lock(&self.offered) = Some((name, expires_ms));
        Some(value)
    }

    /// Forgets the session that was offered: it failed, or its server speaks TLS 1.3 now. Others of this server go when
    /// they are offered.
    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        if let Some((name, _)) = lock(&self.offered).take() {
            self.sessions.reader.mailbox().delete(name.name());
        }
    }

    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, value: Tls13ClientSessionValue) {
        let expires_ms = self.tls13_expires_ms.load(Ordering::Acquire);
        self.post(&server_name, ClientSession::Tls13(Box::new(value)), LIFETIME_TLS13, expires_ms);
    }

    /// Takes a session out of the cache. It is offered once.
    fn take_tls13_ticket(&self, server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let partial = self.sessions.partial(server_name);
        let is_tls13 = |session: &ClientSession| matches!(session, ClientSession::Tls13(_));
        let taken = self.may_ask().then(|| self.sessions.reader.take_selected(&partial, is_tls13))?.ok()?;
        // rustls hides whether it resumed.
        self.tls13_expires_ms.fetch_min(taken.expires_ms, Ordering::AcqRel);
        match taken.value {
            ClientSession::Tls13(value) => Some(*value),
            ClientSession::Tls12(_) => None,
        }
    }
}

impl fmt::Debug for ConnectionSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionSessions").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_an_upstreams_identity_counts_and_none_runs_into_the_next() {
        let certificate = |text: &str| CertificateDer::from(text.as_bytes().to_vec());
        let (a, b, ab) = ([certificate("a")], [certificate("b")], [certificate("ab")]);
        let pair = [certificate("a"), certificate("b")];
        let h2 = [b"h2".to_vec()];
        let identities = [
            upstream_identity(&a, "a", &[], &[]),
            upstream_identity(&b, "a", &[], &[]),
            upstream_identity(&ab, "a", &[], &[]),
            upstream_identity(&pair, "a", &[], &[]),
            upstream_identity(&a, "b", &[], &[]),
            upstream_identity(&a, "a", &h2, &[]),
            upstream_identity(&a, "a", &[], &a),
            upstream_identity(&[], "a", &[], &a),
        ];
        for (number, identity) in identities.iter().enumerate() {
            assert!(!identities[..number].contains(identity), "number {number} is another configuration");
        }
    }
}
