//! Real handshakes in memory: a client's sessions in a cache, and a server's report of a resumption.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use innkeeper_core::{
    CacheConfig, CacheRef, Call, Callback, Callbacks, Claim, Fault, Guest, Key, Miss, NativeLru, PartialKey, Role,
    Secret, Session, Value,
};
use innkeeper_doubles::{Intercept, TestCache, intercepted, patient};
use innkeeper_rustls::{
    ClientAuth, ClientSession, ClientSessions, Resumption, ServerSessions, TlsIdentity, prepare, upstream_identity,
};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    server::{ServerSessionMemoryCache, StoresServerSessions},
    version::{TLS12, TLS13},
};

/// A guest's answer, from the sessions of the partial key and from all that it was ever given, oldest first.
type Choice = fn(of_partial: Vec<Claim>, all: &[Claim]) -> Vec<Claim>;

/// A change to the native guest: `select-session` answers as the test chooses.
struct Choosy {
    choice: Choice,
    given: Vec<(PartialKey, Claim)>,
}

impl Intercept for Choosy {
    fn update(
        &mut self,
        inner: &mut dyn Callbacks,
        call: &mut Call,
        cache: CacheRef,
        key: Key,
        session: Session,
    ) -> Result<(), Fault> {
        self.given.push((key.partial, session.into()));
        inner.update(call, cache, key, session)
    }
    fn select_session(
        &mut self,
        _: &mut dyn Callbacks,
        _: &mut Call,
        _: CacheRef,
        partial: PartialKey,
    ) -> Result<Vec<Claim>, Fault> {
        let of_partial = self.given.iter().filter(|(own, _)| *own == partial).map(|(_, claim)| *claim).collect();
        let all: Vec<Claim> = self.given.iter().map(|(_, claim)| *claim).collect();
        Ok((self.choice)(of_partial, &all))
    }
}

fn choosy(choice: Choice) -> Arc<dyn Guest> {
    intercepted(Arc::new(NativeLru), move |_host| Choosy { choice, given: Vec::new() })
}

/// A server's own store, which records the sessions it issued and those that clients offered.
struct Told {
    inner: Arc<ServerSessionMemoryCache>,
    given: Mutex<Vec<Vec<u8>>>,
    offered: Mutex<Vec<Vec<u8>>>,
}

impl Told {
    fn new() -> Arc<Self> {
        Arc::new(Self { inner: ServerSessionMemoryCache::new(256), given: Mutex::default(), offered: Mutex::default() })
    }

    /// The sessions offered, by the order in which they were issued.
    fn offered(&self) -> Vec<usize> {
        let given = self.given.lock().unwrap();
        let number = |key: &Vec<u8>| given.iter().position(|own| own == key).unwrap();
        self.offered.lock().unwrap().iter().map(number).collect()
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told")
    }
}

impl StoresServerSessions for Told {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.given.lock().unwrap().push(key.clone());
        self.inner.put(key, value)
    }
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.inner.get(key)
    }
    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.offered.lock().unwrap().push(key.to_vec());
        self.inner.take(key)
    }
    fn can_cache(&self) -> bool {
        true
    }
}

