//! Early data over the vendored rustls, in memory: accepted, or skipped in whatever pieces it arrives. Most of this
//! fails with the published rustls 0.23.46.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    io::{Read as _, Write as _},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection,
    crypto::{CryptoProvider, SupportedKxGroup, ring},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ServerSessionMemoryCache, StoresServerSessions, WebPkiClientVerifier},
};

/// The most early data that a tenant's configuration allows.
const ALLOWED_MAX: u32 = 1 << 20;

/// The pieces in which bytes reach the server.
#[derive(Clone, Copy, Debug)]
enum Split {
    /// As many bytes at a time as the server reads.
    Whole,
    /// One record at a time.
    Records,
    /// A number of bytes at a time, across the borders of records.
    Bytes(usize),
}

const SPLITS: [Split; 5] = [Split::Whole, Split::Records, Split::Bytes(1), Split::Bytes(1_021), Split::Bytes(4_096)];

impl Split {
    fn pieces(self, mut bytes: &[u8]) -> Vec<&[u8]> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let length = match self {
                Self::Whole => bytes.len(),
                Self::Records => 5 + usize::from(u16::from_be_bytes([bytes[3], bytes[4]])),
                Self::Bytes(length) => length.min(bytes.len()),
            };
            let (piece, rest) = bytes.split_at(length);
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }
}

/// Early data: a number of records, with a number of bytes in each.
#[derive(Clone, Copy, Debug)]
struct Sent {
    records: usize,
    bytes: usize,
}

const FULL_RECORD: usize = 16_384;

/// The cause for which early data is not accepted.
#[derive(Clone, Copy, Debug)]
enum Cause {
    /// The session is unknown, so the handshake is a full one.
    Unknown,
    /// The session is unknown, and the client has to show its certificate.
    Certificate,
    /// The session resumes, but with another protocol name.
    Protocol,
    /// The client's key share is unusable.
    Retry,
}

const CAUSES: [Cause; 4] = [Cause::Unknown, Cause::Certificate, Cause::Protocol, Cause::Retry];

/// A client with a session that allows early data, and everything it needs to come again.
struct Returning {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    store: Arc<dyn StoresServerSessions>,
    client: Arc<ClientConfig>,
}

