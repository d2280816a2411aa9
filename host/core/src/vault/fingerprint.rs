//! Keyed fingerprints: what a guest sees in place of a server name and a session id.

use siphasher::sip::SipHasher13;
use zeroize::Zeroize;

use crate::{
    contract::{
        error::OpenError,
        scalar::{Key, PartialKey, SCALAR_END, SessionId},
    },
    vault::name::Name,
};

/// The random key of one cache's fingerprints.
///
/// A guest cannot join its log with a packet capture, and a client cannot craft two ids with one fingerprint, since
/// neither knows the key. Each fingerprint has 53 bits and is never zero. SipHash-1-3 is what hash tables defend
/// themselves with: nobody but the guest sees a fingerprint, and no session hangs on one, since the vault compares
/// names.
pub(crate) struct Fingerprints {
    secret: [u8; 32],
}

impl Fingerprints {
    pub(crate) fn random() -> Result<Self, OpenError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|_| OpenError::NoRandom)?;
        Ok(Self { secret })
    }

    #[inline(always)]
    pub(crate) fn key(&self, name: Name<'_>) -> Key {
        Key { partial: self.partial(name.partial), id: SessionId(fingerprint(&self.secret[16..], name.id)) }
    }

    #[inline(always)]
    pub(crate) fn partial(&self, partial: &[u8]) -> PartialKey {
        PartialKey(fingerprint(&self.secret[..16], partial))
    }
}

impl Drop for Fingerprints {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

#[inline(always)]
fn fingerprint(secret: &[u8], bytes: &[u8]) -> u64 {
    let secret: &[u8; 16] = secret.try_into().expect("each half of the secret has 16 bytes");
    (SipHasher13::new_with_key(secret).hash(bytes) % SCALAR_END).max(1)
}
