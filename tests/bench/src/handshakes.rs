//! The server's cost of a handshake: in memory, one after another, with only the server's own steps timed.

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use innkeeper_core::{Clock, Owners};
use innkeeper_rustls::{ClientAuth, ServerSessions, TlsIdentity, prepare};
use innkeeper_work::Subject as _;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion,
    client::{Resumption, Tls12Resumption},
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier},
    version::{TLS12, TLS13},
};

use crate::{
    cache::{self, Cache},
    results::{Results, Row},
};

pub(crate) const SERVER_NAME: &str = "bench.example";

/// The certificate of a server, and whether its clients need one.
#[derive(Clone, Copy)]
struct Proof {
    name: &'static str,
    is_rsa: bool,
    is_mutual: bool,
}

const PROOFS: [Proof; 4] = [
    Proof { name: "ecdsa", is_rsa: false, is_mutual: false },
    Proof { name: "rsa", is_rsa: true, is_mutual: false },
    Proof { name: "ecdsa-mtls", is_rsa: false, is_mutual: true },
    Proof { name: "rsa-mtls", is_rsa: true, is_mutual: true },
];

const VERSIONS: [(&SupportedProtocolVersion, &str); 2] = [(&TLS12, "tls12"), (&TLS13, "tls13")];

/// The server's session stores.
const STORES: [&str; 3] = ["rust-lru", "rustls-store", "none"];

/// Handshakes in a round of one kind.
const HANDSHAKES: usize = 4;

/// A self-signed certificate with its key.
pub(crate) struct Certified {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    key: PrivatePkcs8KeyDer<'static>,
}

impl Certified {
    pub(crate) fn new(is_rsa: bool) -> anyhow::Result<Self> {
        let key = match is_rsa {
            true => rcgen::KeyPair::from_pem(&rsa_2048()?)?,
            false => rcgen::KeyPair::generate()?,
        };
        let certificate = rcgen::CertificateParams::new(vec![SERVER_NAME.to_owned(), format!("*.{SERVER_NAME}")])?
            .self_signed(&key)?;
        Ok(Self { chain: vec![certificate.der().clone()], key: PrivatePkcs8KeyDer::from(key.serialize_der()) })
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.clone_key())
    }

    pub(crate) fn roots(&self) -> anyhow::Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        self.chain.iter().cloned().try_for_each(|root| roots.add(root))?;
        Ok(roots)
    }

    pub(crate) fn client(
        &self,
        version: &'static SupportedProtocolVersion,
        shows: Option<&Self>,
    ) -> anyhow::Result<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])?
            .with_root_certificates(self.roots()?);
        let mut config = match shows {
            Some(own) => builder.with_client_auth_cert(own.chain.clone(), own.key())?,
            None => builder.with_no_client_auth(),
        };
        // By id: a ticket would carry the session itself, and bypass every cache.
        config.resumption = Resumption::in_memory_sessions(32).tls12_resumption(Tls12Resumption::SessionIdOnly);
        Ok(config)
    }
}

