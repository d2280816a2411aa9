//! The names that sessions are filed under, and a hasher for the keys that stand for them.

use std::hash::Hasher;

use zeroize::Zeroize;

/// The name that a session is filed under. A guest never sees either part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name<'a> {
    /// The peer of the session: a server name, or a peer's host and port.
    pub partial: &'a [u8],
    /// The TLS session id or ticket id.
    pub id: &'a [u8],
}

/// A [`Name`] that owns its parts, and wipes them when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedName {
    /// The id, and the partial key after it.
    bytes: Box<[u8]>,
    id_len: usize,
}

impl OwnedName {
    /// The name, borrowed.
    pub fn name(&self) -> Name<'_> {
        let (id, partial) = self.bytes.split_at(self.id_len);
        Name { partial, id }
    }

    /// The memory of both parts, in bytes.
    pub(crate) fn stored_bytes(&self) -> usize {
        self.bytes.len()
    }
}

impl From<Name<'_>> for OwnedName {
    fn from(name: Name<'_>) -> Self {
        Self { bytes: [name.id, name.partial].concat().into(), id_len: name.id.len() }
    }
}

impl Drop for OwnedName {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl std::fmt::Debug for OwnedName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Name { partial, id } = self.name();
        write!(f, "OwnedName({} + {} bytes)", partial.len(), id.len())
    }
}

/// Hashes keys, whose parts are keyed fingerprints already: it only has to spread their bits.
#[derive(Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}
