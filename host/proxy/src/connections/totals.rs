//! Counters of connections before their tenant is known.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of connections before their tenant is known.
#[derive(Default)]
pub(crate) struct Totals {
    connections: AtomicU64,
    no_hello: AtomicU64,
    unknown_server_names: AtomicU64,
    not_accepted: AtomicU64,
    displaced: AtomicU64,
}

/// A reading of the counters of connections before their tenant is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyStats {
    /// Open connections.
    pub connections: u64,
    /// Connections whose ClientHello was late or invalid.
    pub no_hello: u64,
    /// ClientHellos without a server name, or with one that no tenant serves.
    pub unknown_server_names: u64,
    /// Connections that the system failed to hand over.
    pub not_accepted: u64,
    /// Open connections whose ClientHello has not come.
    pub before_hello: u64,
    /// Connections that a newcomer displaced before their ClientHello.
    pub displaced: u64,
}

impl Totals {
    pub(crate) fn opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn no_hello(&self) {
        self.no_hello.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn unknown_server_name(&self) {
        self.unknown_server_names.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn not_accepted(&self) {
        self.not_accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn displaced(&self, number: usize) {
        self.displaced.fetch_add(number as u64, Ordering::Relaxed);
    }

    pub(crate) fn read(&self, before_hello: usize) -> ProxyStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ProxyStats {
            connections: read(&self.connections),
            no_hello: read(&self.no_hello),
            unknown_server_names: read(&self.unknown_server_names),
            not_accepted: read(&self.not_accepted),
            before_hello: before_hello as u64,
            displaced: read(&self.displaced),
        }
    }
}
