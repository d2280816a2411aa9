//! One tenant: what it is set up with, and what has happened to its connections.

use std::{
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use innkeeper_core::{CacheConfig, CacheStats, FoldError, Guest, Role, Size};
use innkeeper_rustls::Resumption;

use crate::{
    TenantTls, Times, Upstream, UpstreamStats, caches::Caches, setup::Readers, shares::three_quarters,
    times::Stopwatches, transfer::Bytes, upstream::UpstreamCounts,
};

/// What a tenant is set up with.
#[derive(Clone)]
pub struct TenantConfig {
    /// The tenant's name, in logs and tables.
    pub name: String,
    /// The server names it serves, at least one: each a host's name, or `*.` and a domain for every name one label below it.
    pub server_names: Vec<String>,
    /// How it speaks TLS with its clients.
    pub tls: TenantTls,
    /// Where its connections go.
    pub upstream: Upstream,
    /// Its cache in the server role. With an upstream that speaks TLS it has another one, in the client role, with the same
    /// limits and properties; the two share a fuel budget.
    pub cache: CacheConfig,
    /// What decides about its sessions.
    pub guest: Arc<dyn Guest>,
    /// What its connections may take at a time.
    pub bounds: TenantBounds,
}

/// What a tenant is served with, its guest aside: all of it takes effect at once.
#[derive(Clone)]
pub struct TenantFront {
    /// The tenant's name, in logs and tables.
    pub name: String,
    /// The server names it serves, as in [`TenantConfig`].
    pub server_names: Vec<String>,
    /// How it speaks TLS with its clients.
    pub tls: TenantTls,
    /// Where its connections go.
    pub upstream: Upstream,
    /// What its connections may take at a time.
    pub bounds: TenantBounds,
}

impl TenantConfig {
    /// All but the cache and the guest.
    pub(crate) fn front(&self) -> TenantFront {
        let Self { name, server_names, tls, upstream, bounds, .. } = self.clone();
        TenantFront { name, server_names, tls, upstream, bounds }
    }
}

/// What one tenant's connections may take at a time, so that they cannot take what others need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantBounds {
    /// Connections; more are closed before their handshake.
    pub connections: usize,
    /// Those among them that no other tenant can use up. None: an even share of half of what all tenants may have. At most
    /// `connections` in any case.
    pub reserve: Option<usize>,
    /// Connections of one peer: an IPv4 address, or an IPv6 prefix of 64 bits. More are closed before their handshake. None:
    /// three quarters of `connections`.
    pub per_peer: Option<usize>,
    /// Handshakes that go on: they compute, or wait for one of `threads`. More wait, and their time runs. One that waits for
    /// its client is none of them, unless it has sent early data.
    pub handshakes: usize,
    /// Those among them of one peer. More wait, and their time runs. None: a quarter of `handshakes`.
    pub handshakes_per_peer: Option<usize>,
    /// Handshakes that compute, or wait for the guest. Each takes a thread, which no other tenant's connections wait for.
    pub threads: usize,
    /// Handshakes that may begin in a second, if that is bounded; connections beyond are closed before theirs.
    pub handshakes_per_s: Option<NonZeroU32>,
    /// Handshakes that may begin at once after a quiet time, where `handshakes_per_s` is set.
    pub handshakes_burst: NonZeroU32,
}

impl Default for TenantBounds {
    fn default() -> Self {
        let handshakes_burst = NonZeroU32::new(1_000).expect("a thousand is not zero");
        let (reserve, per_peer, handshakes_per_peer, handshakes_per_s) = (None, None, None, None);
        Self {
            connections: 4_000,
            reserve,
            per_peer,
            handshakes: 256,
            handshakes_per_peer,
            threads: 8,
            handshakes_per_s,
            handshakes_burst,
        }
    }
}

impl TenantBounds {
    /// Connections that one peer may have.
    pub fn connections_per_peer(&self) -> usize {
        self.per_peer.unwrap_or_else(|| three_quarters(self.connections))
    }

    /// Handshakes of one peer that may go on at a time.
    pub fn handshakes_per_peer(&self) -> usize {
        self.handshakes_per_peer.unwrap_or_else(|| self.handshakes.div_ceil(4))
    }
}

/// Why a connection was closed before its handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Rejection {
    /// The tenant has all the connections it may have.
    TooManyConnections,
    /// The tenant's handshakes come faster than they may.
    TooFast,
    /// The peer has all the connections to the tenant that it may have.
    TooManyOfPeer,
    /// The tenant has its reserve, and all tenants have the rest.
    TooManyOfAll,
}

impl Rejection {
    /// All causes, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::TooManyConnections, Self::TooFast, Self::TooManyOfPeer, Self::TooManyOfAll];

    /// The cause's name in logs, metrics and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::TooManyConnections => "too-many-connections",
            Self::TooFast => "too-fast",
            Self::TooManyOfPeer => "too-many-of-peer",
            Self::TooManyOfAll => "too-many-of-all",
        }
    }
}

