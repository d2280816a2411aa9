//! One instance of a guest, alone: for tools that check what a guest answers and what a call costs.
//!
//! No vault, no owner thread, no budget: the caller chooses the keys and the numbers, and sees what came back before
//! anything has judged it. A double stands for the host; it knows every session that it was told of, and writes down what
//! the guest logs.

use std::{collections::HashMap, fmt, sync::Arc};

use crate::{
    Acc, CacheRef, Call, Callback, Callbacks, Claim, Element, Fault, FoldFun, Guest, Host, InitArgs, Key, Level,
    Limits, PartialKey, Property, Role, Session, SessionInfo, log_line, sync::Mutex,
};

/// What one call came to.
#[derive(Debug)]
pub struct Outcome<T> {
    /// What the guest answered, or how it failed.
    pub answer: Result<T, Fault>,
    /// What it burned. Nothing where nothing is metered.
    pub fuel: u64,
    /// What it asked the vault to forget, in order.
    pub evicted: Vec<Claim>,
}

/// A cache that did not open.
#[derive(Debug)]
pub struct Unopened {
    /// How the instance or `init` failed.
    pub fault: Fault,
    /// What the guest logged before, a thousand lines at most.
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

/// What is shown of a log line at most.
const LOG_LINE_BYTES: usize = 1 << 10;

/// What the double of the host knows.
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
    callbacks: Box<dyn Callbacks>,
    /// What `init` returned, each time.
    caches: Vec<CacheRef>,
    asked: usize,
    limits: Limits,
    double: Arc<Double>,
    folds: u64,
}

impl Solo {
    /// Makes an instance and opens a cache in it, under the limits of a real one, at `now_ms`. Gives the fuel that both
    /// burned besides.
    ///
    /// # Errors
    /// How the instance or `init` failed, and what the guest said.
    pub fn open(
        guest: &dyn Guest,
        limits: &Limits,
        role: Role,
        properties: Vec<Property>,
        now_ms: u64,
    ) -> Result<(Self, u64), Unopened> {
        let double = Arc::new(Double::default());
        double.0.lock().now_ms = now_ms;
        let host: Arc<dyn Host> = Arc::clone(&double) as Arc<dyn Host>;
        let opened = guest.instantiate(host, limits).and_then(|callbacks| {
            let (caches, double) = (Vec::new(), Arc::clone(&double));
            let mut solo = Self { callbacks, caches, asked: 0, limits: limits.clone(), double, folds: 0 };
            let fuel = solo.open_another(role, properties)?;
            Ok((solo, fuel))
        });
        opened.map_err(|fault| Unopened { fault, log: std::mem::take(&mut double.0.lock().log) })
    }

    /// Opens one more cache in the same instance, and asks it from now on. Gives the fuel that `init` burned.
    ///
    /// # Errors
    /// How `init` failed.
    pub fn open_another(&mut self, role: Role, properties: Vec<Property>) -> Result<u64, Fault> {
        let lifetime_ms = u64::try_from(self.limits.lifetime.as_millis()).unwrap_or(u64::MAX);
        let args = InitArgs { role, sessions_max: self.limits.sessions, lifetime_ms, properties };
        let mut call = Call::new(Callback::Init, 0);
        self.caches.push(self.callbacks.init(&mut call, &args)?);
        self.asked = self.caches.len() - 1;
        Ok(call.fuel)
    }

    /// Asks another of the caches from now on: the first is 0.
    ///
    /// # Panics
    /// When fewer have been opened.
    pub fn ask(&mut self, cache: usize) {
        assert!(cache < self.caches.len(), "there are {} caches", self.caches.len());
        self.asked = cache;
    }

    /// The instance's memory in bytes, where it has one of its own.
    pub fn memory_bytes(&self) -> Option<usize> {
        self.callbacks.memory_bytes()
    }

    /// Sets the host's clock. It must not go back.
    pub fn set_now_ms(&mut self, now_ms: u64) {
        self.double.0.lock().now_ms = now_ms;
    }

    /// What the host tells of a session from now on: none means that it is dead.
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
        self.call(Callback::Update, |callbacks, call, cache| callbacks.update(call, cache, key, Session(session)))
    }

    /// Forgets a key.
    pub fn delete(&mut self, key: Key) -> Outcome<()> {
        self.call(Callback::Delete, |callbacks, call, cache| callbacks.delete(call, cache, key))
    }

    /// Asks for the session under a key.
    pub fn lookup(&mut self, key: Key) -> Outcome<Option<Claim>> {
        self.call(Callback::Lookup, |callbacks, call, cache| callbacks.lookup(call, cache, key))
    }

    /// Asks for the sessions of a partial key.
    pub fn select_session(&mut self, partial: PartialKey) -> Outcome<Vec<Claim>> {
        self.call(Callback::SelectSession, |callbacks, call, cache| callbacks.select_session(call, cache, partial))
    }

    /// Asks how many sessions there are.
    pub fn size(&mut self) -> Outcome<u64> {
        self.call(Callback::Size, |callbacks, call, cache| callbacks.size(call, cache))
    }

    /// Folds: the elements in the order in which the guest showed them, or none where it did not give back the last
    /// accumulator.
    pub fn foldl(&mut self) -> Outcome<Option<Vec<Element>>> {
        self.folds += 1;
        // Tokens of a fold are unlike those of another, as in a cache.
        let (fun, acc) = (FoldFun(self.folds), Acc(self.folds << 28));
        let mut call = Call::fold(self.limits.sessions_named(), fun, acc);
        let last = self.callbacks.foldl(&mut call, fun, acc, self.caches[self.asked]);
        let fuel = call.fuel;
        Outcome { answer: last.map(|last| call.into_elements(last)), fuel, evicted: Vec::new() }
    }

    /// Closes the cache that is asked. The instance is of no more use once each is closed.
    pub fn terminate(&mut self) -> Outcome<()> {
        self.call(Callback::Terminate, |callbacks, call, cache| callbacks.terminate(call, cache))
    }

    fn call<T>(
        &mut self,
        callback: Callback,
        ask: impl FnOnce(&mut dyn Callbacks, &mut Call, CacheRef) -> Result<T, Fault>,
    ) -> Outcome<T> {
        let mut call = Call::new(callback, self.limits.sessions_named());
        let answer = ask(self.callbacks.as_mut(), &mut call, self.caches[self.asked]);
        Outcome { answer, fuel: call.fuel, evicted: call.into_evictions() }
    }
}
