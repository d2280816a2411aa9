//! The tenants' shares of connections, once the tenant is known. Each tenant has a reserve that no other can use up,
//! and all share the rest. Within a tenant, each peer has a bound.
//!
//! A connection counts from its ClientHello to its end: for its tenant's reserve or, beyond that, for the common part.
//! A newcomer that finds no free permit displaces a handshake that has waited for its client for [`PATIENCE`]. The
//! displaced handshake is of the same peer, of the same tenant, or of a tenant beyond its reserve, depending on the
//! bound that is hit. If such a handshake has waited for less, the newcomer waits. Nothing displaces a connection whose
//! handshake is done.
//!
//! One lock protects all of this. A thread holds it for some steps in ordered maps, or for one pass over the tenants
//! when they change. Meanwhile it takes no other lock and waits for nothing.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use crate::{
    admission::wait_queue::{End, Ticket, WaitQueue, Waiter},
    error::Rejection,
    peer::Peer,
    settings::bounds::{Reserves, TenantBounds},
    tenants::tenant::Tenant,
};

/// The time a handshake may wait for its client before a newcomer may displace it. Longer than a round trip and a
/// client's computation.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// The handshakes of other tenants that a search for one beyond its tenant's reserve looks at.
const LOOKED_AT_MAX: usize = 64;

/// The connections that one newcomer may displace. It needs more than one only after bounds have become tighter.
const DISPLACED_MAX: usize = 4;

/// Every tenant's share of the connections.
#[derive(Default)]
pub(crate) struct Shares(Mutex<State>);