fn provider(groups: &[&'static dyn SupportedKxGroup]) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { kx_groups: groups.to_vec(), ..ring::default_provider() })
}

impl Returning {
    /// A client whose session allows `promised` bytes of early data.
    fn new(promised: u32) -> Self {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let chain: Vec<CertificateDer<'static>> = vec![made.cert.into()];
        let key: PrivateKeyDer<'static> = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
        let mut roots = RootCertStore::empty();
        roots.add(chain[0].clone()).unwrap();
        let groups: [&dyn SupportedKxGroup; 2] = [ring::kx_group::X25519, ring::kx_group::SECP256R1];
        let mut client = ClientConfig::builder_with_provider(provider(&groups))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .unwrap();
        client.enable_early_data = true;
        client.alpn_protocols = vec![b"one".to_vec(), b"two".to_vec()];
        let own = Self { chain, key, store: ServerSessionMemoryCache::new(256), client: Arc::new(client) };
        let mut visit = Visit::begin(&own, own.server(promised, None), Sent { records: 0, bytes: 0 });
        visit.go_on(Split::Whole).unwrap();
        own
    }

    /// A server that accepts `allowed` bytes of early data, or none for a cause.
    fn server(&self, allowed: u32, cause: Option<Cause>) -> ServerConfig {
        let groups: [&dyn SupportedKxGroup; 1] = match cause {
            Some(Cause::Retry) => [ring::kx_group::SECP256R1],
            _ => [ring::kx_group::X25519],
        };
        let builder = ServerConfig::builder_with_provider(provider(&groups));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = match cause {
            Some(Cause::Certificate) => {
                let mut roots = RootCertStore::empty();
                roots.add(self.chain[0].clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider(&groups));
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(self.chain.clone(), self.key.clone_key()).unwrap();
        config.alpn_protocols = match cause {
            Some(Cause::Protocol) => vec![b"two".to_vec()],
            _ => vec![b"one".to_vec()],
        };
        config.session_storage = match cause {
            Some(Cause::Unknown | Cause::Certificate) => ServerSessionMemoryCache::new(256),
            _ => Arc::clone(&self.store),
        };
        config.max_early_data_size = allowed;
        config
    }
}

/// A connection.
struct Visit {
    client: ClientConnection,
    server: ServerConnection,
}

impl Visit {
    fn begin(returning: &Returning, server: ServerConfig, sent: Sent) -> Self {
        let mut client = ClientConnection::new(Arc::clone(&returning.client), "a.example".try_into().unwrap()).unwrap();
        client.set_buffer_limit(None);
        for number in 0..sent.records {
            let record = vec![number as u8; sent.bytes];
            client.early_data().expect("the session allows early data").write_all(&record).unwrap();
        }
        Self { client, server: ServerConnection::new(Arc::new(server)).unwrap() }
    }

    /// Passes bytes until both sides are silent.
    fn go_on(&mut self, split: Split) -> Result<(), String> {
        while self.client.wants_write() || self.server.wants_write() {
            let mut bytes = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut bytes).unwrap();
            }
            for mut piece in split.pieces(&bytes) {
                while !piece.is_empty() {
                    self.server.read_tls(&mut piece).map_err(|error| error.to_string())?;
                    self.server.process_new_packets().map_err(|error| error.to_string())?;
                }
            }
            let mut bytes = Vec::new();
            while self.server.wants_write() {
                self.server.write_tls(&mut bytes).unwrap();
            }
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                self.client.read_tls(&mut rest).unwrap();
                self.client.process_new_packets().unwrap();
            }
        }
        Ok(())
    }

    /// Completes the handshake, and answers a request. Returns the accepted early data.
    fn complete(mut self, split: Split) -> Result<(Vec<u8>, HandshakeKind), String> {
        self.go_on(split)?;
        assert!(!self.client.is_handshaking() && !self.server.is_handshaking(), "both have finished");
        let mut accepted = Vec::new();
        if let Some(mut early_data) = self.server.early_data() {
            early_data.read_to_end(&mut accepted).unwrap();
        }
        assert_eq!(self.client.is_early_data_accepted(), self.server.early_data().is_some());
        self.client.writer().write_all(b"question").unwrap();
        self.server.writer().write_all(b"answer").unwrap();
        self.go_on(split)?;
        let (mut question, mut answer) = ([0; 8], [0; 6]);
        self.server.reader().read_exact(&mut question).unwrap();
        self.client.reader().read_exact(&mut answer).unwrap();
        assert_eq!((&question, &answer), (b"question", b"answer"));
        Ok((accepted, self.client.handshake_kind().unwrap()))
    }
}

/// Early data is skipped for every cause, every split, and every bound.
#[track_caller]
fn check_skipped(sent: Sent, splits: &[Split], allowed: &[u32]) {
    for cause in CAUSES {
        for (split, allowed) in splits.iter().flat_map(|split| allowed.iter().map(move |allowed| (*split, *allowed))) {
            let returning = Returning::new(ALLOWED_MAX);
            let visit = Visit::begin(&returning, returning.server(allowed, Some(cause)), sent);
            let shape = format!("{sent:?}, {cause:?}, {split:?}, {allowed} allowed");
            let (accepted, kind) = visit.complete(split).unwrap_or_else(|error| panic!("{shape}: {error}"));
            assert!(accepted.is_empty(), "{shape}");
            let expected = match cause {
                Cause::Unknown | Cause::Certificate => HandshakeKind::Full,
                Cause::Protocol | Cause::Retry => HandshakeKind::Resumed,
            };
            assert_eq!(kind, expected, "{shape}");
        }
    }
}

