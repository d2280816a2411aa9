//! The fuel that one tenant may burn: a token bucket over all its calls.

use std::{cmp::Ordering, sync::Arc};

use crate::{Limits, sync::Mutex};

/// A tenant's fuel. Clones share it, so that a tenant with several caches has one budget.
///
/// A reader's call takes its whole grant beforehand and gives back what it has not burned, unless it trapped. An owner
/// thread's call is made when the budget is not overdrawn, and may overdraw it by one turn: the cache's next turn then
/// waits.
#[derive(Clone, Debug)]
pub struct FuelBudget(Arc<Mutex<Bucket>>);

#[derive(Debug)]
struct Bucket {
    per_ms: i64,
    burst: i64,
    /// Negative when overdrawn.
    left: i64,
    filled_ms: u64,
}

impl FuelBudget {
    /// A full budget.
    pub fn new(limits: &Limits) -> Self {
        let burst = signed(limits.fuel_burst);
        // Below a unit in a millisecond the budget would never fill.
        let per_ms = signed(limits.fuel_per_s / 1_000).max(1);
        Self(Arc::new(Mutex::new(Bucket { per_ms, burst, left: burst, filled_ms: 0 })))
    }

    /// Takes `fuel` if there is as much.
    pub(crate) fn take(&self, now_ms: u64, fuel: u64) -> bool {
        let mut bucket = self.0.lock();
        bucket.fill(now_ms);
        let has_enough = bucket.left >= signed(fuel);
        if has_enough {
            bucket.left -= signed(fuel);
        }
        has_enough
    }

    /// Takes `fuel` whether or not there is as much.
    pub(crate) fn overdraw(&self, now_ms: u64, fuel: u64) {
        let mut bucket = self.0.lock();
        bucket.fill(now_ms);
        bucket.left = bucket.left.saturating_sub(signed(fuel));
    }

    /// Gives back what was taken and not burned.
    pub(crate) fn give_back(&self, fuel: u64) {
        let mut bucket = self.0.lock();
        bucket.left = bucket.left.saturating_add(signed(fuel)).min(bucket.burst);
    }

    /// When the budget is no longer overdrawn; none when it is not.
    pub(crate) fn overdrawn_until(&self, now_ms: u64) -> Option<u64> {
        let mut bucket = self.0.lock();
        bucket.fill(now_ms);
        match bucket.left.cmp(&0) {
            Ordering::Less => {
                Some(now_ms.saturating_add(1 + bucket.left.unsigned_abs() / bucket.per_ms.unsigned_abs()))
            }
            Ordering::Equal | Ordering::Greater => None,
        }
    }
}

impl Bucket {
    fn fill(&mut self, now_ms: u64) {
        let Some(passed_ms) = now_ms.checked_sub(self.filled_ms).filter(|passed_ms| *passed_ms > 0) else { return };
        self.filled_ms = now_ms;
        self.left = self.left.saturating_add(self.per_ms.saturating_mul(signed(passed_ms))).min(self.burst);
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SizeClass;

    fn budget(per_s: u64, burst: u64) -> FuelBudget {
        FuelBudget::new(&Limits { fuel_per_s: per_s, fuel_burst: burst, ..Limits::new(SizeClass::Small) })
    }

    #[test]
    fn a_budget_is_spent_and_fills_again_up_to_its_burst() {
        let budget = budget(1_000, 10);
        assert!(budget.take(1, 10));
        assert!(!budget.take(1, 1));
        assert!(budget.take(4, 3) && !budget.take(4, 1));
        assert!(budget.take(1_000_000, 10) && !budget.take(1_000_000, 1));
    }

    #[test]
    fn what_was_not_burned_comes_back_and_a_clone_sees_it() {
        let budget = budget(1_000, 10);
        assert!(budget.take(1, 10));
        let other = budget.clone();
        budget.give_back(4);
        assert!(other.take(1, 4) && !budget.take(1, 1));
    }

    #[test]
    fn an_overdrawn_budget_says_when_it_is_not() {
        let budget = budget(1_000, 10);
        assert_eq!(budget.overdrawn_until(1), None);
        budget.overdraw(1, 15);
        assert_eq!(budget.overdrawn_until(1), Some(7));
        assert_eq!(budget.overdrawn_until(7), None);
    }
}