impl Shares {
    /// Shares `all` connections among these tenants from now on. Existing connections go on: a tenant with too many
    /// gets no new ones until enough have ended.
    pub(crate) fn follow<'a>(&self, all: usize, tenants: impl ExactSizeIterator<Item = (&'a str, &'a TenantBounds)>) {
        self.state().follow(all, tenants);
    }

    /// The connections reserved for a tenant.
    pub(crate) fn reserve(&self, tenant: &str) -> usize {
        self.state().tenants.get(tenant).map_or(0, |own| own.reserve)
    }

    /// Gives a connection a permit of its tenant's share. Waits for a permit that is about to become free, until the
    /// deadline at most.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        bounds: &TenantBounds,
        peer: Peer,
        deadline: Instant,
    ) -> Result<Permit, Rejection> {
        loop {
            let now = Instant::now();
            let (at, cause) = match self.state().acquire(&tenant.name, bounds, peer, now) {
                Verdict::Admitted => return Ok(Permit::new(Arc::clone(self), Arc::clone(tenant), peer)),
                Verdict::Rejected(cause) => return Err(cause),
                Verdict::Later(at, cause) => (at, cause),
            };
            if at >= deadline {
                return Err(cause);
            }
            sleep_until(at).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a connection in its tenant's share, until it is dropped.
pub(crate) struct Permit {
    shares: Arc<Shares>,
    tenant: Arc<Tenant>,
    peer: Peer,
    end: Arc<End>,
    /// The time of the handshake's first wait for the client. Bytes from the client do not reset it before the
    /// handshake is done: a byte a second is silence.
    silent: Option<(Ticket, Instant)>,
}

impl Permit {
    fn new(shares: Arc<Shares>, tenant: Arc<Tenant>, peer: Peer) -> Self {
        tenant.counts.connections.fetch_add(1, Ordering::Relaxed);
        Self { shares, tenant, peer, end: Arc::default(), silent: None }
    }

    /// Notes that the handshake waits for its client, so a newcomer may displace it.
    pub(crate) fn wait_for_client(&mut self) {
        let mut state = self.shares.state();
        let (ticket, since) = *self.silent.get_or_insert_with(|| (state.last.next(), Instant::now()));
        let waiter = Waiter { peer: self.peer, since, end: Arc::clone(&self.end) };
        state.wait(&self.tenant.name, ticket, waiter);
    }

    /// Notes that the client has sent something. False if the permit is lost; otherwise it is safe until the next wait.
    pub(crate) fn go_on(&self) -> bool {
        let mut state = self.shares.state();
        if let Some((ticket, _)) = self.silent {
            state.go_on(&self.tenant.name, ticket);
        }
        !self.end.is_displaced()
    }

    /// Waits until a newcomer displaces this connection.
    pub(crate) async fn displaced(&self) {
        self.end.displaced().await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.tenant.counts.connections.fetch_sub(1, Ordering::Relaxed);
        let mut state = self.shares.state();
        if let Some((ticket, _)) = self.silent {
            state.go_on(&self.tenant.name, ticket);
        }
        if !self.end.is_displaced() {
            state.leave(&self.tenant.name, self.peer);
        }
    }
}

/// The decision on a newcomer.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Admitted,
    /// No permit is free before that time, for this cause.
    Later(Instant, Rejection),
    Rejected(Rejection),
}

#[derive(Debug, Default)]
struct State {
    /// The permits of all tenants together.
    all: usize,
    used: usize,
    /// The permits outside of all reserves, and those of them in use. More may be in use for a while after a change.
    common: usize,
    common_used: usize,
    /// The tenants that are served, and those that still have connections.
    tenants: HashMap<String, Own>,
    /// The tenants of handshakes that wait for their clients, the longest wait first.
    waiting: BTreeMap<Ticket, String>,
    last: Ticket,
}

/// One tenant's share. The name is its key: a tenant that is removed and comes back still has its connections.
#[derive(Debug)]
struct Own {
    is_served: bool,
    reserve: usize,
    max: usize,
    per_peer: usize,
    used: usize,
    used_by: HashMap<Peer, usize>,
    /// Handshakes that wait for their clients.
    waiting: WaitQueue,
}

impl Own {
    fn new(bounds: &TenantBounds) -> Self {
        let (max, per_peer) = (bounds.connections.max(1), bounds.connections_per_peer().max(1));
        let (used_by, waiting) = (HashMap::new(), WaitQueue::default());
        Self { is_served: false, reserve: 0, max, per_peer, used: 0, used_by, waiting }
    }

    fn used_of(&self, peer: Peer) -> usize {
        self.used_by.get(&peer).copied().unwrap_or(0)
    }

    fn common_used(&self) -> usize {
        self.used.saturating_sub(self.reserve)
    }
}

impl State {
    fn follow<'a>(&mut self, all: usize, tenants: impl ExactSizeIterator<Item = (&'a str, &'a TenantBounds)>) {
        for own in self.tenants.values_mut() {
            (own.is_served, own.reserve) = (false, 0);
        }
        let tenants: Vec<_> = tenants.collect();
        let reserves = Reserves::new(all, tenants.iter().map(|(_, bounds)| *bounds));
        for ((name, bounds), reserve) in tenants.into_iter().zip(&reserves.each) {
            let new = Own::new(bounds);
            let own = self.tenants.entry(name.to_owned()).or_insert_with(|| Own::new(bounds));
            (own.is_served, own.reserve, own.max, own.per_peer) = (true, *reserve, new.max, new.per_peer);
        }
        self.tenants.retain(|_, own| own.is_served || own.used > 0);
        self.all = all;
        self.common = all.saturating_sub(reserves.each.iter().sum());
        self.common_used = self.tenants.values().map(Own::common_used).sum();
    }

    fn acquire(&mut self, tenant: &str, bounds: &TenantBounds, peer: Peer, now: Instant) -> Verdict {
        for _ in 0..DISPLACED_MAX {
            let Some(cause) = self.obstacle(tenant, bounds, peer) else {
                self.count(tenant, peer);
                return Verdict::Admitted;
            };
            let Some((owner, ticket, since)) = self.longest_waiting(tenant, peer, cause) else {
                return Verdict::Rejected(cause);
            };
            if since + PATIENCE > now {
                return Verdict::Later(since + PATIENCE, cause);
            }
            self.displace(&owner, ticket);
        }
        match self.obstacle(tenant, bounds, peer) {
            Some(cause) => Verdict::Rejected(cause),
            None => {
                self.count(tenant, peer);
                Verdict::Admitted
            }
        }
    }

    /// The bound that one more connection of a peer would exceed.
    fn obstacle(&mut self, tenant: &str, bounds: &TenantBounds, peer: Peer) -> Option<Rejection> {
        // A tenant that has just been removed keeps its last bounds, without a reserve.
        let own = self.own(tenant, bounds);
        if own.used >= own.max {
            return Some(Rejection::TooManyConnections);
        }
        if own.used_of(peer) >= own.per_peer {
            return Some(Rejection::TooManyOfPeer);
        }
        let is_reserved = own.used < own.reserve;
        let is_free = self.used < self.all && (is_reserved || self.common_used < self.common);
        (!is_free).then_some(Rejection::TooManyOfAll)
    }

    fn own(&mut self, tenant: &str, bounds: &TenantBounds) -> &Own {
        if !self.tenants.contains_key(tenant) {
            self.tenants.insert(tenant.to_owned(), Own::new(bounds));
        }
        &self.tenants[tenant]
    }

    /// The handshake that has waited longest, of those whose end would free the permit that is needed.
    fn longest_waiting(&self, tenant: &str, peer: Peer, cause: Rejection) -> Option<(String, Ticket, Instant)> {
        let own = self.tenants.get(tenant)?;
        let is_peer_full = own.used_of(peer) >= own.per_peer;
        let ticket = if is_peer_full { own.waiting.first_of(peer) } else { own.waiting.first() };
        let found = ticket.and_then(|ticket| Some((tenant.to_owned(), ticket, own.waiting.get(ticket)?.since)));
        let is_others_help = cause == Rejection::TooManyOfAll && !is_peer_full;
        found.or_else(|| is_others_help.then(|| self.longest_waiting_beyond_reserve())?)
    }

    fn longest_waiting_beyond_reserve(&self) -> Option<(String, Ticket, Instant)> {
        self.waiting.iter().take(LOOKED_AT_MAX).find_map(|(ticket, name)| {
            let own = self.tenants.get(name).filter(|own| own.common_used() > 0)?;
            Some((name.clone(), *ticket, own.waiting.get(*ticket)?.since))
        })
    }

    fn displace(&mut self, tenant: &str, ticket: Ticket) {
        if let Some(waiter) = self.go_on(tenant, ticket) {
            waiter.end.displace();
            self.leave(tenant, waiter.peer);
        }
    }

    fn count(&mut self, tenant: &str, peer: Peer) {
        let Some(own) = self.tenants.get_mut(tenant) else { return };
        self.common_used += usize::from(own.used >= own.reserve);
        self.used += 1;
        own.used += 1;
        *own.used_by.entry(peer).or_default() += 1;
    }

    fn leave(&mut self, tenant: &str, peer: Peer) {
        let Some(own) = self.tenants.get_mut(tenant) else { return };
        self.common_used -= usize::from(own.used > own.reserve);
        self.used -= 1;
        own.used -= 1;
        if let Some(used) = own.used_by.get_mut(&peer) {
            *used -= 1;
            if *used == 0 {
                own.used_by.remove(&peer);
            }
        }
        if !own.is_served && own.used == 0 {
            self.tenants.remove(tenant);
        }
    }

    fn wait(&mut self, tenant: &str, ticket: Ticket, waiter: Waiter) {
        let own = self.tenants.get_mut(tenant).filter(|_| !waiter.end.is_displaced());
        if let Some(own) = own {
            own.waiting.insert(ticket, waiter);
            self.waiting.insert(ticket, tenant.to_owned());
        }
    }

    fn go_on(&mut self, tenant: &str, ticket: Ticket) -> Option<Waiter> {
        self.waiting.remove(&ticket)?;
        self.tenants.get_mut(tenant)?.waiting.remove(ticket)
    }
}

#[cfg(test)]
mod tests;
