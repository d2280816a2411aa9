//! A tenant's budget of fuel and of time on a core: a token bucket each, over all its calls.

use std::{sync::Arc, time::Duration};

use crate::{
    contract::{callback::Callback, error::Miss, limits::Limits},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// A tenant's fuel and time. Clones share them, so that a tenant with several caches has one budget.
///
/// A reader's call has its whole grant of fuel beforehand, from the instance's local credit, which is filled from the
/// budget. An owner thread's call is made when the budget is not overdrawn, and may overdraw it by one turn: the
/// cache's next turn then waits. Both pay for time afterwards: nobody knows the time of a call beforehand.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The most fuel that one local credit may hold between calls.
    credit_max: u64,
    fuel: Mutex<Bucket>,
    /// In nanoseconds.
    time: Mutex<Bucket>,
    /// The time at which time is no longer overdrawn, or one in the past. For readers, which look at each call.
    time_until_ms: AtomicU64,
}

/// A local credit holds at most this part of the burst, so that all credits together hold little.
const CREDIT_PARTS: u64 = 1_024;

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
            credit_max: limits.fuel_burst / CREDIT_PARTS,
            fuel: Mutex::new(Bucket::full(limits.fuel_per_s, limits.fuel_burst)),
            time: Mutex::new(Bucket::full(ns(limits.time_per_s), ns(limits.time_burst))),
            time_until_ms: AtomicU64::new(0),
        }))
    }

    /// Pays for the time of a call or a turn on a core, even if less is left.
    pub(crate) fn pay_time(&self, now_ms: u64, ns: u64) {
        let mut time = self.0.time.lock();
        time.fill(now_ms);
        time.left = time.left.saturating_sub(signed(ns));
        self.0.time_until_ms.store(time.overdrawn_until(now_ms).unwrap_or(0), Ordering::Release);
    }

    /// True if more time has been taken than there was.
    #[inline(always)]
    pub(crate) fn is_over_time(&self, now_ms: u64) -> bool {
        now_ms < self.0.time_until_ms.load(Ordering::Relaxed)
    }

    /// Takes `fuel` if as much is left.
    fn take(&self, now_ms: u64, fuel: u64) -> bool {
        let mut bucket = self.0.fuel.lock();
        bucket.fill(now_ms);
        let has_enough = bucket.left >= signed(fuel);
        if has_enough {
            bucket.left -= signed(fuel);
        }
        has_enough
    }

    /// Takes `fuel`, even if less is left.
    pub(crate) fn overdraw(&self, now_ms: u64, fuel: u64) {
        let mut bucket = self.0.fuel.lock();
        bucket.fill(now_ms);
        bucket.left = bucket.left.saturating_sub(signed(fuel));
    }

    /// Gives back fuel that was taken and not burned.
    fn give_back(&self, fuel: u64) {
        let mut bucket = self.0.fuel.lock();
        bucket.left = bucket.left.saturating_add(signed(fuel)).min(bucket.burst);
    }

    /// The time at which neither fuel nor time is overdrawn any more; none if neither is.
    pub(crate) fn overdrawn_until(&self, now_ms: u64) -> Option<u64> {
        let time_until_ms = Some(self.0.time_until_ms.load(Ordering::Acquire)).filter(|until_ms| now_ms < *until_ms);
        let mut fuel = self.0.fuel.lock();
        fuel.fill(now_ms);
        fuel.overdrawn_until(now_ms).max(time_until_ms)
    }
}

/// A reader's call may be made: its grant is in the instance's local credit.
#[derive(Clone, Copy)]
pub(crate) struct Permit {
    grant: u64,
}

/// The local fuel credit of one instance, for readers' calls, so that they do not all meet at the budget. The rest goes
/// back when it is dropped.
pub(crate) struct Credit {
    budget: Budget,
    fuel: u64,
    sample: Sample,
}

impl Credit {
    pub(crate) fn new(budget: Budget) -> Self {
        Self { budget, fuel: 0, sample: Sample::default() }
    }

    /// Holds a call's grant, and fills the credit if need be. [`Credit::pay`] must follow the call.
    ///
    /// # Errors
    /// The budget that is used up.
    #[inline(always)]
    pub(crate) fn permit(&mut self, now_ms: u64, grant: u64) -> Result<Permit, Miss> {
        if self.budget.is_over_time(now_ms) {
            return Err(Miss::OverTime);
        }
        if self.fuel >= grant || self.fill(now_ms, grant) { Ok(Permit { grant }) } else { Err(Miss::OverBudget) }
    }

    fn fill(&mut self, now_ms: u64, grant: u64) -> bool {
        // A tenant that has little left gets the call's need, and no more.
        let wanted = [self.budget.0.credit_max.max(grant), grant].map(|fuel| fuel - self.fuel);
        let Some(taken) = wanted.into_iter().find(|wanted| self.budget.take(now_ms, *wanted)) else { return false };
        self.fuel += taken;
        true
    }

