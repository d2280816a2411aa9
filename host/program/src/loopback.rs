//! The proxy's peers on loopback: a stand for each tenant, an upstream, and TLS clients.

pub mod client;
pub mod upstream;

use innkeeper_proxy::{
    TenantTls,
    rustls::{
        RootCertStore,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// A tenant's server name, with a certificate of its own that its clients trust.
#[derive(Debug)]
pub struct Stand {
    /// The server name.
    pub server_name: String,
    certificate: CertificateDer<'static>,
}

impl Stand {
    /// Makes a certificate for `NAME.example`.
    ///
    /// # Errors
    /// When `name` is invalid in a server name.
    pub fn new(name: &str) -> anyhow::Result<(Self, TenantTls)> {
        let server_name = format!("{name}.example");
        let made = rcgen::generate_simple_self_signed([server_name.clone()])?;
        let certificate = CertificateDer::from(made.cert);
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let tls = TenantTls::new(vec![certificate.clone()], key);
        Ok((Self { server_name, certificate }, tls))
    }

    /// The certificates that a client of the stand trusts.
    ///
    /// # Errors
    /// When rustls rejects the certificate.
    pub fn roots(&self) -> anyhow::Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        Ok(roots)
    }
}
