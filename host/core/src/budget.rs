//! The fuel that one tenant may burn: a token bucket over all its calls.

use std::{cmp::Ordering, sync::Arc};

use crate::{Limits, sync::Mutex};

/// A tenant's fuel. Clones share it, so that a tenant with several caches has one budget.
///
/// A reader's call has its whole grant beforehand, from the instance's purse, which is filled from the budget. An owner
/// thread's call is made when the budget is not overdrawn, and may overdraw it by one turn: the cache's next turn then
/// waits.
#[derive(Clone, Debug)]
pub struct FuelBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// What one purse may hold between calls.
    purse_max: u64,
    bucket: Mutex<Bucket>,
}

/// A purse holds at most this part of the burst, so that what lies in purses is little.
const PURSE_PARTS: u64 = 1_024;

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
        let bucket = Mutex::new(Bucket { per_ms, burst, left: burst, filled_ms: 0 });
        Self(Arc::new(Shared { purse_max: limits.fuel_burst / PURSE_PARTS, bucket }))
    }

    /// Takes `fuel` if there is as much.
    fn take(&self, now_ms: u64, fuel: u64) -> bool {
        let mut bucket = self.0.bucket.lock();
        bucket.fill(now_ms);
        let has_enough = bucket.left >= signed(fuel);
        if has_enough {
            bucket.left -= signed(fuel);
        }
        has_enough
    }

    /// Takes `fuel` whether or not there is as much.
    pub(crate) fn overdraw(&self, now_ms: u64, fuel: u64) {
        let mut bucket = self.0.bucket.lock();
        bucket.fill(now_ms);
        bucket.left = bucket.left.saturating_sub(signed(fuel));
    }

    /// Gives back what was taken and not burned.
    fn give_back(&self, fuel: u64) {
        let mut bucket = self.0.bucket.lock();
        bucket.left = bucket.left.saturating_add(signed(fuel)).min(bucket.burst);
    }

    /// When the budget is no longer overdrawn; none when it is not.
    pub(crate) fn overdrawn_until(&self, now_ms: u64) -> Option<u64> {
        let mut bucket = self.0.bucket.lock();
        bucket.fill(now_ms);
        match bucket.left.cmp(&0) {
            Ordering::Less => {
                Some(now_ms.saturating_add(1 + bucket.left.unsigned_abs() / bucket.per_ms.unsigned_abs()))
            }
            Ordering::Equal | Ordering::Greater => None,
        }
    }
}

/// The fuel that one instance has in hand for readers' calls, so that they do not all meet at the budget. What it still holds
/// goes back when it is dropped.
pub(crate) struct Purse {
    budget: FuelBudget,
    fuel: u64,
}

impl Purse {
    pub(crate) fn new(budget: FuelBudget) -> Self {
        Self { budget, fuel: 0 }
    }

    /// Whether it holds a call's grant, once it has been filled if need be. [`Purse::pay`] must follow the call.
    pub(crate) fn holds(&mut self, now_ms: u64, grant: u64) -> bool {
        if self.fuel >= grant {
            return true;
        }
        // A tenant that has little left gets what the call needs, and no more.
        let wanted = [self.budget.0.purse_max.max(grant), grant].map(|fuel| fuel - self.fuel);
        let Some(taken) = wanted.into_iter().find(|wanted| self.budget.take(now_ms, *wanted)) else { return false };
        self.fuel += taken;
        true
    }

    /// Pays for a call that has had a grant. What it has burned beyond is taken from the budget.
    pub(crate) fn pay(&mut self, now_ms: u64, grant: u64, fuel: u64) {
        self.fuel -= fuel.min(grant);
        if fuel > grant {
            self.budget.overdraw(now_ms, fuel - grant);
        }
        let purse_max = self.budget.0.purse_max;
        if let Some(too_much) = self.fuel.checked_sub(purse_max).filter(|too_much| *too_much > 0) {
            self.budget.give_back(too_much);
            self.fuel = purse_max;
        }
    }
}

impl Drop for Purse {
    fn drop(&mut self) {
        self.budget.give_back(self.fuel);
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
    fn a_purse_pays_for_what_was_burned_and_gives_back_the_rest() {
        let budget = budget(1_000, 10 * PURSE_PARTS);
        let left = |budget: &FuelBudget| budget.0.bucket.lock().left;
        let mut purse = Purse::new(budget.clone());
        assert!(purse.holds(1, 4));
        purse.pay(1, 4, 3);
        assert_eq!((purse.fuel, left(&budget)), (7, 10_230), "what one purse may hold has been taken at once");
        assert!(purse.holds(1, 100));
        purse.pay(1, 100, 30);
        assert_eq!((purse.fuel, left(&budget)), (10, 10_197), "it keeps no more than it may");
        purse.pay(1, 1, 3);
        assert_eq!((purse.fuel, left(&budget)), (9, 10_195), "what was burned beyond the grant is the budget's");
        budget.overdraw(1, 10_192);
        assert!(purse.holds(1, 12) && !purse.holds(1, 13), "the last is given as it is needed");
        drop(purse);
        assert_eq!(left(&budget), 12);
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
