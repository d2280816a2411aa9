//! Certificates, keys and names as an operator writes them: PEM text, and host names.

use std::sync::Arc;

use tokio_rustls::rustls::{
    RootCertStore,
    pki_types::{
        CertificateDer, DnsName, PrivateKeyDer, ServerName,
        pem::{self, PemObject as _},
    },
};
use zeroize::Zeroize as _;

/// Certificates: a chain, leaf first, or a set of roots. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificates(Arc<[CertificateDer<'static>]>);

impl Certificates {
    /// Reads every certificate in a PEM text, at least one. Skips keys.
    ///
    /// # Errors
    /// When the text is not PEM, or has no certificate.
    pub fn from_pem(text: &[u8]) -> Result<Self, PemError> {
        let certificates: Result<Arc<[_]>, _> = CertificateDer::pem_slice_iter(text).collect();
        match certificates {
            Ok(certificates) if certificates.is_empty() => Err(PemError::NoCertificate),
            Ok(certificates) => Ok(Self(certificates)),
            Err(error) => Err(PemError::Malformed(error)),
        }
    }

    /// Roots in DER. Leaves out those that cannot be trusted as roots, because they are malformed.
    pub fn usable_roots(roots: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let mut store = RootCertStore::empty();
        let roots = roots.into_iter().map(|root| CertificateDer::from(root.as_ref().to_vec()));
        Self(roots.filter(|root| store.add(root.clone()).is_ok()).collect())
    }

    /// Checks that each can be trusted as a root.
    ///
    /// # Errors
    /// The first that cannot.
    pub fn check_roots(&self) -> Result<(), InvalidRoot> {
        let mut store = RootCertStore::empty();
        self.0.iter().cloned().try_for_each(|root| store.add(root)).map_err(InvalidRoot)
    }

    /// True if it has no certificate.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each certificate in DER.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.0.iter().map(AsRef::as_ref)
    }
}

impl From<Certificates> for Arc<[CertificateDer<'static>]> {
    fn from(certificates: Certificates) -> Self {
        certificates.0
    }
}

impl From<Certificates> for Vec<CertificateDer<'static>> {
    fn from(certificates: Certificates) -> Self {
        certificates.0.to_vec()
    }
}

/// A private key, wiped when it is dropped.
#[derive(Debug)]
pub struct PrivateKey(pub(super) PrivateKeyDer<'static>);

impl PrivateKey {
    /// Reads the first private key in a PEM text.
    ///
    /// # Errors
    /// When there is no key.
    pub fn from_pem(text: &[u8]) -> Result<Self, PemError> {
        PrivateKeyDer::from_pem_slice(text).map(Self).map_err(|_| PemError::NoKey)
    }
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A PEM text without the expected content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// The text is not PEM.
    #[error("the file is not PEM: {0}")]
    Malformed(pem::Error),
    /// The text has no certificate.
    #[error("the file has no certificate in PEM")]
    NoCertificate,
    /// The text has no private key.
    #[error("the file has no private key in PEM")]
    NoKey,
}

/// A certificate that cannot be trusted as a root.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRoot(tokio_rustls::rustls::Error);

/// True if a text is a DNS name, which a client may send as a server name.
pub fn is_dns_name(text: &str) -> bool {
    DnsName::try_from(text).is_ok()
}

/// True if a certificate could be for a text: a DNS name or an IP address.
pub fn is_server_name(text: &str) -> bool {
    ServerName::try_from(text).is_ok()
}