    /// The number of calls that a reader's next call pays for in time, if it is timed at all.
    #[inline(always)]
    pub(crate) fn timed_calls(&mut self, callback: Callback) -> Option<u64> {
        match callback {
            Callback::Lookup => self.sample.is_next().then_some(SAMPLED),
            _ => Some(1),
        }
    }

    /// Pays for the time of a call that was timed, and for those that were not.
    pub(crate) fn pay_time(&self, now_ms: u64, ns: u64) {
        self.budget.pay_time(now_ms, ns);
    }

    /// Pays for a call that had a permit. Fuel beyond its grant is taken from the budget.
    #[inline(always)]
    pub(crate) fn pay(&mut self, now_ms: u64, Permit { grant }: Permit, fuel: u64) {
        self.fuel -= fuel.min(grant);
        if fuel > grant {
            self.budget.overdraw(now_ms, fuel - grant);
        }
        let credit_max = self.budget.0.credit_max;
        if let Some(too_much) = self.fuel.checked_sub(credit_max).filter(|too_much| *too_much > 0) {
            self.budget.give_back(too_much);
            self.fuel = credit_max;
        }
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        self.budget.give_back(self.fuel);
    }
}

/// One in so many lookups is timed, and pays for all: two looks at a thread's clock take as long as a lookup. Chance
/// picks it, so that no guest can be quick just then.
const SAMPLED: u64 = 64;

/// The number of calls from one that is timed to the next: at random, and [`SAMPLED`] on average.
struct Sample {
    left: u32,
    /// Of a generator of random numbers for nothing secret: xorshift.
    state: u32,
}

impl Default for Sample {
    fn default() -> Self {
        let mut seed = [0; 4];
        // Without random bytes it is still a guest's guess.
        let _ = getrandom::fill(&mut seed);
        let mut sample = Self { left: 1, state: u32::from_ne_bytes(seed) | 1 };
        sample.throw();
        sample
    }
}

impl Sample {
    /// True if the next call is timed.
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
        self.left = 1 + self.state % (2 * SAMPLED as u32 - 1);
    }
}

impl Bucket {
    fn full(per_s: u64, burst: u64) -> Self {
        let burst = signed(burst);
        // Below a unit in a millisecond the budget would never fill.
        Self { per_ms: signed(per_s / 1_000).max(1), burst, left: burst, filled_ms: 0 }
    }

    /// The time at which it is no longer overdrawn; none if it is not. To be filled first.
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
    use crate::contract::limits::SizeClass;

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
    fn a_credit_pays_for_what_was_burned_and_gives_back_the_rest() {
        let budget = budget(1_000, 10 * CREDIT_PARTS);
        let left = |budget: &Budget| budget.0.fuel.lock().left;
        let mut credit = Credit::new(budget.clone());
        assert!(credit.permit(1, 4).is_ok());
        credit.pay(1, Permit { grant: 4 }, 3);
        assert_eq!((credit.fuel, left(&budget)), (7, 10_230), "all that one credit may hold has been taken at once");
        assert!(credit.permit(1, 100).is_ok());
        credit.pay(1, Permit { grant: 100 }, 30);
        assert_eq!((credit.fuel, left(&budget)), (10, 10_197), "it keeps no more than it may");
        credit.pay(1, Permit { grant: 1 }, 3);
        assert_eq!((credit.fuel, left(&budget)), (9, 10_195), "what was burned beyond the grant is the budget's");
        budget.overdraw(1, 10_192);
        assert!(
            credit.permit(1, 12).is_ok() && credit.permit(1, 13).err() == Some(Miss::OverBudget),
            "the last is given as it is needed"
        );
        drop(credit);
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
        let mut credit = Credit::new(budget.clone());
        budget.pay_time(1, 400_000_000);
        assert_eq!((credit.permit(1, 1).err(), budget.overdrawn_until(1)), (None, None));
        credit.pay_time(1, 20_000_000);
        assert_eq!((credit.permit(1, 1).err(), budget.overdrawn_until(1)), (Some(Miss::OverTime), Some(102)));
        assert_eq!((credit.permit(102, 1).err(), budget.overdrawn_until(102)), (None, None));
        budget.pay_time(1_000_000, 400_000_000);
        assert_eq!(budget.overdrawn_until(1_000_000), None, "no more than its burst was saved up, and no less");
    }

    #[test]
    fn one_call_in_so_many_is_timed() {
        let mut sample = Sample::default();
        let timed = (0..SAMPLED * 10_000).filter(|_| sample.is_next()).count();
        assert!((9_000..11_000).contains(&timed), "{timed} of {} were timed", SAMPLED * 10_000);
    }
}