/// Makes an RSA key with OpenSSL, since *ring* makes none.
fn rsa_2048() -> anyhow::Result<String> {
    let made = Command::new("openssl")
        .args(["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
        .output()
        .context("cannot run openssl")?;
    ensure!(made.status.success(), "openssl makes no key: {}", String::from_utf8_lossy(&made.stderr));
    Ok(String::from_utf8(made.stdout)?)
}

/// A server that keeps sessions in one of the stores.
struct Server {
    config: Arc<ServerConfig>,
    sessions: Option<ServerSessions>,
    /// The cache of the store. The other stores have one as well, only to wait for it: a thread that has waited is a
    /// little slower for a while.
    cache: Cache,
}

impl Server {
    fn new(owners: &Owners, store: &str, proof: Proof, certified: &Certified) -> anyhow::Result<Self> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?;
        let builder = match proof.is_mutual {
            true => {
                let roots = Arc::new(certified.roots()?);
                let provider = Arc::new(ring::default_provider());
                builder.with_client_cert_verifier(WebPkiClientVerifier::builder_with_provider(roots, provider).build()?)
            }
            false => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(certified.chain.clone(), certified.key())?;
        prepare(&mut config, 0);
        let mut sessions = None;
        let engine = cache::engine(1_000, 4)?;
        let cache = Cache::open(owners, cache::guest(&engine, STORES[0], 1_000)?, 1_000, 1)?;
        match store {
            "none" => {
                config.session_storage = Arc::new(NoServerSessionStorage {});
                config.send_tls13_tickets = 0;
            }
            "rustls-store" => config.session_storage = ServerSessionMemoryCache::new(10_000),
            _ => {
                let identity = TlsIdentity::new(ClientAuth::None, &[], &certified.chain, &[], b"");
                sessions = Some(ServerSessions::new(cache.reader().0, identity));
            }
        }
        Ok(Self { config: Arc::new(config), sessions, cache })
    }

    /// Makes one handshake, and returns its kind and the server's computing time.
    fn shake(&self, client: &Arc<ClientConfig>) -> anyhow::Result<(HandshakeKind, Duration)> {
        let mut client = ClientConnection::new(Arc::clone(client), SERVER_NAME.try_into()?)?;
        let mut wire = Vec::new();
        let mut time = Duration::ZERO;
        let start = now();
        // As in the proxy, the connection has its own store, which knows the client's request.
        let scoped = self.sessions.as_ref().map(|sessions| sessions.scoped(&self.config, SERVER_NAME));
        let config = scoped.as_ref().map_or(&self.config, |scoped| &scoped.config);
        let mut server = ServerConnection::new(Arc::clone(config))?;
        time += start.elapsed();
        // The messages of a TLS 1.3 server after the handshake count as well.
        for _ in 0..8 {
            wire.clear();
            while client.wants_write() {
                client.write_tls(&mut wire)?;
            }
            let start = now();
            server.read_tls(&mut wire.as_slice())?;
            server.process_new_packets()?;
            wire.clear();
            while server.wants_write() {
                server.write_tls(&mut wire)?;
            }
            time += start.elapsed();
            client.read_tls(&mut wire.as_slice())?;
            client.process_new_packets()?;
            if !client.is_handshaking() && !server.is_handshaking() && !client.wants_write() {
                break;
            }
        }
        ensure!(!server.is_handshaking(), "the handshake does not end");
        let kind = server.handshake_kind().context("the handshake has ended")?;
        Ok((kind, time))
    }
}

/// Measures full and resumed handshakes of every kind, all stores in turn.
pub(crate) fn measure(rounds: usize, results: &mut Results) -> anyhow::Result<()> {
    let owners = Owners::new(1, Clock::system());
    for proof in PROOFS {
        let certified = Certified::new(proof.is_rsa)?;
        let mut servers = STORES
            .iter()
            .map(|store| Ok((*store, Server::new(&owners, store, proof, &certified)?)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        for (version, version_name) in VERSIONS {
            let shows = proof.is_mutual.then_some(&certified);
            let mut samples: Vec<[Vec<f64>; 2]> = servers.iter().map(|_| Default::default()).collect();
            for _ in 0..rounds {
                for ((store, server), samples) in servers.iter_mut().zip(&mut samples) {
                    let mut sums = [(Duration::ZERO, 0_u32); 2];
                    for _ in 0..HANDSHAKES {
                        // A new client, which then returns.
                        let client = Arc::new(certified.client(version, shows)?);
                        for (visit, sum) in sums.iter_mut().enumerate() {
                            let (kind, time) = server.shake(&client)?;
                            // The session is registered before the client returns; a real client is no faster than its
                            // network.
                            server.cache.settle();
                            let is_resumed = kind == HandshakeKind::Resumed;
                            ensure!(
                                is_resumed == (visit == 1 && *store != "none"),
                                "{store}: {kind:?} at visit {visit}"
                            );
                            sum.0 += time;
                            sum.1 += 1;
                        }
                    }
                    for (samples, (time, count)) in samples.iter_mut().zip(sums) {
                        samples.push(time.as_nanos() as f64 / f64::from(count));
                    }
                }
            }
            for ((store, _), [full, again]) in servers.iter().zip(samples) {
                let work = |kind: &str| format!("handshake-{version_name}-{}-{kind}", proof.name);
                let again_kind = if *store == "none" { "again" } else { "resumed" };
                results.rows.push(Row::new(&work("full"), store, 0, 1, full, Vec::new()));
                results.rows.push(Row::new(&work(again_kind), store, 0, 1, again, Vec::new()));
            }
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}
