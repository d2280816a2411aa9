//! Retries of a faulty guest: exponential backoff, and suspension past a threshold.

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
}

impl Breaker {
    /// Notes a fault. Gives the time before which no instance is to be built, and whether the guest is suspended until
    /// then.
    pub(crate) fn fault(&mut self, now_ms: u64) -> (u64, bool) {
        if now_ms.saturating_sub(self.last_fault_ms) > WINDOW_MS {
            self.faults = 0;
        }
        let doubled_ms = BACKOFF_MS_MIN << self.faults;
        self.faults = (self.faults + 1).min(FAULTS_TO_SUSPEND);
        self.last_fault_ms = now_ms;
        let is_suspended = self.faults >= FAULTS_TO_SUSPEND;
        let backoff_ms = if is_suspended { BACKOFF_MS_MAX } else { doubled_ms };
        (now_ms.saturating_add(backoff_ms), is_suspended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(faults_at_ms: &[u64]) -> Vec<u64> {
        let mut breaker = Breaker::default();
        faults_at_ms.iter().map(|at| breaker.fault(*at).0 - at).collect()
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
    fn a_suspended_guest_that_faults_when_it_is_tried_again_is_suspended_again() {
        let mut breaker = Breaker::default();
        let is_suspended: Vec<bool> = (1..=8).map(|at| breaker.fault(at).1).collect();
        assert_eq!(is_suspended, [false, false, false, false, false, false, false, true]);
        assert_eq!(breaker.fault(30_010), (60_010, true));
    }
}
