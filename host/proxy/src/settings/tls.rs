//! The TLS settings of a tenant towards its clients: certificates, client certificates, protocols.

use std::{fmt, sync::Arc};

use innkeeper_rustls::{ClientAuth, TlsIdentity, prepare};
use tokio_rustls::rustls::{
    self, RootCertStore, ServerConfig,
    client::verify_server_name,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
};
use zeroize::Zeroize as _;

use crate::settings::pem::{Certificates, PrivateKey};

/// The TLS settings of a tenant. A session never outlives a change of them, except a change of a key alone or of early
/// data.
#[derive(Clone)]
pub struct TenantTls {
    /// Its certificates, at least one. A client gets the first that fits the server name it asked for and whose key it
    /// can verify, or else the first whose key it can verify.
    pub certificates: Vec<Certificate>,
    /// The demand for client certificates.
    pub client_auth: ClientAuth,
    /// The roots that client certificates must come from. Needed when clients are asked for one.
    pub client_roots: Vec<CertificateDer<'static>>,
    /// The protocols it offers, best first; empty to offer none.
    pub alpn: Vec<Vec<u8>>,
    /// The bytes that a client may send before the handshake is done, when it resumes; 0 turns early data off. Anybody
    /// who sees them on the way may send them to another server again. A lower value, unless it is 0, keeps sessions
    /// whose client was promised more from being resumed.
    pub early_data_bytes: u32,
}

/// A certificate chain with its key.
pub struct Certificate {
    /// The chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the leaf.
    pub key: PrivateKeyDer<'static>,
}

impl Clone for Certificate {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain && self.key.secret_der() == other.key.secret_der()
    }
}

impl Certificate {
    /// A chain with the key of its leaf, both checked.
    ///
    /// # Errors
    /// When the chain or the key cannot be read, or the key is not the leaf's.
    pub fn new(chain: Certificates, key: PrivateKey) -> Result<Self, InvalidCertificate> {
        let certificate = Self { chain: chain.into(), key: key.0.clone_key() };
        match certificate.certified() {
            Ok(_) => Ok(certificate),
            Err(error) => Err(InvalidCertificate(error)),
        }
    }

    /// True if the leaf is for a server name.
    pub fn is_for(&self, server_name: &str) -> bool {
        is_for(&self.chain, server_name)
    }

    pub(crate) fn certified(&self) -> Result<CertifiedKey, rustls::Error> {
        // By reference: no copy of the key is left behind.
        let key = ring::sign::any_supported_type(&self.key)?;
        let certified = CertifiedKey::new(self.chain.clone(), key);
        match certified.keys_match() {
            // Some kinds of keys do not reveal their public part.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
            Err(error) => Err(error),
        }
    }
}

/// A chain and a key that do not belong together, or that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidCertificate(rustls::Error);

fn is_for(chain: &[CertificateDer<'_>], server_name: &str) -> bool {
    let leaf = chain.first().and_then(|leaf| ParsedCertificate::try_from(leaf).ok());
    let name = ServerName::try_from(server_name);
    leaf.zip(name.ok()).is_some_and(|(leaf, name)| verify_server_name(&leaf, &name).is_ok())
}

impl TenantTls {
    /// One certificate, without client certificates, protocol names or early data.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Self {
        let (client_auth, client_roots, alpn) = (ClientAuth::None, Vec::new(), Vec::new());
        let certificates = vec![Certificate { chain, key }];
        Self { certificates, client_auth, client_roots, alpn, early_data_bytes: 0 }
    }

    pub(crate) fn identity(&self) -> TlsIdentity {
        let all: Vec<CertificateDer<'_>> =
            self.certificates.iter().flat_map(|certificate| certificate.chain.iter().cloned()).collect();
        // The lengths tell where one chain ends and the next begins.
        let lengths = self.certificates.iter().flat_map(|certificate| (certificate.chain.len() as u64).to_be_bytes());
        let lengths: Vec<u8> = lengths.collect();
        TlsIdentity::new(self.client_auth, &self.client_roots, &all, &self.alpn, &lengths)
    }

    pub(crate) fn to_config(&self) -> Result<ServerConfig, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let builder = match self.client_auth {
            ClientAuth::None => builder.with_no_client_auth(),
            ClientAuth::Optional | ClientAuth::Required => {
                let mut roots = RootCertStore::empty();
                self.client_roots.iter().cloned().try_for_each(|root| roots.add(root))?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
                let verifier = match self.client_auth {
                    ClientAuth::Optional => verifier.allow_unauthenticated(),
                    _ => verifier,
                };
                let built = verifier.build().map_err(|error| rustls::Error::General(error.to_string()))?;
                builder.with_client_cert_verifier(built)
            }
        };
        let certified = self.certificates.iter().map(|certificate| certificate.certified().map(Arc::new));
        let certified = certified.collect::<Result<Vec<_>, _>>()?;
        if certified.is_empty() {
            return Err(rustls::Error::NoCertificatesPresented);
        }
        let mut config = builder.with_cert_resolver(Arc::new(ByName(certified)));
        config.alpn_protocols.clone_from(&self.alpn);
        prepare(&mut config, self.early_data_bytes);
        Ok(config)
    }
}

/// Chooses among a tenant's certificates.
struct ByName(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let can_verify = |own: &&Arc<CertifiedKey>| own.key.choose_scheme(hello.signature_schemes()).is_some();
        let mut verifiable = self.0.iter().filter(can_verify);
        let named =
            |own: &&Arc<CertifiedKey>| hello.server_name().is_some_and(|server_name| is_for(&own.cert, server_name));
        let chosen = match self.0.len() {
            1 => verifiable.next(),
            _ => verifiable.clone().find(named).or_else(|| verifiable.next()),
        };
        chosen.cloned()
    }
}

impl fmt::Debug for ByName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ByName({} certificates)", self.0.len())
    }
}
