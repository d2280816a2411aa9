//! The vault behind its lock, with a version that tells whether it has changed.

use crate::{
    sync::{
        ReadGuard, RwLock, WriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    vault::{secret::Value, vault::Vault},
};

/// A vault that threads share. Its lock is held for one operation: never while a guest runs, and never while a seat is
/// waited for.
pub(crate) struct SharedVault<V> {
    vault: RwLock<Vault<V>>,
    /// Grows whenever the vault may change, while its lock is held for that.
    version: AtomicU64,
}

impl<V: Value> SharedVault<V> {
    /// A vault for so many readers at a time.
    pub(crate) fn new(vault: Vault<V>, readers: usize) -> Self {
        Self { vault: RwLock::new(vault, readers), version: AtomicU64::new(0) }
    }

    /// The vault, to look into.
    #[inline(always)]
    pub(crate) fn read(&self) -> ReadGuard<'_, Vault<V>> {
        self.vault.read()
    }

    /// The vault, to be changed.
    pub(crate) fn write(&self) -> WriteGuard<'_, Vault<V>> {
        let vault = self.vault.write();
        self.version.fetch_add(1, Ordering::AcqRel);
        vault
    }

    /// A number that stays the same as long as the vault does. A view of the vault under one lock, together with this
    /// number, holds while the number is the same, without a lock.
    #[inline(always)]
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

#[cfg(all(test, loom))]
pub(crate) mod models {
    use std::sync::Arc;

    use loom::{
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    use super::*;
    use crate::vault::{
        secret::Secret,
        vault::{Overflow, VaultBounds},
    };

    /// A vault with room for a few sessions.
    pub(crate) fn small() -> SharedVault<Secret> {
        let bounds = VaultBounds {
            sessions: 8,
            session_bytes: 1 << 10,
            bytes: 1 << 10,
            lifetime_ms: 1_000,
            overflow: Overflow::EvictOldest,
        };
        SharedVault::new(Vault::new(bounds), 1)
    }

    /// A reader that has learned of a change, as from its guest, sees another version.
    #[test]
    fn whoever_knows_of_a_change_sees_another_version() {
        loom::model(|| {
            let vault: Arc<SharedVault<Secret>> = Arc::new(small());
            let told = Arc::new(AtomicBool::new(false));
            let before = {
                let _seen = vault.read();
                vault.version()
            };
            let writer = {
                let (vault, told) = (Arc::clone(&vault), Arc::clone(&told));
                thread::spawn(move || {
                    vault.write().revoke();
                    told.store(true, Ordering::Release);
                })
            };
            if told.load(Ordering::Acquire) {
                assert_ne!(vault.version(), before);
            }
            writer.join().expect("the writer ends");
        });
    }
}