/// A reading of a tenant's counters.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TenantStats {
    /// Completed handshakes with clients.
    pub handshakes: u64,
    /// Those among them that resumed a session.
    pub resumed: u64,
    /// Handshakes that failed or took too long after the tenant was known.
    pub failed: u64,
    /// Handshakes that waited for their client when a newcomer needed their place.
    pub displaced: u64,
    /// How long full handshakes took, from the ClientHello on, once one of [`TenantBounds::handshakes`] was free.
    pub full_times: Times,
    /// How long resumed handshakes took.
    pub resumed_times: Times,
    /// Connections closed before their handshake, in the order of [`Rejection::ALL`].
    pub rejected: [u64; Rejection::ALL.len()],
    /// Connections by now.
    pub connections: u64,
    /// Connections that no other tenant can use up.
    pub reserve: u64,
    /// Bytes from clients that were passed on, or are about to be.
    pub bytes_from_clients: u64,
    /// Bytes from the upstream.
    pub bytes_from_upstream: u64,
    /// What came of connections to the upstream.
    pub upstream: UpstreamStats,
    /// The counters of the cache in the server role; [`CacheStats::none`] for a tenant without a guest.
    pub cache: CacheStats,
    /// The counters of the cache in the client role, for an upstream in TLS; [`CacheStats::none`] where there is no guest for
    /// it.
    pub client_cache: Option<CacheStats>,
}

impl TenantStats {
    /// Every cache's counters, with its role.
    pub fn caches(&self) -> impl Iterator<Item = (Role, &CacheStats)> {
        let client = self.client_cache.as_ref().map(|stats| (Role::Client, stats));
        [(Role::Server, &self.cache)].into_iter().chain(client)
    }
}

/// What a guest tells of its cache, beside what the host knows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// Sessions in the vault, and how many the guest says there are.
    pub size: Size,
    /// How many live sessions the guest shows in a fold.
    pub folded: Result<usize, FoldError>,
    /// How many the guest selects for the server name, of 256 at most, false ones left out.
    pub selected: usize,
}

/// A tenant as long as it is served, through all changes. Its connections hold it too, for as long as they last.
pub(crate) struct Tenant {
    pub(crate) name: String,
    pub(crate) counts: Counts,
    /// Held through a change of the caches, which may take a guest's time; so changes of one tenant's guest come one after
    /// another. Whatever has to be quick does not take it. None until the tenant has a guest, and once it is served no more.
    caches: Mutex<Option<Caches>>,
    /// Whether it is served no more: whoever is at a change of the caches ends them.
    is_gone: AtomicBool,
    /// Whether an operator has suspended the guest, or the one that is yet to come. Changed with the proxy's `acts` held.
    is_held: AtomicBool,
    /// The caches that sessions are moved from. Whatever an operator does is done to these as well.
    predecessors: Mutex<Option<Readers>>,
}

/// What has happened to a tenant's connections. Outlives every change of the tenant.
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

impl Tenant {
    pub(crate) fn new(name: String) -> Self {
        let (caches, predecessors) = (Mutex::default(), Mutex::default());
        let (is_gone, is_held) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { name, counts: Counts::default(), caches, is_gone, is_held, predecessors }
    }

    /// Changes the caches, once no other change of them is made. Blocking.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Option<Caches>) -> T) -> T {
        let done = change(&mut self.caches());
        // Whoever took the tenant away meanwhile did not wait.
        if self.is_gone.load(Ordering::SeqCst) {
            drop(self.caches().take());
        }
        done
    }

    fn caches(&self) -> MutexGuard<'_, Option<Caches>> {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the caches end, and waits for no guest: owner threads tell it, or whoever is at a change of the caches.
    pub(crate) fn leave(&self) {
        self.is_gone.store(true, Ordering::SeqCst);
        if let Ok(mut caches) = self.caches.try_lock() {
            drop(caches.take());
        }
    }

    /// Ends the caches. Blocks until the guest has been told.
    pub(crate) fn end(&self) {
        self.is_gone.store(true, Ordering::SeqCst);
        // The lock is given back first.
        let caches = self.caches().take();
        caches.into_iter().for_each(Caches::terminate);
    }

    /// The same, but for a tenant whose caches somebody is changing: who does so ends them then.
    pub(crate) fn end_unless_busy(&self) {
        self.is_gone.store(true, Ordering::SeqCst);
        let caches = self.caches.try_lock().ok().and_then(|mut caches| caches.take());
        caches.into_iter().for_each(Caches::terminate);
    }

    pub(crate) fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Acquire)
    }

    pub(crate) fn hold(&self, is_held: bool) {
        self.is_held.store(is_held, Ordering::Release);
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
            // Of the proxy, which adds it.
            reserve: 0,
            bytes_from_clients: read(&bytes.from_clients),
            bytes_from_upstream: read(&bytes.from_upstream),
            upstream: upstream.read(),
            cache,
            client_cache,
        }
    }
}