/// A certificate of two names, with its key.
struct Certificate {
    chain: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Certificate {
    fn new() -> Self {
        let names = ["a.example", "b.example"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Self { chain: made.cert.into(), key: made.signing_key.serialize_der() }
    }

    fn server(&self, version: &'static SupportedProtocolVersion, tickets: usize) -> ServerConfig {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.chain.clone()], PrivatePkcs8KeyDer::from(self.key.clone()).into())
            .unwrap();
        config.session_storage = Told::new();
        (config.send_tls13_tickets, config.max_tls13_tickets) = (tickets, tickets);
        config
    }

    fn client(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.chain.clone()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

/// A cache of any kind of session, and a certificate.
struct House<V: Value> {
    cache: TestCache<V>,
    certificate: Certificate,
}

impl<V: Value> House<V> {
    fn open(role: Role, guest: Arc<dyn Guest>) -> Self {
        let cache = TestCache::open(CacheConfig { role, ..patient() }, guest);
        Self { cache, certificate: Certificate::new() }
    }

    fn held(&mut self) -> usize {
        self.cache.owner.settle();
        self.cache.reader.size().held
    }
}

impl House<ClientSession> {
    fn sessions(&self) -> ClientSessions {
        ClientSessions::new(self.cache.reader.clone(), "a.example:443", [0; 32])
    }
}

fn begin(config: Arc<ClientConfig>, name: &'static str) -> ClientConnection {
    ClientConnection::new(config, name.try_into().unwrap()).unwrap()
}

/// Makes the handshake, reads what the server sends after it, and returns true if it resumed a session.
fn finish(mut client: ClientConnection, server: &Arc<ServerConfig>) -> bool {
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    while client.wants_write() || server.wants_write() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets().unwrap();
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets().unwrap();
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    assert_eq!(client.handshake_kind(), server.handshake_kind());
    client.handshake_kind() == Some(HandshakeKind::Resumed)
}

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

#[test]
fn a_client_resumes_in_either_version() {
    for version in VERSIONS {
        let mut house = House::open(Role::Client, Arc::new(NativeLru));
        let (sessions, client) = (house.sessions(), house.certificate.client());
        let server = Arc::new(house.certificate.server(version, 1));
        for round in 0..4 {
            assert_eq!(finish(begin(sessions.scoped(&client), "a.example"), &server), round > 0, "{version:?}");
            assert_eq!(house.held(), 1, "{version:?}: one comes, and takes the place of the one offered");
        }
        let stats = house.cache.reader.stats();
        assert!(stats.calls(Callback::SelectSession) <= 2 * 4 && stats.false_claims == 0);
    }
}

#[test]
fn a_ticket_is_offered_once() {
    let mut house = House::open(Role::Client, Arc::new(NativeLru));
    let (sessions, client) = (house.sessions(), house.certificate.client());
    let server = Arc::new(house.certificate.server(&TLS13, 1));
    finish(begin(sessions.scoped(&client), "a.example"), &server);
    assert_eq!(house.held(), 1);
    let both = [(); 2].map(|()| begin(sessions.scoped(&client), "a.example"));
    let resumed = both.map(|connection| finish(connection, &server));
    assert_eq!(resumed, [true, false]);
}

#[test]
fn a_session_of_another_upstream_configuration_or_name_is_unknown() {
    for version in VERSIONS {
        let mut house = House::open(Role::Client, Arc::new(NativeLru));
        let client = house.certificate.client();
        let server = Arc::new(house.certificate.server(version, 1));
        finish(begin(house.sessions().scoped(&client), "a.example"), &server);
        assert_eq!(house.held(), 1);
        let identity = upstream_identity(&[], "a.example", &[], &[]);
        let others = [
            (ClientSessions::new(house.cache.reader.clone(), "a.example:8443", [0; 32]), "a.example"),
            (ClientSessions::new(house.cache.reader.clone(), "a.example:443", identity), "a.example"),
            (house.sessions(), "b.example"),
        ];
        for (sessions, name) in others {
            // Left unfinished, so that it stores no session.
            let offered = begin(sessions.scoped(&client), name);
            assert_eq!(house.cache.reader.stats().hits, 0, "{version:?}");
            drop(offered);
        }
        assert!(finish(begin(house.sessions().scoped(&client), "A.example"), &server), "names know no case");
    }
}

#[test]
fn what_a_connection_stores_after_a_revocation_is_refused() {
    for version in VERSIONS {
        let mut house = House::open(Role::Client, Arc::new(NativeLru));
        let (sessions, client) = (house.sessions(), house.certificate.client());
        let server = Arc::new(house.certificate.server(version, 1));
        let before = begin(sessions.scoped(&client), "a.example");
        house.cache.reader.mailbox().revoke();
        finish(before, &server);
        assert_eq!((house.held(), house.cache.owner.stats().refused), (0, 1));
        finish(begin(sessions.scoped(&client), "a.example"), &server);
        assert_eq!(house.held(), 1);
    }
}

#[test]
fn a_guest_that_lies_costs_full_handshakes_and_nothing_else() {
    let foreign: Choice = |of_partial, all| all.iter().filter(|claim| !of_partial.contains(claim)).copied().collect();
    let made_up: Choice = |_, _| vec![Claim(0), Claim(7), Claim(1 << 52), Claim(u64::MAX)];
    for (version, choice) in VERSIONS.into_iter().flat_map(|version| [(version, foreign), (version, made_up)]) {
        let mut house = House::open(Role::Client, choosy(choice));
        let (sessions, client) = (house.sessions(), house.certificate.client());
        let server = Arc::new(house.certificate.server(version, 1));
        for name in ["a.example", "b.example", "a.example", "b.example"] {
            assert!(!finish(begin(sessions.scoped(&client), name), &server));
            house.cache.owner.settle();
        }
        assert!(house.cache.reader.stats().false_claims > 0);
    }
}

#[test]
fn a_dead_session_is_not_offered_however_often_the_guest_names_it() {
    let mut house = House::open(Role::Client, choosy(|of_partial, _| of_partial));
    let (sessions, client) = (house.sessions(), house.certificate.client());
    let server = Arc::new(house.certificate.server(&TLS13, 0));
    let one = Arc::new(house.certificate.server(&TLS13, 1));
    finish(begin(sessions.scoped(&client), "a.example"), &one);
    house.cache.owner.settle();
    finish(begin(sessions.scoped(&client), "a.example"), &server);
    assert_eq!((house.cache.reader.stats().hits, house.held()), (1, 0));
    finish(begin(sessions.scoped(&client), "a.example"), &server);
    assert_eq!(house.cache.reader.stats().hits, 1);
}

#[test]
fn the_guest_decides_which_session_is_offered() {
    let oldest: Choice = |of_partial, _| of_partial;
    let newest: Choice = |mut of_partial, _| {
        of_partial.reverse();
        of_partial
    };
    for (choice, offered) in [(oldest, 0), (newest, 2)] {
        let mut house = House::open(Role::Client, choosy(choice));
        let (sessions, client) = (house.sessions(), house.certificate.client());
        let told = Told::new();
        let mut server = house.certificate.server(&TLS13, 3);
        server.session_storage = Arc::clone(&told) as _;
        let server = Arc::new(server);
        finish(begin(sessions.scoped(&client), "a.example"), &server);
        assert_eq!(house.held(), 3);
        assert!(finish(begin(sessions.scoped(&client), "a.example"), &server));
        assert_eq!(told.offered(), [offered]);
    }
}

#[test]
fn a_tls12_session_that_is_refused_gives_way() {
    let mut house = House::open(Role::Client, Arc::new(NativeLru));
    let (sessions, client) = (house.sessions(), house.certificate.client());
    finish(begin(sessions.scoped(&client), "a.example"), &Arc::new(house.certificate.server(&TLS12, 1)));
    assert_eq!(house.held(), 1);
    // A server that has lost its sessions.
    let server = Arc::new(house.certificate.server(&TLS12, 1));
    assert!(!finish(begin(sessions.scoped(&client), "a.example"), &server));
    assert_eq!(
        (house.held(), house.cache.reader.stats().hits),
        (1, 1),
        "it was offered, and the new one has its place"
    );
    assert!(finish(begin(sessions.scoped(&client), "a.example"), &server));
    assert_eq!(house.held(), 1);
    // A server that has come to speak TLS 1.3.
    finish(begin(sessions.scoped(&client), "a.example"), &Arc::new(house.certificate.server(&TLS13, 0)));
    assert_eq!(house.held(), 0);
}

#[test]
fn a_chain_of_resumptions_ends_with_the_first_sessions_life() {
    for version in VERSIONS {
        let mut house = House::open(Role::Client, Arc::new(NativeLru));
        let (sessions, client) = (house.sessions(), house.certificate.client());
        let server = Arc::new(house.certificate.server(version, 1));
        for hour in 0..=24 {
            let is_resumed = finish(begin(sessions.scoped(&client), "a.example"), &server);
            assert_eq!(is_resumed, (1..24).contains(&hour), "{version:?} after {hour} hours");
            house.cache.owner.settle();
            house.cache.owners.clock().advance(60 * 60 * 1_000);
        }
    }
}

#[test]
fn a_server_says_what_became_of_a_resumption() {
    for version in VERSIONS {
        let mut house = House::<Secret>::open(Role::Server, Arc::new(NativeLru));
        let identity = TlsIdentity::new(ClientAuth::None, &[], &[], &[], b"");
        let sessions = ServerSessions::new(house.cache.reader.clone(), identity);
        let mut config = house.certificate.server(version, 1);
        prepare(&mut config, 0);
        // With one version only: a client of both versions sends a made-up session id if it has none.
        let mut roots = RootCertStore::empty();
        roots.add(house.certificate.chain.clone()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Arc::new(client);
        let handshake = |house: &mut House<Secret>| {
            let scoped = sessions.scoped(&config, "a.example");
            let is_resumed = finish(begin(Arc::clone(&client), "a.example"), &scoped.config);
            house.cache.owner.settle();
            scoped.resumption(is_resumed)
        };
        assert_eq!(handshake(&mut house), Resumption::NotOffered, "{version:?}");
        assert_eq!(handshake(&mut house), Resumption::Resumed, "{version:?}");
        house.cache.reader.mailbox().suspend();
        assert_eq!(handshake(&mut house), Resumption::Missed(Miss::Down), "{version:?}");
        house.cache.reader.mailbox().revoke();
        assert_eq!(handshake(&mut house), Resumption::Missed(Miss::Absent), "{version:?}");
    }
}

#[test]
fn nothing_secret_is_in_a_debug_text() {
    let mut house = House::open(Role::Client, Arc::new(NativeLru));
    let (sessions, client) = (house.sessions(), house.certificate.client());
    for version in VERSIONS {
        finish(begin(sessions.scoped(&client), "a.example"), &Arc::new(house.certificate.server(version, 1)));
        house.cache.owner.settle();
        let text = house
            .cache
            .reader
            .take_selected(&[b"a.example:443\0".as_slice(), &[0; 32], b"a.example"].concat(), |_| true);
        let text = format!("{:?} {sessions:?}", text.unwrap().value);
        assert!(text.starts_with("ClientSession(TLS 1.") && text.ends_with(" ClientSessions { .. }"), "{text}");
    }
}
