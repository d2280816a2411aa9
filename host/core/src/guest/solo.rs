//! One instance of a guest, alone: for tools that check what a guest answers and what a call costs.
//!
//! No vault, no owner thread, no budget: the caller chooses the keys and the numbers, and sees what came back before
//! anything has judged it. A double stands for the host; it knows every session that it was told of, and writes down
//! what the guest logs.

use std::{collections::HashMap, fmt, sync::Arc};

use crate::{
    clock::Clock,
    contract::{
        callbacks::{Guest, Host},
        fault::Fault,
        limits::Limits,
        scalar::{
            Acc, CacheRef, Claim, Element, FoldFun, InitArgs, Key, Level, PartialKey, Property, Role, Session,
            SessionInfo,
        },
        text::log_line,
    },
    guest::{
        budget::Budget,
        instance::{Account, Live, Payer},
        meter::CallCounts,
    },
    sync::Mutex,
};

pub use crate::guest::instance::Outcome;

/// A cache that did not open.
#[derive(Debug)]
pub struct Unopened {
    /// The fault of the instance or of `init`.
    pub fault: Fault,
    /// The log of the guest until then, a thousand lines at most.
    pub log: Vec<(Level, String)>,
}

impl fmt::Display for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fault)?;
        let lines = self.log.iter().flat_map(|(level, message)| message.lines().map(move |line| (level, line)));
        for (level, line) in lines {
            write!(f, "\n    log {}: {}", level.name(), log_line(line, LOG_LINE_BYTES))?;
        }
        Ok(())
    }
}

impl std::error::Error for Unopened {}

/// The most bytes of a log line that are shown.
const LOG_LINE_BYTES: usize = 1 << 10;

/// The double's knowledge.
#[derive(Default)]
struct Told {
    now_ms: u64,
    sessions: HashMap<u64, SessionInfo>,
    log: Vec<(Level, String)>,
}

/// The double of the host.
#[derive(Default)]
struct Double(Mutex<Told>);

/// Log lines kept at most.
const LOG_LINES_MAX: usize = 1_000;

impl Host for Double {
    fn describe(&self, claim: Claim) -> Option<SessionInfo> {
        self.0.lock().sessions.get(&claim.0).copied()
    }

    fn now_ms(&self) -> u64 {
        self.0.lock().now_ms
    }

    fn log(&self, level: Level, message: &str) {
        let mut told = self.0.lock();
        if told.log.len() < LOG_LINES_MAX {
            told.log.push((level, message.to_owned()));
        }
    }
}

/// One instance of a guest with an open cache, or with several, of which one is asked at a time.
pub struct Solo {
    live: Live,
    /// The answers of `init`, in order.
    caches: Vec<CacheRef>,
    limits: Limits,
    clock: Clock,
    counts: CallCounts,
    double: Arc<Double>,
    folds: u64,
}

/// The account of a call that nobody pays for. A macro, since the account borrows fields beside the instance.
macro_rules! account {
    ($solo:expr) => {
        Account { limits: &$solo.limits, clock: &$solo.clock, counts: &$solo.counts, payer: Payer::Nobody }
    };
}

impl Solo {
    /// Makes an instance and opens a cache in it, under the limits of a real one, at `now_ms`. Gives the fuel that both
    /// burned besides.
    ///
    /// # Errors
    /// The fault of the instance or of `init`, with the guest's log.
    pub fn open(
        guest: &dyn Guest,
        limits: &Limits,
        role: Role,
        properties: Vec<Property>,
        now_ms: u64,
    ) -> Result<(Self, u64), Unopened> {
        let double = Arc::new(Double::default());
        double.0.lock().now_ms = now_ms;
        let (clock, counts) = (Clock::manual(), CallCounts::default());
        let account = Account { limits, clock: &clock, counts: &counts, payer: Payer::Nobody };
        let args = init_args(limits, role, properties);
        let opened = Live::open(guest, Arc::clone(&double) as _, &args, &Budget::new(limits), account);
        match opened.answer {
            Ok(live) => {
                let (caches, double, limits) = (vec![live.cache()], Arc::clone(&double), limits.clone());
                Ok((Self { live, caches, limits, clock, counts, double, folds: 0 }, opened.fuel))
            }
            Err(fault) => Err(Unopened { fault, log: std::mem::take(&mut double.0.lock().log) }),
        }
    }

    /// Opens one more cache in the same instance, and asks it from now on. Gives the fuel that `init` burned.
    ///
    /// # Errors
    /// The fault of `init`.
    pub fn open_another(&mut self, role: Role, properties: Vec<Property>) -> Result<u64, Fault> {
        let args = init_args(&self.limits, role, properties);
        let Outcome { answer, fuel, .. } = self.live.open_another(&args, account!(self));
        self.caches.push(answer?);
        Ok(fuel)
    }

    /// Asks another of the caches from now on: the first is 0.
    ///
    /// # Panics
    /// If fewer have been opened.
    pub fn ask(&mut self, cache: usize) {
        assert!(cache < self.caches.len(), "there are {} caches", self.caches.len());
        self.live.turn_to(self.caches[cache]);
    }

    /// The instance's memory in bytes, where it has one of its own.
    pub fn memory_bytes(&self) -> Option<usize> {
        self.live.memory_bytes()
    }

    /// Sets the host's clock. It must not go back.
    pub fn set_now_ms(&mut self, now_ms: u64) {
        self.double.0.lock().now_ms = now_ms;
    }

    /// Sets the host's description of a session: none means that it is dead.
    pub fn set_info(&mut self, session: u64, info: Option<SessionInfo>) {
        let mut told = self.double.0.lock();
        match info {
            Some(info) => drop(told.sessions.insert(session, info)),
            None => drop(told.sessions.remove(&session)),
        }
    }

    /// The log lines since the last call, a thousand at most.
    pub fn take_log(&mut self) -> Vec<(Level, String)> {
        std::mem::take(&mut self.double.0.lock().log)
    }

    /// Registers a session.
    pub fn update(&mut self, key: Key, session: u64) -> Outcome<()> {
        self.live.update(account!(self), key, Session(session))
    }

    /// Forgets a key.
    pub fn delete(&mut self, key: Key) -> Outcome<()> {
        self.live.delete(account!(self), key)
    }

    /// Asks for the session under a key.
    pub fn lookup(&mut self, key: Key) -> Outcome<Option<Claim>> {
        self.live.lookup(account!(self), key)
    }

    /// Asks for the sessions of a partial key.
    pub fn select_session(&mut self, partial: PartialKey) -> Outcome<Vec<Claim>> {
        self.live.select_session(account!(self), partial)
    }

    /// Asks for the number of sessions.
    pub fn size(&mut self) -> Outcome<u64> {
        self.live.size(account!(self))
    }

    /// Folds: the elements in the order in which the guest showed them, or none if it did not give back the last
    /// accumulator.
    pub fn foldl(&mut self) -> Outcome<Option<Vec<Element>>> {
        self.folds += 1;
        // Tokens of a fold are unlike those of another, as in a cache.
        self.live.foldl(account!(self), FoldFun(self.folds), Acc(self.folds << 28))
    }

    /// Closes the cache that is asked. The instance is of no more use once each is closed.
    pub fn terminate(&mut self) -> Outcome<()> {
        self.live.terminate(account!(self))
    }
}

fn init_args(limits: &Limits, role: Role, properties: Vec<Property>) -> InitArgs {
    let lifetime_ms = u64::try_from(limits.lifetime.as_millis()).unwrap_or(u64::MAX);
    InitArgs { role, sessions_max: limits.sessions, lifetime_ms, properties }
}
