//! The bounds of one tenant's handshakes, in force.

use std::sync::Arc;

use governor::{DefaultDirectRateLimiter, Quota};
use tokio::sync::Semaphore;

use crate::{settings::bounds::TenantBounds, tenants::turns::Turns};

/// Look-ups of one tenant's upstream at a time, including those that nobody waits for any more. Each has a thread,
/// which only the system's resolver can end.
const NAME_LOOKUPS_MAX: usize = 2;

/// The semaphores and the rate limit that hold a tenant to its bounds.
pub(crate) struct Gates {
    bounds: TenantBounds,
    pub(crate) turns: Turns,
    pub(crate) threads: Semaphore,
    /// Look-ups of the upstream's name. An abandoned one goes on, and holds its permit until it ends.
    pub(crate) name_lookups: Arc<Semaphore>,
    rate: Option<DefaultDirectRateLimiter>,
}

impl Gates {
    pub(crate) fn new(bounds: &TenantBounds) -> Self {
        let permits = |number: usize| Semaphore::new(number.clamp(1, Semaphore::MAX_PERMITS));
        let quota = |per_s| Quota::per_second(per_s).allow_burst(bounds.handshakes_burst);
        Self {
            bounds: bounds.clone(),
            turns: Turns::new(bounds),
            threads: permits(bounds.threads),
            name_lookups: Arc::new(Semaphore::new(NAME_LOOKUPS_MAX)),
            rate: bounds.handshakes_per_s.map(|per_s| DefaultDirectRateLimiter::direct(quota(per_s))),
        }
    }

    pub(crate) fn bounds(&self) -> &TenantBounds {
        &self.bounds
    }

    /// True if the rate limit lets one more handshake begin now.
    pub(crate) fn is_slow_enough(&self) -> bool {
        self.rate.as_ref().is_none_or(|rate| rate.check().is_ok())
    }
}
