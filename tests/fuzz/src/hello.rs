//! A TLS server whose sessions lie in a cache, and ClientHellos that offer it ids it holds, and anything else.

use std::{
    io::Write as _,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use arbitrary::Arbitrary;
use innkeeper_core::{
    CacheConfig, Callback, Clock, Limits, NativeLru, OwnedName, Owner, Owners, Reader, Role, Secret, SizeClass,
};
use innkeeper_rustls::{ClientAuth, ServerSessions, TlsIdentity, prepare};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    version::{TLS12, TLS13},
};

/// The bytes that a client sends.
#[derive(Arbitrary, Debug)]
pub struct Client {
    first: First,
    /// The bytes after the first flight, whatever the server has answered.
    rest: Vec<u8>,
    /// The number of bytes that the server gets at a time, minus one.
    piece: u8,
    /// Another server name than the sessions are held under.
    is_misdirected: bool,
    /// The tenant's TLS configuration has changed.
    is_reconfigured: bool,
}

#[derive(Arbitrary, Debug)]
enum First {
    /// Anything.
    Bytes(Vec<u8>),
    /// A ClientHello, in records of at most this many bytes plus one.
    Hello { hello: Hello, record: u16 },
}

#[derive(Arbitrary, Debug)]
struct Hello {
    /// A legacy version other than TLS 1.2.
    version: Option<u16>,
    random: u8,
    session_id: Id,
    suites: Vec<Choice>,
    compressions: Option<Vec<u8>>,
    /// Begins with the extensions of a common client.
    is_common: bool,
    extensions: Vec<Extension>,
    psk: Option<Psk>,
    /// Bytes changed after all lengths have been written.
    changes: Vec<(u16, u8)>,
}

/// A session id or a ticket id.
#[derive(Arbitrary, Clone, Debug)]
enum Id {
    Held(u8),
    /// A held one with one bit changed.
    Near(u8, u8),
    Bytes(Vec<u8>),
}

/// A number from those that matter in its place, or any.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Choice {
    Known(u8),
    Any(u16),
}

#[derive(Arbitrary, Debug)]
enum Extension {
    ServerName(Vec<u8>),
    Versions(Vec<Choice>),
    Groups(Vec<Choice>),
    Algorithms(Vec<Choice>),
    KeyShares(Vec<(Choice, Option<Vec<u8>>)>),
    PskModes(Vec<u8>),
    Protocols(Vec<Vec<u8>>),
    EarlyData,
    ExtendedMasterSecret,
    SessionTicket(Vec<u8>),
    Any(u16, Vec<u8>),
}

#[derive(Arbitrary, Debug)]
struct Psk {
    identities: Vec<(Id, u32)>,
    /// The number of repetitions of the identities.
    times: u8,
    binders: Option<Vec<Vec<u8>>>,
}

const SUITES: [u16; 10] = [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xcca9, 0xc02f, 0xc030, 0xcca8, 0x00ff];
const VERSIONS: [u16; 4] = [0x0304, 0x0303, 0x0302, 0x7a7a];
const GROUPS: [u16; 4] = [0x001d, 0x0017, 0x0018, 0x11ec];
const ALGORITHMS: [u16; 6] = [0x0403, 0x0503, 0x0804, 0x0807, 0x0401, 0x0201];

/// The most bytes of a client, including repetitions.
const BYTES_MAX: usize = 1 << 17;

/// The most guest calls of one connection.
const ASKS_MAX: u64 = 2;

/// The number of unreadable TLS 1.3 sessions in the cache.
const UNREADABLE: u8 = 4;

/// One held session: its name in the vault, and the id that a client knows it by.
struct Held {
    name: OwnedName,
    id: Vec<u8>,
    value: Secret,
}

struct Server {
    owner: Owner<Secret>,
    reader: Reader<Secret>,
    config: ServerConfig,
    sessions: ServerSessions,
    reconfigured: ServerSessions,
    held: Vec<Held>,
    /// Dropped last.
    _owners: Owners,
}

/// Made once for all runs, with the sessions of honest clients.
static SERVER: LazyLock<Mutex<Server>> = LazyLock::new(|| Mutex::new(Server::open()));

