//! Shares of connections whose tenant is known: each tenant has a reserve that no other can use up, and all have the rest in
//! common. Within a tenant, each peer has a bound.
//!
//! A connection counts from its ClientHello to its end, as one of its tenant's reserve or, beyond that, of the common part. Where
//! a newcomer finds nothing left, it takes the place of a handshake that has waited for its client for [`PATIENCE`]: of the same
//! peer, of the same tenant, or of a tenant that has more than its reserve, as the case is. While such a handshake has waited for
//! less, the newcomer waits. A connection that has done its handshake loses its place to nobody.
//!
//! All of this is behind one lock. It is held for some steps in ordered maps, and for one pass over the tenants when they
//! change; no other lock is taken and nothing is waited for meanwhile.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use crate::{
    Rejection, TenantBounds,
    line::{End, Line, Ticket, Waiter},
    peer::Peer,
    tenant::Tenant,
};

/// How long a handshake may wait for its client before a newcomer may take its place. Longer than a round trip takes, and what a
/// client computes in between.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// Of handshakes of other tenants, as many are looked at for one whose tenant has more than its reserve.
const LOOKED_AT_MAX: usize = 64;

/// A newcomer ends so many at most: more than one only where bounds have become tighter.
const DISPLACED_MAX: usize = 4;

/// Connections kept for each tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reserves {
    /// What all tenants together may have.
    pub all: usize,
    /// What the tenants' settings come to. If it is more than there is, each gets less in proportion.
    pub wanted: usize,
    /// What each tenant gets, in their order.
    pub each: Vec<usize>,
}

impl Reserves {
    /// Shares `all` connections among tenants. One whose settings do not say how many are kept for it has an even share of a
    /// half.
    pub(crate) fn new<'a>(all: usize, tenants: impl ExactSizeIterator<Item = &'a TenantBounds>) -> Self {
        let even = all / 2 / tenants.len().max(1);
        let wish = |bounds: &TenantBounds| bounds.reserve.unwrap_or(even).min(bounds.connections).min(all);
        let wishes: Vec<usize> = tenants.map(wish).collect();
        let wanted = wishes.iter().fold(0_usize, |sum, own| sum.saturating_add(*own));
        let scaled = |own: usize| match wanted <= all {
            true => own,
            // Each is at most `wanted`, so what comes of it is at most `all`.
            false => usize::try_from(own as u128 * all as u128 / wanted as u128).unwrap_or(all),
        };
        Self { all, wanted, each: wishes.into_iter().map(scaled).collect() }
    }
}

/// Three quarters, rounded up: what one peer may have where nothing else is said.
pub(crate) fn three_quarters(all: usize) -> usize {
    all - all / 4
}

/// Every tenant's share of the connections.
#[derive(Default)]
pub(crate) struct Shares(Mutex<State>);

