//! A tenant as long as it is served, and the counters of its connections.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use innkeeper_core::{CacheStats, Role};
use innkeeper_rustls::Resumption;

use crate::{
    error::Rejection,
    tenants::{
        caches::{Caches, Readers},
        upstream::{UpstreamCounts, UpstreamStats},
    },
    times::{Stopwatches, Times},
};

/// A reading of a tenant's counters.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TenantStats {
    /// Completed handshakes with clients.
    pub handshakes: u64,
    /// Handshakes among them that resumed a session.
    pub resumed: u64,
    /// Handshakes that failed or took too long once the tenant was known.
    pub failed: u64,
    /// Handshakes that lost their permit to a newcomer while they waited for their client.
    pub displaced: u64,
    /// The durations of full handshakes, from the ClientHello on, without the wait for one of
    /// [`TenantBounds::handshakes`](crate::TenantBounds::handshakes).
    pub full_times: Times,
    /// The durations of resumed handshakes.
    pub resumed_times: Times,
    /// Connections closed before their handshake, in the order of [`Rejection::ALL`].
    pub rejected: [u64; Rejection::ALL.len()],
    /// Open connections.
    pub connections: u64,
    /// Connections reserved for the tenant.
    pub reserve: u64,
    /// Bytes from clients.
    pub bytes_from_clients: u64,
    /// Bytes from the upstream.
    pub bytes_from_upstream: u64,
    /// The counters of connections to the upstream.
    pub upstream: UpstreamStats,
    /// The counters of the cache in the server role; [`CacheStats::none`] for a tenant without a guest.
    pub cache: CacheStats,
    /// The counters of the cache in the client role, for an upstream in TLS; [`CacheStats::none`] without a guest.
    pub client_cache: Option<CacheStats>,
}

impl TenantStats {
    /// The counters of every cache, with its role.
    pub fn caches(&self) -> impl Iterator<Item = (Role, &CacheStats)> {
        let client = self.client_cache.as_ref().map(|stats| (Role::Client, stats));
        [(Role::Server, &self.cache)].into_iter().chain(client)
    }
}

/// A tenant as long as it is served, through all changes. Its connections hold it too, as long as they last.
pub(crate) struct Tenant {
    pub(crate) name: String,
    pub(crate) counts: Counts,
    /// The caches. None until the tenant has a guest, and once it is no longer served. A change of the caches holds the
    /// lock and may take a guest's time, so changes of one tenant's guest come one after another. Nothing that has to
    /// be quick takes it.
    caches: Mutex<Option<Caches>>,
    /// True once the tenant is no longer served. A change of the caches in progress then ends them.
    is_gone: AtomicBool,
    /// True while the operator suspends the guest, or the one that follows. Changes while the proxy's `acts` is locked.
    is_suspended: AtomicBool,
    /// The caches whose handover is in progress. An operator's actions apply to these too.
    predecessors: Mutex<Option<Readers>>,
}

/// The counters of a tenant's connections. They outlive every change of the tenant.
#[derive(Default)]
pub(crate) struct Counts {
    handshakes: AtomicU64,
    resumed: AtomicU64,
    failed: AtomicU64,
    displaced: AtomicU64,
    rejected: [AtomicU64; Rejection::ALL.len()],
    full_times: Stopwatches,
    resumed_times: Stopwatches,
    pub(crate) connections: AtomicU64,
    pub(crate) bytes: Bytes,
    pub(crate) upstream: UpstreamCounts,
}

/// Bytes from each side.
#[derive(Default)]
pub(crate) struct Bytes {
    pub(crate) from_clients: AtomicU64,
    pub(crate) from_upstream: AtomicU64,
}

impl Tenant {
    pub(crate) fn new(name: String) -> Self {
        let (caches, predecessors) = (Mutex::default(), Mutex::default());
        let (is_gone, is_suspended) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { name, counts: Counts::default(), caches, is_gone, is_suspended, predecessors }
    }

    /// Changes the caches, after other changes of them. Blocking.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Option<Caches>) -> T) -> T {
        let done = change(&mut self.caches());
        // A removal of the tenant meanwhile has not waited.
        if self.is_gone.load(Ordering::SeqCst) {
            drop(self.caches().take());
        }
        done
    }

    fn caches(&self) -> MutexGuard<'_, Option<Caches>> {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the caches without waiting: owner threads tell the guest, or the change of the caches in progress does.
    pub(crate) fn leave(&self) {
        self.is_gone.store(true, Ordering::SeqCst);
        if let Ok(mut caches) = self.caches.try_lock() {
            drop(caches.take());
        }
    }

    /// Ends the caches. Blocks until the guest has been told.
    pub(crate) fn end(&self) {
        self.is_gone.store(true, Ordering::SeqCst);
        // This releases the lock first.
        let caches = self.caches().take();
        caches.into_iter().for_each(Caches::terminate);
    }

    /// Ends the caches like [`Self::end`], unless a change of them is in progress, which then ends them.
    pub(crate) fn end_unless_busy(&self) {
        self.is_gone.store(true, Ordering::SeqCst);
        let caches = self.caches.try_lock().ok().and_then(|mut caches| caches.take());
        caches.into_iter().for_each(Caches::terminate);
    }

    pub(crate) fn is_suspended(&self) -> bool {
        self.is_suspended.load(Ordering::Acquire)
    }

    pub(crate) fn set_suspended(&self, is_suspended: bool) {
        self.is_suspended.store(is_suspended, Ordering::Release);
    }

    pub(crate) fn predecessors(&self) -> Option<Readers> {
        self.predecessors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn follow(&self, predecessors: Option<Readers>) {
        *self.predecessors.lock().unwrap_or_else(PoisonError::into_inner) = predecessors;
    }

    pub(crate) fn note_handshake(&self, resumption: Resumption, time: Duration) {
        self.counts.handshakes.fetch_add(1, Ordering::Relaxed);
        match resumption {
            Resumption::Resumed => {
                self.counts.resumed.fetch_add(1, Ordering::Relaxed);
                self.counts.resumed_times.note(time);
            }
            _ => self.counts.full_times.note(time),
        }
    }

    pub(crate) fn note_failure(&self) {
        self.counts.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_displaced(&self) {
        self.counts.displaced.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_rejection(&self, rejection: Rejection) {
        self.counts.rejected[rejection as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl Counts {
    pub(crate) fn read(&self, cache: CacheStats, client_cache: Option<CacheStats>) -> TenantStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Self { handshakes, resumed, failed, displaced, rejected, full_times, resumed_times, .. } = self;
        let Self { connections, bytes, upstream, .. } = self;
        TenantStats {
            handshakes: read(handshakes),
            resumed: read(resumed),
            failed: read(failed),
            displaced: read(displaced),
            full_times: full_times.read(),
            resumed_times: resumed_times.read(),
            rejected: rejected.each_ref().map(read),
            connections: read(connections),
            // The proxy knows it, and adds it.
            reserve: 0,
            bytes_from_clients: read(&bytes.from_clients),
            bytes_from_upstream: read(&bytes.from_upstream),
            upstream: upstream.read(),
            cache,
            client_cache,
        }
    }
}