/// Sends everything to the server, and panics if the server misbehaves.
pub fn run(client: &Client) {
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    server.refill();
    let (bytes, offered) = client.bytes(&server.held);
    let before = server.lookups();
    server.serve(client, &bytes);
    server.owner.settle();
    let asked = server.lookups() - before;
    assert!(asked <= ASKS_MAX, "the guest was asked {asked} times");
    let is_offered = |held: &Held| contains(&offered, &held.id);
    let is_foreign = client.is_misdirected || client.is_reconfigured;
    if is_foreign || !server.held.iter().any(is_offered) {
        assert_eq!(asked, 0, "the guest was asked for what is not held");
    }
    for held in server.held.iter().filter(|held| is_foreign || !is_offered(held)) {
        assert!(server.reader.holds(held.name.name()), "a session went that nobody offered");
    }
}

fn contains(bytes: &[u8], id: &[u8]) -> bool {
    bytes.windows(id.len()).any(|window| window == id)
}

impl Server {
    fn open() -> Self {
        let owners = Owners::new(1, Clock::manual());
        let mut config = CacheConfig::new("tenant", Role::Server, Limits::new(SizeClass::Small));
        config.limits.read.time = std::time::Duration::from_secs(60);
        let (mut owner, reader) = owners.open(config, Arc::new(NativeLru)).expect("the native guest opens");
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate is made");
        let certificate = CertificateDer::from(made.cert);
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("the key is the certificate's");
        prepare(&mut config, 1_024);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let identity = |extra| TlsIdentity::new(ClientAuth::None, &[], &[], &config.alpn_protocols, extra);
        let sessions = ServerSessions::new(reader.clone(), identity(b""));
        let reconfigured = ServerSessions::new(reader.clone(), identity(b"changed"));
        for version in [&TLS13, &TLS13, &TLS12, &TLS12] {
            handshake(sessions.scoped(&config, NAME).config, &certificate, version);
        }
        // rustls goes on to the next id after a session that it cannot read.
        for number in 0..UNREADABLE {
            let store = Arc::clone(&sessions.scoped(&config, NAME).config.session_storage);
            assert!(store.put(vec![number; 32], vec![0; 40]), "the mailbox has room");
        }
        owner.settle();
        let held = reader.foldl(Vec::new(), |mut all, found| {
            let id = found.name.name().id;
            // What comes before the id binds it to a version and a configuration.
            let id = id[id.len() - 32..].to_vec();
            all.push(Held { id, name: found.name, value: found.value });
            all
        });
        let held = held.expect("the native guest folds");
        assert_eq!(held.len(), 4 + usize::from(UNREADABLE), "each handshake has left a session");
        Self { owner, reader, config, sessions, reconfigured, held, _owners: owners }
    }

    fn lookups(&self) -> u64 {
        self.reader.stats().calls(Callback::Lookup)
    }

    /// Restores the sessions that the last run used up, and removes those it registered.
    fn refill(&mut self) {
        for held in &self.held {
            if !self.reader.holds(held.name.name()) {
                self.owner.update(held.name.name(), held.value.clone()).expect("it was registered before");
            }
        }
        assert_eq!(self.reader.size().held, self.held.len(), "a session of a handshake that never ended");
    }

    fn serve(&self, client: &Client, bytes: &[u8]) {
        let name = if client.is_misdirected { "b.example" } else { NAME };
        let sessions = if client.is_reconfigured { &self.reconfigured } else { &self.sessions };
        let mut connection =
            ServerConnection::new(sessions.scoped(&self.config, name).config).expect("the configuration is good");
        for mut piece in bytes.chunks(usize::from(client.piece) * 16 + 1).chain([&client.rest[..]]) {
            while !piece.is_empty() {
                let is_over = !connection.read_tls(&mut piece).is_ok_and(|read| read > 0);
                if is_over || connection.process_new_packets().is_err() {
                    flush(&mut connection);
                    return;
                }
            }
            flush(&mut connection);
            assert!(connection.is_handshaking(), "a handshake ends without a key");
        }
    }
}

fn flush(connection: &mut ServerConnection) {
    while connection.wants_write() {
        connection.write_tls(&mut std::io::sink()).expect("a sink takes everything");
    }
}