const ALLOWED: [u32; 4] = [0, 100, 16_384, ALLOWED_MAX];

#[test]
fn one_short_record_is_skipped() {
    check_skipped(Sent { records: 1, bytes: 1 }, &SPLITS, &ALLOWED);
}

#[test]
fn one_record_of_what_was_allowed_is_skipped() {
    check_skipped(Sent { records: 1, bytes: 4_000 }, &SPLITS, &[4_096]);
}

#[test]
fn one_full_record_is_skipped() {
    check_skipped(Sent { records: 1, bytes: FULL_RECORD }, &SPLITS, &ALLOWED);
}

#[test]
fn a_few_records_are_skipped() {
    check_skipped(Sent { records: 5, bytes: 1_000 }, &SPLITS, &ALLOWED);
}

#[test]
fn more_records_than_the_buffer_holds_are_skipped() {
    check_skipped(Sent { records: 100, bytes: 1_000 }, &SPLITS, &ALLOWED);
}

#[test]
fn records_of_one_byte_are_skipped() {
    check_skipped(Sent { records: 5_000, bytes: 1 }, &SPLITS, &ALLOWED);
}

#[test]
fn all_that_any_configuration_allows_is_skipped() {
    let splits = [Split::Whole, Split::Records, Split::Bytes(1_021)];
    check_skipped(Sent { records: ALLOWED_MAX as usize / FULL_RECORD, bytes: FULL_RECORD }, &splits, &[0, ALLOWED_MAX]);
    check_skipped(Sent { records: ALLOWED_MAX as usize / 1_024, bytes: 1_024 }, &splits, &[0, ALLOWED_MAX]);
    check_skipped(Sent { records: ALLOWED_MAX as usize / FULL_RECORD, bytes: FULL_RECORD }, &[Split::Bytes(1)], &[0]);
}

#[test]
fn all_that_any_configuration_allows_is_skipped_in_records_of_one_byte() {
    check_skipped(Sent { records: ALLOWED_MAX as usize, bytes: 1 }, &[Split::Whole], &[0]);
}

#[test]
fn skipping_has_an_end() {
    for cause in CAUSES {
        // The bound of a foreign session.
        let returning = Returning::new(u32::MAX);
        for (records, bytes) in [(66, FULL_RECORD), (2_100, 512)] {
            let visit = Visit::begin(&returning, returning.server(0, Some(cause)), Sent { records, bytes });
            let ended = visit.complete(Split::Records);
            assert!(ended.is_err(), "{cause:?}, {records} records of {bytes} bytes: {ended:?}");
        }
    }
}

#[test]
fn what_is_allowed_is_accepted_whole() {
    for (records, bytes) in [(1, 1), (1, FULL_RECORD), (100, 1_000), (64, FULL_RECORD), (5_000, 1)] {
        for split in SPLITS {
            let returning = Returning::new(ALLOWED_MAX);
            let visit = Visit::begin(&returning, returning.server(ALLOWED_MAX, None), Sent { records, bytes });
            let (accepted, kind) = visit.complete(split).unwrap();
            let expected: Vec<u8> = (0..records).flat_map(|number| vec![number as u8; bytes]).collect();
            assert!(accepted == expected, "{records} records of {bytes} bytes, {split:?}: {} bytes", accepted.len());
            assert_eq!(kind, HandshakeKind::Resumed);
        }
    }
}

#[test]
fn what_is_allowed_is_accepted_in_records_of_one_byte() {
    let returning = Returning::new(ALLOWED_MAX);
    let sent = Sent { records: ALLOWED_MAX as usize, bytes: 1 };
    let visit = Visit::begin(&returning, returning.server(ALLOWED_MAX, None), sent);
    let (accepted, _) = visit.complete(Split::Whole).unwrap();
    assert_eq!(accepted.len(), ALLOWED_MAX as usize);
}
