//! Bounds on connections: on all together, on each tenant's, and the share that each tenant is guaranteed.

use std::{num::NonZeroU32, time::Duration};

/// The bounds on all connections together, and on each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyLimits {
    /// Connections at a time. Each listener holds one of them for the next connection it accepts. At the limit,
    /// listeners accept no more until a connection ends. A running proxy does not change this limit.
    pub connections: usize,
    /// Connections that wait for their ClientHello. A newcomer displaces the one that has waited longest.
    /// None: a quarter of `connections`.
    pub hellos: Option<usize>,
    /// Connections of one peer that wait for their ClientHello. A peer is an IPv4 address, or an IPv6 prefix of 64
    /// bits. At this bound a newcomer displaces another connection of its peer. None: three quarters of `hellos`.
    pub hellos_per_peer: Option<usize>,
    /// The time from acceptance to the end of the ClientHello.
    pub hello: Duration,
    /// The time from acceptance to the end of the handshake.
    pub handshake: Duration,
    /// The time to connect to the upstream, its handshake included.
    pub upstream_connect: Duration,
    /// The time without a byte either way before a connection ends. It may take up to twice as long.
    pub idle: Duration,
    /// The life of a connection.
    pub connection: Duration,
    /// The time a shutdown waits for connections to end by themselves.
    pub drain: Duration,
}

impl Default for ProxyLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            hellos: None,
            hellos_per_peer: None,
            hello: Duration::from_secs(3),
            handshake: Duration::from_secs(10),
            upstream_connect: Duration::from_secs(5),
            idle: Duration::from_secs(10 * 60),
            connection: Duration::from_secs(24 * 60 * 60),
            drain: Duration::from_secs(10),
        }
    }
}

impl ProxyLimits {
    /// Connections that may wait for their ClientHello.
    pub fn hellos(&self) -> usize {
        let most = self.connections.saturating_sub(1).max(1);
        self.hellos.unwrap_or(self.connections / 4).clamp(1, most)
    }

    /// Connections of one peer that may wait for their ClientHello.
    pub fn hellos_per_peer(&self) -> usize {
        self.hellos_per_peer.unwrap_or_else(|| three_quarters(self.hellos()))
    }

    /// Connections reserved for each of these tenants.
    pub fn reserves<'a>(&self, tenants: impl ExactSizeIterator<Item = &'a TenantBounds>) -> Reserves {
        Reserves::new(self.of_tenants(), tenants)
    }

    /// Connections that all tenants together may have.
    pub(crate) fn of_tenants(&self) -> usize {
        self.connections.saturating_sub(self.hellos()).max(1)
    }
}

/// The bounds on one tenant's connections, which keep it from taking the capacity that others need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantBounds {
    /// Connections. The proxy closes more before their handshake.
    pub connections: usize,
    /// Connections among them that no other tenant can use up. None: an even share of half of the connections for all
    /// tenants. Never more than `connections`.
    pub reserve: Option<usize>,
    /// Connections of one peer: an IPv4 address, or an IPv6 prefix of 64 bits. The proxy closes more before their
    /// handshake. None: three quarters of `connections`.
    pub per_peer: Option<usize>,
    /// Handshakes in progress: those that compute, or wait for one of `threads`. More wait while their time runs. A
    /// handshake that waits for its client does not count, unless it has sent early data.
    pub handshakes: usize,
    /// Handshakes in progress of one peer. More wait while their time runs. None: a quarter of `handshakes`.
    pub handshakes_per_peer: Option<usize>,
    /// Handshakes that compute, or wait for the guest. Each takes a thread that no other tenant's connection waits for.
    pub threads: usize,
    /// Handshakes that may begin in a second. The proxy closes connections beyond before their handshake. None: no
    /// bound.
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

    /// Handshakes of one peer that may be in progress at a time.
    pub fn handshakes_per_peer(&self) -> usize {
        self.handshakes_per_peer.unwrap_or_else(|| self.handshakes.div_ceil(4))
    }
}

/// Connections reserved for each tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reserves {
    /// Connections that all tenants together may have.
    pub all: usize,
    /// The sum of the reserves in the tenants' settings. If it exceeds `all`, each tenant gets less in proportion.
    pub wanted: usize,
    /// The reserve of each tenant, in their order.
    pub each: Vec<usize>,
}

impl Reserves {
    /// Shares `all` connections among tenants. A tenant without a reserve in its settings gets an even share of half of
    /// them.
    pub(crate) fn new<'a>(all: usize, tenants: impl ExactSizeIterator<Item = &'a TenantBounds>) -> Self {
        let even = all / 2 / tenants.len().max(1);
        let wish = |bounds: &TenantBounds| bounds.reserve.unwrap_or(even).min(bounds.connections).min(all);
        let wishes: Vec<usize> = tenants.map(wish).collect();
        let wanted = wishes.iter().fold(0_usize, |sum, own| sum.saturating_add(*own));
        let scaled = |own: usize| match wanted <= all {
            true => own,
            // Each is at most `wanted`, so the result is at most `all`.
            false => usize::try_from(own as u128 * all as u128 / wanted as u128).unwrap_or(all),
        };
        Self { all, wanted, each: wishes.into_iter().map(scaled).collect() }
    }
}

/// Three quarters, rounded up: the default bound of one peer.
fn three_quarters(all: usize) -> usize {
    all - all / 4
}