/// The server name that the sessions are held under.
const NAME: &str = "a.example";

/// An honest client's whole handshake, and a byte each way, so that every ticket has been sent.
fn handshake(config: Arc<ServerConfig>, root: &CertificateDer<'_>, version: &'static SupportedProtocolVersion) {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).expect("the certificate can be a root");
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .expect("the provider has suites for both versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = NAME.try_into().expect("it is a name");
    let mut client = ClientConnection::new(Arc::new(client), name).expect("the configuration is good");
    let mut server = ServerConnection::new(config).expect("the configuration is good");
    client.writer().write_all(b"x").expect("there is room");
    let mut wire = Vec::new();
    while client.wants_write() || server.wants_write() {
        while client.wants_write() {
            client.write_tls(&mut wire).expect("memory takes everything");
        }
        deliver(&mut wire, |bytes| server.read_tls(bytes));
        server.process_new_packets().expect("the client is honest");
        while server.wants_write() {
            server.write_tls(&mut wire).expect("memory takes everything");
        }
        deliver(&mut wire, |bytes| client.read_tls(bytes));
        client.process_new_packets().expect("the server is honest");
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
}

fn deliver(wire: &mut Vec<u8>, mut read: impl FnMut(&mut &[u8]) -> std::io::Result<usize>) {
    let mut bytes = &wire[..];
    while !bytes.is_empty() {
        read(&mut bytes).expect("memory can be read");
    }
    wire.clear();
}

impl Client {
    /// The bytes on the wire, and those among them that may name a session.
    fn bytes(&self, held: &[Held]) -> (Vec<u8>, Vec<u8>) {
        let mut bytes = match &self.first {
            First::Bytes(bytes) => (bytes.clone(), bytes.clone()),
            First::Hello { hello, record } => {
                let message = hello.message(held);
                let records = message.chunks(usize::from(*record) + 1).flat_map(|fragment| {
                    // A record has 2^14 bytes at most; a larger one is an attack, too.
                    let length = u16::try_from(fragment.len()).unwrap_or(u16::MAX);
                    [&[22, 3, 1][..], &length.to_be_bytes(), fragment].concat()
                });
                (records.collect(), message)
            }
        };
        bytes.0.truncate(BYTES_MAX);
        bytes
    }
}

/// Writes the output of `body` behind its length, which has `length_bytes` bytes.
fn prefixed(bytes: &mut Vec<u8>, length_bytes: usize, body: impl FnOnce(&mut Vec<u8>)) {
    let start = bytes.len();
    bytes.resize(start + length_bytes, 0);
    body(bytes);
    let length = (bytes.len() - start - length_bytes).to_be_bytes();
    bytes[start..start + length_bytes].copy_from_slice(&length[length.len() - length_bytes..]);
}

impl Hello {
    fn message(&self, held: &[Held]) -> Vec<u8> {
        let mut message = vec![1];
        prefixed(&mut message, 3, |message| {
            message.extend(self.version.unwrap_or(0x0303).to_be_bytes());
            message.extend([self.random; 32]);
            prefixed(message, 1, |message| message.extend(self.session_id.bytes(held)));
            prefixed(message, 2, |message| {
                if self.is_common {
                    message.extend(SUITES.iter().flat_map(|suite| suite.to_be_bytes()));
                }
                write_choices(message, &self.suites, &SUITES);
            });
            let none = vec![0];
            prefixed(message, 1, |message| message.extend(self.compressions.as_ref().unwrap_or(&none)));
            prefixed(message, 2, |message| self.extensions(message, held));
        });
        for (at, byte) in &self.changes {
            let at = usize::from(*at) % message.len();
            message[at] ^= byte;
        }
        message
    }

    fn extensions(&self, message: &mut Vec<u8>, held: &[Held]) {
        if self.is_common {
            let known = |count: u8| (0..count).map(Choice::Known).collect();
            let common = [
                Extension::ServerName(NAME.into()),
                Extension::Versions(known(2)),
                Extension::Groups(known(2)),
                Extension::Algorithms(known(4)),
                Extension::KeyShares(vec![(Choice::Known(0), None)]),
                Extension::PskModes(vec![1]),
                Extension::ExtendedMasterSecret,
            ];
            common.iter().for_each(|extension| extension.write(message));
        }
        self.extensions.iter().for_each(|extension| extension.write(message));
        if let Some(psk) = &self.psk {
            write_extension(message, 41, |message| psk.write(message, held));
        }
    }
}

fn write_extension(message: &mut Vec<u8>, number: u16, body: impl FnOnce(&mut Vec<u8>)) {
    message.extend(number.to_be_bytes());
    prefixed(message, 2, body);
}

fn write_choices(message: &mut Vec<u8>, choices: &[Choice], known: &[u16]) {
    choices.iter().for_each(|choice| message.extend(choice.number(known).to_be_bytes()));
}

impl Choice {
    fn number(self, known: &[u16]) -> u16 {
        match self {
            Self::Known(index) => known[usize::from(index) % known.len()],
            Self::Any(number) => number,
        }
    }
}

impl Id {
    fn bytes(&self, held: &[Held]) -> Vec<u8> {
        let of = |index: &u8| held[usize::from(*index) % held.len()].id.clone();
        match self {
            Self::Held(index) => of(index),
            Self::Near(index, bit) => {
                let mut id = of(index);
                id[usize::from(bit / 8)] ^= 1 << (bit % 8);
                id
            }
            Self::Bytes(bytes) => bytes.clone(),
        }
    }
}

impl Extension {
    fn write(&self, message: &mut Vec<u8>) {
        match self {
            Self::ServerName(name) => write_extension(message, 0, |message| {
                prefixed(message, 2, |message| {
                    message.push(0);
                    prefixed(message, 2, |message| message.extend(name));
                });
            }),
            Self::Versions(versions) => write_extension(message, 43, |message| {
                prefixed(message, 1, |message| write_choices(message, versions, &VERSIONS));
            }),
            Self::Groups(groups) => write_extension(message, 10, |message| {
                prefixed(message, 2, |message| write_choices(message, groups, &GROUPS));
            }),
            Self::Algorithms(algorithms) => write_extension(message, 13, |message| {
                prefixed(message, 2, |message| write_choices(message, algorithms, &ALGORITHMS));
            }),
            Self::KeyShares(shares) => write_extension(message, 51, |message| {
                prefixed(message, 2, |message| {
                    for (group, share) in shares {
                        message.extend(group.number(&GROUPS).to_be_bytes());
                        // Nearly all strings of 32 bytes are points of X25519.
                        let point = vec![9; 32];
                        prefixed(message, 2, |message| message.extend(share.as_ref().unwrap_or(&point)));
                    }
                });
            }),
            Self::PskModes(modes) => write_extension(message, 45, |message| {
                prefixed(message, 1, |message| message.extend(modes));
            }),
            Self::Protocols(protocols) => write_extension(message, 16, |message| {
                prefixed(message, 2, |message| {
                    protocols.iter().for_each(|name| prefixed(message, 1, |message| message.extend(name)));
                });
            }),
            Self::EarlyData => write_extension(message, 42, |_| {}),
            Self::ExtendedMasterSecret => write_extension(message, 23, |_| {}),
            Self::SessionTicket(ticket) => write_extension(message, 35, |message| message.extend(ticket)),
            Self::Any(number, bytes) => write_extension(message, *number, |message| message.extend(bytes)),
        }
    }
}

impl Psk {
    fn write(&self, message: &mut Vec<u8>, held: &[Held]) {
        let times = usize::from(self.times).max(1);
        prefixed(message, 2, |message| {
            for (id, age) in std::iter::repeat_n(&self.identities, times).flatten() {
                prefixed(message, 2, |message| message.extend(id.bytes(held)));
                message.extend(age.to_be_bytes());
            }
        });
        prefixed(message, 2, |message| match &self.binders {
            Some(binders) => binders.iter().for_each(|binder| prefixed(message, 1, |message| message.extend(binder))),
            // One binder for each identity, of the right length.
            None => {
                (0..self.identities.len() * times).for_each(|_| prefixed(message, 1, |message| message.extend([7; 32])))
            }
        });
    }
}
