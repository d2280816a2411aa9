//! The turns of a tenant's handshakes: a bound on those in progress at a time, and on those of one peer.
//!
//! A handshake takes a turn for each step, and gives it back while it waits for its client. So a silent client keeps
//! nobody waiting. A busy peer waits for turns of its own before it competes with others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

use crate::{peer::Peer, settings::bounds::TenantBounds};

/// A tenant's turns.
pub(crate) struct Turns {
    all: Semaphore,
    per_peer: usize,
    /// The peers that have a handshake in progress. Locked for an instant.
    of_peers: Mutex<HashMap<Peer, OfPeer>>,
}

struct OfPeer {
    handshakes: usize,
    turns: Arc<Semaphore>,
}

/// A turn, until it is dropped: a peer's, and one of all.
pub(crate) type Turn<'a> = Result<(SemaphorePermit<'a>, SemaphorePermit<'a>), AcquireError>;

impl Turns {
    pub(crate) fn new(bounds: &TenantBounds) -> Self {
        let clamped = |number: usize| number.clamp(1, Semaphore::MAX_PERMITS);
        let all = Semaphore::new(clamped(bounds.handshakes));
        Self { all, per_peer: clamped(bounds.handshakes_per_peer()), of_peers: Mutex::default() }
    }

    /// True if a handshake that wants a turn has to wait for one.
    pub(crate) fn are_taken(&self) -> bool {
        self.all.available_permits() == 0
    }

    /// The turns of a peer, for one handshake of it.
    pub(crate) fn of(&self, peer: Peer) -> PeerTurns<'_> {
        let mut of_peers = self.of_peers();
        let new = || OfPeer { handshakes: 0, turns: Arc::new(Semaphore::new(self.per_peer)) };
        let own = of_peers.entry(peer).or_insert_with(new);
        own.handshakes += 1;
        PeerTurns { turns: self, peer, own: Arc::clone(&own.turns) }
    }

    fn of_peers(&self) -> MutexGuard<'_, HashMap<Peer, OfPeer>> {
        self.of_peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turns of a peer, while it has a handshake in progress.
pub(crate) struct PeerTurns<'a> {
    turns: &'a Turns,
    peer: Peer,
    own: Arc<Semaphore>,
}

impl PeerTurns<'_> {
    /// Waits for a turn. Never an error: nobody closes a semaphore here.
    pub(crate) async fn take(&self) -> Turn<'_> {
        let own = self.own.acquire().await?;
        Ok((own, self.turns.all.acquire().await?))
    }
}

impl Drop for PeerTurns<'_> {
    fn drop(&mut self) {
        let mut of_peers = self.turns.of_peers();
        if let Some(own) = of_peers.get_mut(&self.peer) {
            own.handshakes -= 1;
            if own.handshakes == 0 {
                of_peers.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    /// A turn, if one is free at once.
    fn now<'a>(turns: &'a PeerTurns<'_>) -> Option<Turn<'a>> {
        let taken = std::pin::pin!(turns.take());
        match taken.poll(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(turn) => Some(turn),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn a_peer_has_so_many_turns_and_all_have_so_many() {
        let turns =
            Turns::new(&TenantBounds { handshakes: 3, handshakes_per_peer: Some(2), ..TenantBounds::default() });
        let peers = [1, 2].map(|number| Peer::of([192, 0, 2, number].into()));
        let [one, same, other] = [peers[0], peers[0], peers[1]].map(|peer| turns.of(peer));
        let first = now(&one).expect("all are free");
        let second = now(&same).expect("the peer may have two");
        assert!(now(&one).is_none(), "the peer has its two");
        let third = now(&other).expect("there is a third");
        assert!(now(&other).is_none() && turns.are_taken(), "all are taken");
        drop(first);
        assert!(now(&other).is_some());
        drop((second, third));
        drop((one, same, other));
        assert!(turns.of_peers().is_empty(), "the state of a peer that has gone is gone too");
    }
}
