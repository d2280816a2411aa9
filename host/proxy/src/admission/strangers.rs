//! Connections whose ClientHello has not arrived. Their tenant is unknown, so they have places of their own.
//!
//! A newcomer always gets a place. If no place is free, it displaces the connection that has waited longest: an honest
//! client sends its ClientHello as soon as it is connected, so the longest wait is the least promising. A newcomer of a
//! peer that uses all its places displaces another connection of that peer. So silent clients never keep a listener
//! from accepting, nor do clients that send a byte a second: a part of a ClientHello is no progress.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use tokio::time::Instant;

use crate::{
    admission::wait_queue::{End, Ticket, WaitQueue, Waiter},
    peer::Peer,
};

/// The places of connections before their ClientHello. A thread holds the lock for one step in the queue, and takes no
/// other lock meanwhile.
pub(crate) struct Strangers {
    state: Mutex<State>,
    /// The listeners that accept. Each holds one of all connections for the next one it accepts.
    listeners: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    places: usize,
    per_peer: usize,
    queue: WaitQueue,
    last: Ticket,
}

impl Strangers {
    pub(crate) fn new(places: usize, per_peer: usize) -> Arc<Self> {
        let state = State { places, per_peer, ..State::default() };
        Arc::new(Self { state: Mutex::new(state), listeners: AtomicUsize::new(0) })
    }

    /// Changes the number of places. Present connections stay until a newcomer needs the place.
    pub(crate) fn resize(&self, places: usize, per_peer: usize) {
        let mut state = self.state();
        (state.places, state.per_peer) = (places, per_peer);
    }

    /// Counts a listener until the returned guard is dropped.
    pub(crate) fn listening(self: &Arc<Self>) -> Listening {
        self.listeners.fetch_add(1, Ordering::Relaxed);
        Listening(Arc::clone(self))
    }

    /// The number of connections before their ClientHello.
    pub(crate) fn len(&self) -> usize {
        self.state().queue.len()
    }

    /// Gives a newcomer a place, another's if necessary. Returns the number of displaced connections too.
    pub(crate) fn enter(self: &Arc<Self>, peer: Peer) -> (Stranger, usize) {
        let end = Arc::new(End::default());
        let waiter = Waiter { peer, since: Instant::now(), end: Arc::clone(&end) };
        let listeners = self.listeners.load(Ordering::Relaxed);
        let mut state = self.state();
        let displaced = state.make_room(peer, listeners);
        let ticket = state.last.next();
        state.queue.insert(ticket, waiter);
        drop(state);
        (Stranger { strangers: Arc::clone(self), ticket, end }, displaced)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Displaces connections until one more of a peer has a place: one at most, unless the number of places has shrunk.
    fn make_room(&mut self, peer: Peer, listeners: usize) -> usize {
        let places = self.places.saturating_sub(listeners).max(1);
        let before = self.queue.len();
        while self.queue.len_of(peer) >= self.per_peer.max(1)
            && let Some(own) = self.queue.first_of(peer)
        {
            self.displace(own);
        }
        while self.queue.len() >= places
            && let Some(first) = self.queue.first()
        {
            self.displace(first);
        }
        before - self.queue.len()
    }

    fn displace(&mut self, ticket: Ticket) {
        if let Some(waiter) = self.queue.remove(ticket) {
            waiter.end.displace();
        }
    }
}

/// A listener that accepts, until it is dropped.
pub(crate) struct Listening(Arc<Strangers>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The place of a connection before its ClientHello, until it is dropped.
pub(crate) struct Stranger {
    strangers: Arc<Strangers>,
    ticket: Ticket,
    end: Arc<End>,
}

impl Stranger {
    /// Assigns the connection to the peer that a load balancer names. It keeps its position in the queue. Returns the
    /// number of displaced connections.
    pub(crate) fn rename(&self, peer: Peer) -> usize {
        let mut state = self.strangers.state();
        // A displaced connection stays without a place.
        let Some(waiter) = state.queue.remove(self.ticket) else { return 0 };
        // Its own place is free now, whatever the listeners hold.
        let displaced = state.make_room(peer, 0);
        state.queue.insert(self.ticket, Waiter { peer, ..waiter });
        displaced
    }

    /// Waits until a newcomer displaces this connection.
    pub(crate) async fn displaced(&self) {
        self.end.displaced().await;
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.strangers.state().queue.remove(self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> Peer {
        Peer::of([192, 0, 2, number].into())
    }

    #[test]
    fn a_newcomer_takes_the_place_of_the_one_that_has_been_here_the_longest() {
        let strangers = Strangers::new(3, 3);
        let [first, second, third] = [1, 2, 3].map(|number| strangers.enter(peer(number)).0);
        let (_fourth, displaced) = strangers.enter(peer(4));
        assert_eq!(displaced, 1);
        assert_eq!([&first, &second, &third].map(|own| own.end.is_displaced()), [true, false, false]);
        // A displaced connection gives no place back.
        drop(first);
        assert_eq!(strangers.len(), 3);
        drop(second);
        assert_eq!(strangers.enter(peer(5)).1, 0);
    }

    #[test]
    fn a_peer_that_has_all_it_may_have_takes_its_own() {
        let strangers = Strangers::new(10, 2);
        let honest = strangers.enter(peer(1)).0;
        let flood: Vec<_> = (0..100).map(|_| strangers.enter(peer(2)).0).collect();
        assert!(!honest.end.is_displaced());
        assert_eq!(flood.iter().filter(|own| !own.end.is_displaced()).count(), 2);
        assert_eq!(strangers.len(), 3);
    }

    #[test]
    fn a_place_goes_to_the_peer_that_a_load_balancer_names() {
        let strangers = Strangers::new(10, 2);
        let balancer = peer(9);
        let named: Vec<_> = (1..=4)
            .map(|number| {
                let (stranger, _) = strangers.enter(balancer);
                stranger.rename(peer(number % 2));
                stranger
            })
            .collect();
        assert!(named.iter().all(|own| !own.end.is_displaced()), "two of each");
        assert_eq!(strangers.enter(balancer).0.rename(peer(1)), 1);
        assert!(named[0].end.is_displaced());
    }

    #[test]
    fn each_listener_has_one_place_less_for_them() {
        let strangers = Strangers::new(3, 3);
        let listening = [strangers.listening(), strangers.listening()];
        let first = strangers.enter(peer(1)).0;
        let second = strangers.enter(peer(2)).0;
        assert!(first.end.is_displaced());
        drop(listening);
        let _third = strangers.enter(peer(3)).0;
        assert!(!second.end.is_displaced());
        strangers.resize(1, 1);
        assert_eq!(strangers.enter(peer(4)).1, 2);
    }
}
