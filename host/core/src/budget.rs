//! The fuel that one tenant may burn and the time on a core that its guest may take: a token bucket each, over all its calls.

use std::{sync::Arc, time::Duration};

use crate::{
    Limits, Miss,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// A tenant's fuel and time. Clones share them, so that a tenant with several caches has one budget.
///
/// A reader's call has its whole grant of fuel beforehand, from the instance's purse, which is filled from the budget. An owner
/// thread's call is made when the budget is not overdrawn, and may overdraw it by one turn: the cache's next turn then
/// waits. Time is paid afterwards by both: nobody knows beforehand how much a call will take.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// What one purse may hold between calls.
    purse_max: u64,
    fuel: Mutex<Bucket>,
    /// In nanoseconds.
    time: Mutex<Bucket>,
    /// When the time is no longer overdrawn; in the past where it is not. For readers, which look at each call.
    time_until_ms: AtomicU64,
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

impl Budget {
    /// A full budget.
    pub fn new(limits: &Limits) -> Self {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self(Arc::new(Shared {
            purse_max: limits.fuel_burst / PURSE_PARTS,
            fuel: Mutex::new(Bucket::full(limits.fuel_per_s, limits.fuel_burst)),
            time: Mutex::new(Bucket::full(ns(limits.time_per_s), ns(limits.time_burst))),
            time_until_ms: AtomicU64::new(0),
        }))
    }

    /// Pays for time that a call or a turn has taken on a core, whether or not there is as much.
    pub(crate) fn pay_time(&self, now_ms: u64, ns: u64) {
        let mut time = self.0.time.lock();
        time.fill(now_ms);
        time.left = time.left.saturating_sub(signed(ns));
        self.0.time_until_ms.store(time.overdrawn_until(now_ms).unwrap_or(0), Ordering::Release);
    }

    /// Whether more time has been taken than there was.
    #[inline(always)]
    pub(crate) fn is_over_time(&self, now_ms: u64) -> bool {
        now_ms < self.0.time_until_ms.load(Ordering::Relaxed)
    }

    /// Takes `fuel` if there is as much.
    fn take(&self, now_ms: u64, fuel: u64) -> bool {
        let mut bucket = self.0.fuel.lock();
        bucket.fill(now_ms);
        let has_enough = bucket.left >= signed(fuel);
        if has_enough {
            bucket.left -= signed(fuel);
        }
        has_enough
    }

    /// Takes `fuel` whether or not there is as much.
    pub(crate) fn overdraw(&self, now_ms: u64, fuel: u64) {
        let mut bucket = self.0.fuel.lock();
        bucket.fill(now_ms);
        bucket.left = bucket.left.saturating_sub(signed(fuel));
    }

    /// Gives back what was taken and not burned.
    fn give_back(&self, fuel: u64) {
        let mut bucket = self.0.fuel.lock();
        bucket.left = bucket.left.saturating_add(signed(fuel)).min(bucket.burst);
    }

    /// When neither fuel nor time is overdrawn any more; none when neither is.
    pub(crate) fn overdrawn_until(&self, now_ms: u64) -> Option<u64> {
        let time_until_ms = Some(self.0.time_until_ms.load(Ordering::Acquire)).filter(|until_ms| now_ms < *until_ms);
        let mut fuel = self.0.fuel.lock();
        fuel.fill(now_ms);
        fuel.overdrawn_until(now_ms).max(time_until_ms)
    }
}

/// The fuel that one instance has in hand for readers' calls, so that they do not all meet at the budget. What it still holds
/// goes back when it is dropped.
pub(crate) struct Purse {
    budget: Budget,
    fuel: u64,
    /// Which of the next calls is timed.
    dice: Dice,
}

impl Purse {
    pub(crate) fn new(budget: Budget) -> Self {
        Self { budget, fuel: 0, dice: Dice::default() }
    }

    /// Has it hold a call's grant, and fills it if need be. [`Purse::pay`] must follow the call.
    ///
    /// # Errors
    /// Of what there is not enough.
    #[inline(always)]
    pub(crate) fn hold(&mut self, now_ms: u64, grant: u64) -> Result<(), Miss> {
        if self.budget.is_over_time(now_ms) {
            return Err(Miss::OverTime);
        }
        if self.fuel >= grant || self.fill(now_ms, grant) { Ok(()) } else { Err(Miss::OverBudget) }
    }

    fn fill(&mut self, now_ms: u64, grant: u64) -> bool {
        // A tenant that has little left gets what the call needs, and no more.
        let wanted = [self.budget.0.purse_max.max(grant), grant].map(|fuel| fuel - self.fuel);
        let Some(taken) = wanted.into_iter().find(|wanted| self.budget.take(now_ms, *wanted)) else { return false };
        self.fuel += taken;
        true
    }

    /// Whether the next call is one whose time is paid for. It then pays for [`TIMED`] calls.
    #[inline(always)]
    pub(crate) fn is_timed(&mut self) -> bool {
        self.dice.is_next()
    }

    /// Pays for the time of a call that was timed, and for those that were not.
    pub(crate) fn pay_time(&self, now_ms: u64, ns: u64) {
        self.budget.pay_time(now_ms, ns);
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

/// Of so many calls of a reader one is timed, and pays for all: two looks at a thread's clock take as long as a lookup. Which
/// one it is is left to chance, so that no guest can be quick just then.
pub(crate) const TIMED: u64 = 64;

/// How many calls lie between two that are timed: at random, and [`TIMED`] on average.
struct Dice {
    left: u32,
    /// Of a generator of random numbers for nothing secret: xorshift.
    state: u32,
}

impl Default for Dice {
    fn default() -> Self {
        let mut seed = [0; 4];
        // Without random bytes it is still a guest's guess.
        let _ = getrandom::fill(&mut seed);
        let mut dice = Self { left: 1, state: u32::from_ne_bytes(seed) | 1 };
        dice.throw();
        dice
    }
}

impl Dice {
    /// True for the next call that is timed.
    #[inline(always)]
    fn is_next(&mut self) -> bool {
        self.left -= 1;
        if self.left == 0 {
            self.throw();
            return true;
        }
        false
    }

    #[cold]
    fn throw(&mut self) {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        // From 1 to twice as many less one, each as likely as any.
        self.left = 1 + self.state % (2 * TIMED as u32 - 1);
    }
}

impl Bucket {
    fn full(per_s: u64, burst: u64) -> Self {
        let burst = signed(burst);
        // Below a unit in a millisecond the budget would never fill.
        Self { per_ms: signed(per_s / 1_000).max(1), burst, left: burst, filled_ms: 0 }
    }

    /// When it is no longer overdrawn; none when it is not. To be filled first.
    fn overdrawn_until(&self, now_ms: u64) -> Option<u64> {
        let until_ms = || now_ms.saturating_add(1 + self.left.unsigned_abs() / self.per_ms.unsigned_abs());
        (self.left < 0).then(until_ms)
    }

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

    fn budget(per_s: u64, burst: u64) -> Budget {
        Budget::new(&Limits { fuel_per_s: per_s, fuel_burst: burst, ..Limits::new(SizeClass::Small) })
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
        let left = |budget: &Budget| budget.0.fuel.lock().left;
        let mut purse = Purse::new(budget.clone());
        assert!(purse.hold(1, 4).is_ok());
        purse.pay(1, 4, 3);
        assert_eq!((purse.fuel, left(&budget)), (7, 10_230), "what one purse may hold has been taken at once");
        assert!(purse.hold(1, 100).is_ok());
        purse.pay(1, 100, 30);
        assert_eq!((purse.fuel, left(&budget)), (10, 10_197), "it keeps no more than it may");
        purse.pay(1, 1, 3);
        assert_eq!((purse.fuel, left(&budget)), (9, 10_195), "what was burned beyond the grant is the budget's");
        budget.overdraw(1, 10_192);
        assert!(
            purse.hold(1, 12).is_ok() && purse.hold(1, 13) == Err(Miss::OverBudget),
            "the last is given as it is needed"
        );
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

    #[test]
    fn time_is_paid_afterwards_and_what_is_overdrawn_comes_back() {
        let limits = Limits {
            time_per_s: Duration::from_millis(200),
            time_burst: Duration::from_millis(400),
            ..Limits::new(SizeClass::Small)
        };
        let budget = Budget::new(&limits);
        let mut purse = Purse::new(budget.clone());
        budget.pay_time(1, 400_000_000);
        assert_eq!((purse.hold(1, 1), budget.overdrawn_until(1)), (Ok(()), None));
        purse.pay_time(1, 20_000_000);
        assert_eq!((purse.hold(1, 1), budget.overdrawn_until(1)), (Err(Miss::OverTime), Some(102)));
        assert_eq!((purse.hold(102, 1), budget.overdrawn_until(102)), (Ok(()), None));
        budget.pay_time(1_000_000, 400_000_000);
        assert_eq!(budget.overdrawn_until(1_000_000), None, "no more than its burst was saved up, and no less");
    }

    #[test]
    fn one_call_in_so_many_is_timed() {
        let mut dice = Dice::default();
        let timed = (0..TIMED * 10_000).filter(|_| dice.is_next()).count();
        assert!((9_000..11_000).contains(&timed), "{timed} of {} were timed", TIMED * 10_000);
    }
}
