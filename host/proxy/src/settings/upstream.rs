//! The settings of an upstream.

use std::sync::Arc;

use innkeeper_rustls::upstream_identity;
use tokio_rustls::rustls::{
    self, ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
    sign::SingleCertAndKey,
};

use crate::{proxy_protocol::ProxyProtocol, settings::tls::Certificate};

/// The destination of a tenant's connections.
#[derive(Clone, PartialEq)]
pub struct Upstream {
    /// Its host and port, such as `10.0.0.7:8080`. The proxy looks a host's name up at most once a second, and tries
    /// its addresses in turn.
    pub address: String,
    /// Its TLS settings; None for plain TCP.
    pub tls: Option<UpstreamTls>,
    /// The version of the PROXY protocol that tells it the client's address, if any.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// The TLS settings of an upstream.
#[derive(Clone, PartialEq)]
pub struct UpstreamTls {
    /// The name that its certificate must be for. The proxy sends it as the server name.
    pub server_name: ServerName<'static>,
    /// The roots that its certificate must come from.
    pub roots: Arc<[CertificateDer<'static>]>,
    /// The certificate that the proxy shows when the upstream asks for one.
    pub certificate: Option<Certificate>,
}

impl Upstream {
    /// Plain TCP to an address.
    pub fn plain(address: impl ToString) -> Self {
        Self { address: address.to_string(), tls: None, proxy_protocol: None }
    }
}

/// A text that no certificate could be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a host's name or an IP address")]
pub struct InvalidServerName;

impl UpstreamTls {
    /// An upstream of a name, a host's or an IP address. It has no roots yet, so no handshake with it succeeds, and no
    /// certificate.
    ///
    /// # Errors
    /// When no certificate could be for the name.
    pub fn new(server_name: &str) -> Result<Self, InvalidServerName> {
        let server_name = ServerName::try_from(server_name.to_owned()).map_err(|_| InvalidServerName)?;
        Ok(Self { server_name, roots: Arc::default(), certificate: None })
    }

    /// The digest of everything that the trust in the upstream rests on.
    pub(crate) fn identity(&self, alpn: &[Vec<u8>]) -> [u8; 32] {
        let chain = self.certificate.as_ref().map_or(&[][..], |certificate| &certificate.chain);
        upstream_identity(&self.roots, &self.server_name.to_str(), alpn, chain)
    }

    pub(crate) fn to_config(&self) -> Result<ClientConfig, rustls::Error> {
        let mut roots = RootCertStore::empty();
        self.roots.iter().cloned().try_for_each(|root| roots.add(root))?;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        Ok(match &self.certificate {
            Some(certificate) => {
                let certified = certificate.certified()?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
            None => builder.with_no_client_auth(),
        })
    }
}
