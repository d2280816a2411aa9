//! When a faulty guest is given another try: exponential backoff, and suspension past a threshold.

/// The first wait after a fault.
const BACKOFF_MS_MIN: u64 = 10;
/// The longest wait, and the wait of a suspended cache.
const BACKOFF_MS_MAX: u64 = 30_000;
/// Faults within the window that suspend the cache.
const FAULTS_TO_SUSPEND: u32 = 8;
/// A cache that ran this long without a fault starts afresh.
const WINDOW_MS: u64 = 60_000;

/// The fault history of one cache.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    faults: u32,
    last_fault_ms: u64,
    retry_ms: Option<u64>,
    /// An operator has suspended the cache: that is no fault, and ends by no time.
    is_held: bool,
}

impl Breaker {
    /// Notes a fault. Until [`Breaker::retry_at`] no instance is to be built.
    pub(crate) fn fault(&mut self, now_ms: u64) {
        if now_ms.saturating_sub(self.last_fault_ms) > WINDOW_MS {
            self.faults = 0;
        }
        let doubled_ms = BACKOFF_MS_MIN << self.faults;
        self.faults = (self.faults + 1).min(FAULTS_TO_SUSPEND);
        self.last_fault_ms = now_ms;
        let backoff_ms = if self.is_past_threshold() { BACKOFF_MS_MAX } else { doubled_ms };
        self.retry_ms = Some(now_ms.saturating_add(backoff_ms));
    }

    /// When an instance may be built again; none when nothing is wrong.
    pub(crate) fn retry_at(&self) -> Option<u64> {
        self.retry_ms
    }

    /// When the owner thread is to try again by itself, where nobody holds the cache.
    pub(crate) fn next_try(&self) -> Option<u64> {
        self.retry_ms.filter(|_| !self.is_held)
    }

    /// Notes that every instance runs again.
    pub(crate) fn recovered(&mut self) {
        self.retry_ms = None;
    }

    /// Forgets every fault: another guest is asked now, unless an operator has suspended the cache.
    pub(crate) fn reset(&mut self) {
        *self = Self { is_held: self.is_held, ..Self::default() };
    }

    /// Suspends the cache until [`Breaker::release`].
    pub(crate) fn hold(&mut self) {
        self.is_held = true;
    }

    /// Ends every suspension, and forgets every fault.
    pub(crate) fn release(&mut self) {
        *self = Self::default();
    }

    /// Whether an operator has suspended the cache.
    pub(crate) fn is_held(&self) -> bool {
        self.is_held
    }

    /// Whether the cache has faulted so often that it waits out the longest backoff.
    pub(crate) fn is_suspended(&self) -> bool {
        self.retry_ms.is_some() && self.is_past_threshold()
    }

    fn is_past_threshold(&self) -> bool {
        self.faults >= FAULTS_TO_SUSPEND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(faults_at_ms: &[u64]) -> Vec<u64> {
        let mut breaker = Breaker::default();
        let wait = |at: &u64| {
            breaker.fault(*at);
            breaker.retry_at().expect("a fault sets a retry") - at
        };
        faults_at_ms.iter().map(wait).collect()
    }

    #[test]
    fn backoff_doubles_and_then_the_cache_is_suspended() {
        let faults: Vec<u64> = (1..=10).map(|at| at * 1_000).collect();
        assert_eq!(waits(&faults), [10, 20, 40, 80, 160, 320, 640, 30_000, 30_000, 30_000]);
    }

    #[test]
    fn a_quiet_minute_starts_afresh() {
        assert_eq!(waits(&[1, 2, 3, 60_004, 60_005]), [10, 20, 40, 10, 20]);
    }

    #[test]
    fn an_operators_suspension_ends_by_release_only_and_release_ends_any() {
        let mut breaker = Breaker::default();
        breaker.hold();
        assert!(breaker.is_held() && !breaker.is_suspended());
        breaker.recovered();
        breaker.reset();
        assert!(breaker.is_held());
        (1..=8).for_each(|at| breaker.fault(at));
        breaker.release();
        assert!(!breaker.is_held() && !breaker.is_suspended() && breaker.retry_at().is_none());
    }

    #[test]
    fn a_suspended_cache_that_faults_on_its_probe_is_suspended_again() {
        let mut breaker = Breaker::default();
        (1..=8).for_each(|at| breaker.fault(at));
        assert!(breaker.is_suspended());
        breaker.recovered();
        assert!(!breaker.is_suspended());
        breaker.fault(30_010);
        assert!(breaker.is_suspended());
    }
}
