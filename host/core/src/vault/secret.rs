//! Bytes that are wiped when dropped and never printed.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A session as a vault keeps it. The type wipes itself when dropped ([`ZeroizeOnDrop`]) and tells its size.
pub trait Value: ZeroizeOnDrop + Send + Sync + 'static {
    /// The memory of the value, in bytes; the vault's limits use it.
    fn stored_bytes(&self) -> usize;
}

/// Secret bytes, such as a serialized TLS session. Wiped when dropped; its `Debug` shows the length only.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes the bytes over; the caller has no copy left.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes themselves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Gives the bytes out of the wiping type, for a library that wants them by value.
    pub fn into_exposed(mut self) -> Vec<u8> {
        let bytes = std::mem::take(&mut self.0);
        // There is nothing left to wipe.
        std::mem::forget(self);
        bytes
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for Secret {}

impl Value for Secret {
    fn stored_bytes(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}
