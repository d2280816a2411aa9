//! A client that sends early data in pieces of any size, and offers its session under any name.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use innkeeper_e2e::House;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, NamedGroup, RootCertStore,
    client::{
        ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
    },
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject as _},
};

/// The pieces of a client's bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pieces {
    /// Everything at once.
    Whole,
    /// Each record in a separate segment.
    Records,
    /// Each byte in a separate segment.
    Bytes,
}

impl Pieces {
    fn of(self, mut bytes: &[u8]) -> Vec<&[u8]> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let length = match self {
                Self::Whole => bytes.len(),
                Self::Records => record_len(bytes),
                Self::Bytes => 1,
            };
            let (piece, rest) = bytes.split_at(length);
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }
}

/// The length of the first record, with its header.
fn record_len(bytes: &[u8]) -> usize {
    5 + usize::from(u16::from_be_bytes([bytes[3], bytes[4]]))
}

/// A client with a certificate and a store of sessions.
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    /// Its certificate.
    pub(crate) root: CertificateDer<'static>,
}

impl Client {
    pub(crate) fn new(house: &House) -> Self {
        let mut roots = RootCertStore::empty();
        let authorities = CertificateDer::pem_file_iter(house.authorities()).unwrap();
        authorities.for_each(|root| roots.add(root.unwrap()).unwrap());
        let made = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
        let root = CertificateDer::from(made.cert);
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![root.clone()], key)
            .unwrap();
        config.enable_early_data = true;
        config.resumption = Resumption::store(Arc::new(OneName(ClientSessionMemoryCache::new(256))));
        Self { config: Arc::new(config), root }
    }

    /// Offers one protocol from now on.
    pub(crate) fn offer(&mut self, protocol: &str) {
        Arc::make_mut(&mut self.config).alpn_protocols = vec![protocol.as_bytes().to_vec()];
    }

    /// Begins a connection. Each part of the early data is a record.
    ///
    /// # Panics
    /// If early data is given and no session allows it.
    pub(crate) fn visit(&self, house: &House, name: &str, pieces: Pieces, early_data: &[&[u8]]) -> Visit {
        let server_name = ServerName::try_from(name.to_owned()).unwrap();
        let mut tls = ClientConnection::new(Arc::clone(&self.config), server_name).unwrap();
        tls.set_buffer_limit(None);
        for record in early_data {
            tls.early_data().expect("the session allows early data").write_all(record).unwrap();
        }
        let stream = TcpStream::connect(house.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
        Visit { tls, stream, pieces, seen: Vec::new(), is_closed: false }
    }
}

/// A connection.
pub(crate) struct Visit {
    tls: ClientConnection,
    stream: TcpStream,
    pieces: Pieces,
    seen: Vec<u8>,
    is_closed: bool,
}

/// A client's view of a connection.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) kind: HandshakeKind,
    pub(crate) is_accepted: bool,
    pub(crate) answer: Vec<u8>,
    /// True if the server announced the end.
    pub(crate) is_closed: bool,
}

impl Visit {
    /// Completes the handshake, sends a request, and reads to the end.
    pub(crate) fn finish(self, request: &str) -> io::Result<Seen> {
        self.finish_after(0, request)
    }

    /// Completes the handshake, sends a request after `answered` bytes, and reads to the end.
    pub(crate) fn finish_after(mut self, answered: usize, request: &str) -> io::Result<Seen> {
        self.send_hello()?;
        while self.tls.is_handshaking() || self.seen.len() < answered {
            if !self.go_on()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.tls.writer().write_all(request.as_bytes())?;
        while self.go_on()? {}
        Ok(Seen {
            kind: self.tls.handshake_kind().ok_or(io::ErrorKind::InvalidData)?,
            is_accepted: self.tls.is_early_data_accepted(),
            answer: self.seen,
            is_closed: self.is_closed,
        })
    }

    /// Sends the ClientHello and the early data, waits for the server's answer, and ends.
    pub(crate) fn break_off(mut self) -> io::Result<()> {
        self.send_hello()?;
        self.stream.peek(&mut [0]).map(|_| ())
    }

    /// Sends the ClientHello first. In pieces, the rest follows once the server works on it, and so arrives while the
    /// server waits.
    fn send_hello(&mut self) -> io::Result<()> {
        let bytes = self.waiting();
        let (hello, rest) = bytes.split_at(record_len(&bytes));
        self.send(hello)?;
        if !matches!(self.pieces, Pieces::Whole) {
            self.stream.peek(&mut [0])?;
        }
        self.send(rest)
    }

    /// Sends pending bytes, and reads once. Returns false at the end.
    fn go_on(&mut self) -> io::Result<bool> {
        let bytes = self.waiting();
        self.send(&bytes)?;
        if self.tls.read_tls(&mut self.stream)? == 0 {
            return Ok(false);
        }
        let state = self.tls.process_new_packets().map_err(io::Error::other)?;
        let before = self.seen.len();
        self.seen.resize(before + state.plaintext_bytes_to_read(), 0);
        self.tls.reader().read_exact(&mut self.seen[before..])?;
        self.is_closed |= state.peer_has_closed();
        Ok(!self.is_closed)
    }

    fn waiting(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pieces.of(bytes).into_iter().try_for_each(|piece| self.stream.write_all(piece))
    }
}

/// A store that returns the same sessions for every server name.
#[derive(Debug)]
struct OneName(ClientSessionMemoryCache);

impl OneName {
    fn name() -> ServerName<'static> {
        ServerName::try_from("any.example").unwrap()
    }
}

impl ClientSessionStore for OneName {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(Self::name(), group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(&Self::name())
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(Self::name(), value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(&Self::name())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&Self::name());
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(Self::name(), value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&Self::name())
    }
}
