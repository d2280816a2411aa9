//! What the commands share that show the proxy at work: tenants, an upstream and TLS clients on loopback.

pub(crate) mod client;
pub(crate) mod table;
pub(crate) mod upstream;

use std::io::{IsTerminal as _, Write as _};

use innkeeper_proxy::{
    TenantTls,
    rustls::{
        RootCertStore,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// A tenant's server name, with a certificate of its own that its clients trust.
pub(crate) struct Stand {
    pub(crate) server_name: String,
    certificate: CertificateDer<'static>,
}

impl Stand {
    /// Makes a certificate for `NAME.example`.
    pub(crate) fn new(name: &str) -> anyhow::Result<(Self, TenantTls)> {
        let server_name = format!("{name}.example");
        let made = rcgen::generate_simple_self_signed([server_name.clone()])?;
        let certificate = CertificateDer::from(made.cert);
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let tls = TenantTls::new(vec![certificate.clone()], key);
        Ok((Self { server_name, certificate }, tls))
    }

    /// What a client of the stand trusts.
    pub(crate) fn roots(&self) -> anyhow::Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        Ok(roots)
    }
}

/// One line on the terminal that is written over; nothing where there is no terminal.
pub(crate) struct Progress {
    is_terminal: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal() }
    }

    pub(crate) fn say(&self, text: &str) {
        if self.is_terminal {
            // A terminal that is gone needs no progress.
            let _ = write!(std::io::stderr(), "\r\x1b[2K{text}");
        }
    }

    pub(crate) fn clear(&self) {
        self.say("");
    }
}
