//! The identity of a TLS configuration: the part that a session's trust decision rests on, and that binds the session.

use ring::digest::{Context, SHA256};
use rustls::pki_types::CertificateDer;

/// The demand for client certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// The client is not asked for a certificate.
    #[default]
    None,
    /// The client is asked for a certificate, and may have none.
    Optional,
    /// The client must have a certificate.
    Required,
}

/// A digest of a TLS configuration. Sessions of one identity are unknown under any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsIdentity([u8; Self::LEN]);

impl TlsIdentity {
    pub(crate) const LEN: usize = 32;

    /// The identity of a configuration: the demand for client certificates, their roots, the server's own chain, and
    /// the protocols it offers, best first. For a verifier that looks at more than roots, `extra` names the rest.
    pub fn new(
        client_auth: ClientAuth,
        client_roots: &[CertificateDer<'_>],
        certificates: &[CertificateDer<'_>],
        alpn: &[Vec<u8>],
        extra: &[u8],
    ) -> Self {
        let digest = Digest::new(b"innkeeper TLS configuration 2\0")
            .list(std::iter::once([client_auth as u8].as_slice()))
            .list(client_roots.iter().map(AsRef::as_ref))
            .list(certificates.iter().map(AsRef::as_ref))
            .list(alpn.iter().map(Vec::as_slice))
            .list(std::iter::once(extra));
        Self(digest.finish())
    }

    pub(crate) fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// A digest of lists of byte strings. It includes the length of each list and of each part, so no two run together.
pub(crate) struct Digest(Context);

impl Digest {
    /// A new digest. `domain` names the kind of things digested, so no two kinds have equal digests.
    pub(crate) fn new(domain: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(domain);
        Self(context)
    }

    pub(crate) fn list<'a>(mut self, parts: impl ExactSizeIterator<Item = &'a [u8]>) -> Self {
        self.0.update(&(parts.len() as u64).to_be_bytes());
        for part in parts {
            self.0.update(&(part.len() as u64).to_be_bytes());
            self.0.update(part);
        }
        self
    }

    pub(crate) fn finish(self) -> [u8; TlsIdentity::LEN] {
        self.0.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts_and_none_runs_into_the_next() {
        let certificate = |text: &str| CertificateDer::from(text.as_bytes().to_vec());
        let (a, b, ab) = (certificate("a"), certificate("b"), certificate("ab"));
        let (a, b, ab) = (&[a], &[b], &[ab]);
        let pair = &[a[0].clone(), b[0].clone()];
        let none: &[CertificateDer<'_>] = &[];
        let alpn = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>();
        let identities = [
            TlsIdentity::new(ClientAuth::None, none, a, &[], b""),
            TlsIdentity::new(ClientAuth::Optional, none, a, &[], b""),
            TlsIdentity::new(ClientAuth::Required, none, a, &[], b""),
            TlsIdentity::new(ClientAuth::Required, a, none, &[], b""),
            TlsIdentity::new(ClientAuth::Required, a, b, &[], b""),
            TlsIdentity::new(ClientAuth::Required, pair, none, &[], b""),
            TlsIdentity::new(ClientAuth::Required, ab, none, &[], b""),
            TlsIdentity::new(ClientAuth::None, none, a, &alpn(&["h2"]), b""),
            TlsIdentity::new(ClientAuth::None, none, a, &alpn(&["h", "2"]), b""),
            TlsIdentity::new(ClientAuth::None, none, a, &alpn(&["h2", "http/1.1"]), b""),
            TlsIdentity::new(ClientAuth::None, none, a, &alpn(&["http/1.1", "h2"]), b""),
            TlsIdentity::new(ClientAuth::None, none, a, &[], b"x"),
        ];
        for (number, identity) in identities.iter().enumerate() {
            assert!(!identities[..number].contains(identity), "number {number} is another configuration");
        }
    }
}
