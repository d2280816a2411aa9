//! A queue of connections that wait for their clients, first come first: of all peers, and of each.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{sync::Notify, time::Instant};

use crate::peer::Peer;

/// A position in the order of a queue, unique in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

impl Ticket {
    /// The next position.
    pub(crate) fn next(&mut self) -> Self {
        self.0 += 1;
        *self
    }
}

/// The signal that tells a connection that a newcomer has displaced it.
#[derive(Debug, Default)]
pub(crate) struct End {
    is_displaced: AtomicBool,
    notify: Notify,
}

impl End {
    /// Displaces the connection. Its place is the newcomer's from here on.
    pub(crate) fn displace(&self) {
        self.is_displaced.store(true, Ordering::Release);
        self.notify.notify_one();
    }

    pub(crate) fn is_displaced(&self) -> bool {
        self.is_displaced.load(Ordering::Acquire)
    }

    /// Waits until the connection is displaced. For one task.
    pub(crate) async fn displaced(&self) {
        while !self.is_displaced() {
            self.notify.notified().await;
        }
    }
}

/// A connection in a queue.
#[derive(Clone, Debug)]
pub(crate) struct Waiter {
    pub(crate) peer: Peer,
    /// The time at which it began to wait for its client.
    pub(crate) since: Instant,
    pub(crate) end: Arc<End>,
}

/// Waiting connections in order. Each operation takes time in the logarithm of their number.
#[derive(Debug, Default)]
pub(crate) struct WaitQueue {
    all: BTreeMap<Ticket, Waiter>,
    by_peer: HashMap<Peer, BTreeSet<Ticket>>,
}

impl WaitQueue {
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// The number of connections of a peer.
    pub(crate) fn len_of(&self, peer: Peer) -> usize {
        self.by_peer.get(&peer).map_or(0, BTreeSet::len)
    }

    pub(crate) fn insert(&mut self, ticket: Ticket, waiter: Waiter) {
        self.by_peer.entry(waiter.peer).or_default().insert(ticket);
        self.all.insert(ticket, waiter);
    }

    pub(crate) fn get(&self, ticket: Ticket) -> Option<&Waiter> {
        self.all.get(&ticket)
    }

    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<Waiter> {
        let waiter = self.all.remove(&ticket)?;
        if let Some(own) = self.by_peer.get_mut(&waiter.peer) {
            own.remove(&ticket);
            if own.is_empty() {
                self.by_peer.remove(&waiter.peer);
            }
        }
        Some(waiter)
    }

    /// The connection that has waited longest.
    pub(crate) fn first(&self) -> Option<Ticket> {
        self.all.keys().next().copied()
    }

    /// The connection of a peer that has waited longest.
    pub(crate) fn first_of(&self, peer: Peer) -> Option<Ticket> {
        self.by_peer.get(&peer)?.first().copied()
    }
}
