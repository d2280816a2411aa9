//! The list of all cases, and the runs over it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use serde::Serialize;

use crate::{alone, failure::Failure, random, served, subject::Subject, weight};

/// The extent of a check.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cases whose name begins with one of these; empty for all.
    pub only: Vec<String>,
    /// Random sequences of calls that each case of random calls tries.
    pub runs: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { only: Vec::new(), runs: 64 }
    }
}

/// One behaviour and its check.
pub struct Case {
    /// Its number, its side, and the rule that must hold.
    pub name: &'static str,
    pub(crate) check: Check,
}

#[derive(Clone, Copy)]
pub(crate) enum Check {
    /// One instance, driven call by call.
    Alone(fn(&Subject) -> Result<(), Failure>),
    /// Random calls, so many runs of them.
    Random(fn(&Subject, u32) -> Result<(), Failure>),
    /// A cache with so many readers.
    Served(fn(&Subject, usize) -> Result<(), Failure>, usize),
}

const fn alone(name: &'static str, check: fn(&Subject) -> Result<(), Failure>) -> Case {
    Case { name, check: Check::Alone(check) }
}

const fn random(name: &'static str, check: fn(&Subject, u32) -> Result<(), Failure>) -> Case {
    Case { name, check: Check::Random(check) }
}

const fn one(name: &'static str, check: fn(&Subject, usize) -> Result<(), Failure>) -> Case {
    Case { name, check: Check::Served(check, 1) }
}

const fn two(name: &'static str, check: fn(&Subject, usize) -> Result<(), Failure>) -> Case {
    Case { name, check: Check::Served(check, 2) }
}

/// Every case, in the order in which they run.
pub const CASES: &[Case] = &[
    alone("01 alone: an empty cache has nothing", alone::empty),
    alone("02 alone: lookup gives what update was given", alone::lookup),
    alone("03 alone: update twice overwrites", alone::overwrite),
    alone("04 alone: delete forgets one key, and an absent one is no error", alone::delete),
    alone("05 alone: select gives the sessions of one partial key, in a stable order", alone::select),
    alone("06 alone: foldl shows each session once, and passes the accumulator on", alone::fold),
    alone("12 alone: two caches of one instance are independent", alone::independent),
    alone("13 alone: init takes both roles, and any properties or says why not", alone::init),
    alone("14 alone: terminate returns", alone::terminate),
    alone("16 alone: at the maximum the guest follows", alone::maximum),
    alone("17 alone: a session that has died does no harm", alone::died),
    random("11 alone: random calls agree with a model", random::agrees),
    random("16 alone: random calls at the maximum agree with a model", random::agrees_at_the_maximum),
    random("A1 alone: two instances told the same answer the same", random::deterministic),
    random("A2 alone: an instance rebuilt by update answers like the one it replaces", random::replays),
    random("A3 alone: as time passes, answers are right or none", random::time_passes),
    alone("B1 alone: the default maximum is within every limit", weight::default_maximum),
    alone("B2 alone: as many sessions of one partial key are within every limit", weight::one_partial),
    alone("B3 alone: a call costs about the same with a hundred times the sessions", weight::fuel_growth),
    alone("B4 alone: memory does not grow without end", weight::memory_growth),
    one("01 served: an empty cache has nothing", served::empty),
    one("02 served: what lookup gives is byte for byte what update was given", served::byte_for_byte),
    one("03 served: update twice overwrites", served::overwrite),
    one("04 served: delete of an absent key changes nothing", served::delete_absent),
    one("05 served: select gives the sessions of one partial key", served::select),
    one("06 served: foldl runs on the calling thread", served::fold),
    one("07 served: the fold's function may use the cache, and panic", served::fold_reenters),
    one("08 served: foldl ends while another thread writes", served::fold_while_writing),
    one("09 served: a read is old or new, never torn", served::never_torn),
    one("10 served: an update that returned is seen by every thread", served::seen_by_all),
    one("11 served: size is exact after 10 000 operations", served::size_is_exact),
    one("12 served: the caches of both roles are independent", served::independent),
    one("14 served: after terminate reads answer nothing", served::terminate),
    one("15 served: an owner that goes away gives memory back", served::owner_gone),
    one("16 served: the maximum is never passed, the oldest goes", served::oldest_goes),
    one("16 served: the maximum is never passed, all go", served::all_go),
    one("17 served: a session that died after select is a miss", served::died_after_select),
    two("02 served by two: what lookup gives is byte for byte what update was given", served::byte_for_byte),
    two("05 served by two: select gives the sessions of one partial key", served::select),
    two("08 served by two: foldl ends while another thread writes", served::fold_while_writing),
    two("09 served by two: a read is old or new, never torn", served::never_torn),
    two("10 served by two: an update that returned is seen by every thread", served::seen_by_all),
    two("11 served by two: size is exact after 10 000 operations", served::size_is_exact),
    two("16 served by two: the maximum is never passed, the oldest goes", served::oldest_goes),
];

impl Case {
    /// Runs it. A panic fails it.
    ///
    /// # Errors
    /// When the guest breaks the rule: what was expected and what was seen.
    pub fn run(&self, subject: &Subject, options: &Options) -> Result<(), Failure> {
        let mut subject = subject.clone();
        // A busy machine or a clock that stands still must fail nothing.
        for grant in [&mut subject.limits.read, &mut subject.limits.write, &mut subject.limits.whole] {
            grant.time = Duration::from_secs(20);
        }
        subject.limits.init.time = Duration::from_secs(60);
        subject.limits.fuel_burst = 1 << 50;
        subject.limits.time_burst = Duration::from_secs(3_600);
        let run = || match self.check {
            Check::Alone(check) => check(&subject),
            Check::Random(check) => check(&subject, options.runs),
            Check::Served(check, readers) => served::run(|| check(&subject, readers)),
        };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
            Err(Failure::new("the case runs to its end", text))
        })
    }
}

/// The result of one case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseReport {
    /// The case's name.
    pub name: &'static str,
    /// True if the guest keeps the rule.
    pub is_passed: bool,
    /// The violation, if any.
    pub failure: Option<Failure>,
}

/// The results of all cases.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The cases that ran, in order.
    pub cases: Vec<CaseReport>,
}

impl Report {
    /// True if some case ran and none failed.
    pub fn is_passed(&self) -> bool {
        !self.cases.is_empty() && self.failed() == 0
    }

    /// The number of failed cases.
    pub fn failed(&self) -> usize {
        self.cases.iter().filter(|case| !case.is_passed).count()
    }
}

/// Runs the cases over a guest and reports each as it ends. Takes seconds for a compiled guest, a minute for one with
/// an interpreter. Starts threads, which end before it returns.
pub fn check(subject: &Subject, options: &Options, on_case: &mut dyn FnMut(&CaseReport)) -> Report {
    let is_asked = |case: &&Case| options.only.is_empty() || options.only.iter().any(|own| case.name.starts_with(own));
    let mut report = Report { cases: Vec::new() };
    for case in CASES.iter().filter(is_asked) {
        let failure = case.run(subject, options).err();
        report.cases.push(CaseReport { name: case.name, is_passed: failure.is_none(), failure });
        report.cases.last().into_iter().for_each(&mut *on_case);
    }
    report
}