impl Shares {
    /// Shares so many connections among these tenants from now on. Nobody loses a connection: where there are too many, there
    /// are no new ones until enough have ended.
    pub(crate) fn follow<'a>(&self, all: usize, tenants: impl ExactSizeIterator<Item = (&'a str, &'a TenantBounds)>) {
        self.state().follow(all, tenants);
    }

    /// What is kept for a tenant.
    pub(crate) fn reserve(&self, tenant: &str) -> usize {
        self.state().tenants.get(tenant).map_or(0, |own| own.reserve)
    }

    /// Gives a connection a place among its tenant's. Waits where one is about to become free, until the deadline at most.
    pub(crate) async fn seat(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        bounds: &TenantBounds,
        peer: Peer,
        deadline: Instant,
    ) -> Result<Seat, Rejection> {
        loop {
            let now = Instant::now();
            let (at, cause) = match self.state().seat(&tenant.name, bounds, peer, now) {
                Verdict::Seated => return Ok(Seat::new(Arc::clone(self), Arc::clone(tenant), peer)),
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

/// The place of a connection among its tenant's, until it is dropped.
pub(crate) struct Seat {
    shares: Arc<Shares>,
    tenant: Arc<Tenant>,
    peer: Peer,
    end: Arc<End>,
    /// Since its handshake first waited for the client. What the client has sent since is no progress until the handshake is
    /// done: a byte a second is silence.
    silent: Option<(Ticket, Instant)>,
}

impl Seat {
    fn new(shares: Arc<Shares>, tenant: Arc<Tenant>, peer: Peer) -> Self {
        tenant.counts.connections.fetch_add(1, Ordering::Relaxed);
        Self { shares, tenant, peer, end: Arc::default(), silent: None }
    }

    /// The handshake waits for its client, and may lose its place.
    pub(crate) fn wait_for_client(&mut self) {
        let mut state = self.shares.state();
        let (ticket, since) = *self.silent.get_or_insert_with(|| (state.last.next(), Instant::now()));
        let waiter = Waiter { peer: self.peer, since, end: Arc::clone(&self.end) };
        state.wait(&self.tenant.name, ticket, waiter);
    }

    /// The client has sent something. False if the place is lost; otherwise it is safe until the next wait.
    pub(crate) fn go_on(&self) -> bool {
        let mut state = self.shares.state();
        if let Some((ticket, _)) = self.silent {
            state.go_on(&self.tenant.name, ticket);
        }
        !self.end.is_displaced()
    }

    /// Waits until another connection has the place.
    pub(crate) async fn displaced(&self) {
        self.end.displaced().await;
    }
}

impl Drop for Seat {
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

/// What becomes of a newcomer.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Seated,
    /// Nothing is free before then, for this cause.
    Later(Instant, Rejection),
    Rejected(Rejection),
}

#[derive(Debug, Default)]
struct State {
    /// What all may have together.
    all: usize,
    used: usize,
    /// What is nobody's reserve, and what is used of it. More may be used for a while after a change.
    common: usize,
    common_used: usize,
    /// Those that are served, and those that have connections left.
    tenants: HashMap<String, Own>,
    /// Whose handshakes wait for their clients: the longest first.
    waiting: BTreeMap<Ticket, String>,
    last: Ticket,
}

/// One tenant's share. Kept by name: one that is removed and comes back has the connections that it had.
#[derive(Debug)]
struct Own {
    is_served: bool,
    reserve: usize,
    max: usize,
    per_peer: usize,
    used: usize,
    used_by: HashMap<Peer, usize>,
    /// Handshakes that wait for their clients.
    line: Line,
}

impl Own {
    fn new(bounds: &TenantBounds) -> Self {
        let (max, per_peer) = (bounds.connections.max(1), bounds.connections_per_peer().max(1));
        let (used_by, line) = (HashMap::new(), Line::default());
        Self { is_served: false, reserve: 0, max, per_peer, used: 0, used_by, line }
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

    fn seat(&mut self, tenant: &str, bounds: &TenantBounds, peer: Peer, now: Instant) -> Verdict {
        for _ in 0..DISPLACED_MAX {
            let Some(cause) = self.obstacle(tenant, bounds, peer) else {
                self.count(tenant, peer);
                return Verdict::Seated;
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
                Verdict::Seated
            }
        }
    }

    /// Why one more connection of a peer cannot be.
    fn obstacle(&mut self, tenant: &str, bounds: &TenantBounds, peer: Peer) -> Option<Rejection> {
        // One that has just been removed has what it was last set up with, and no reserve.
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

    /// The handshake whose end would help most and that has waited the longest.
    fn longest_waiting(&self, tenant: &str, peer: Peer, cause: Rejection) -> Option<(String, Ticket, Instant)> {
        let own = self.tenants.get(tenant)?;
        let is_peer_full = own.used_of(peer) >= own.per_peer;
        let ticket = if is_peer_full { own.line.first_of(peer) } else { own.line.first() };
        let found = ticket.and_then(|ticket| Some((tenant.to_owned(), ticket, own.line.get(ticket)?.since)));
        let is_others_help = cause == Rejection::TooManyOfAll && !is_peer_full;
        found.or_else(|| is_others_help.then(|| self.longest_waiting_beyond_reserve())?)
    }

    fn longest_waiting_beyond_reserve(&self) -> Option<(String, Ticket, Instant)> {
        self.waiting.iter().take(LOOKED_AT_MAX).find_map(|(ticket, name)| {
            let own = self.tenants.get(name).filter(|own| own.common_used() > 0)?;
            Some((name.clone(), *ticket, own.line.get(*ticket)?.since))
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
            own.line.insert(ticket, waiter);
            self.waiting.insert(ticket, tenant.to_owned());
        }
    }

    fn go_on(&mut self, tenant: &str, ticket: Ticket) -> Option<Waiter> {
        self.waiting.remove(&ticket)?;
        self.tenants.get_mut(tenant)?.line.remove(ticket)
    }
}

#[cfg(test)]
mod tests;
