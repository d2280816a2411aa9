//! One instance of a guest compared with a naive model, call by call.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display},
};

use innkeeper_core::{Claim, Key, Limits, Outcome, PartialKey, Role, SCALAR_END, SessionId, SessionInfo, Solo};

use crate::{
    failure::{Failure, unexpected},
    model::Numbers,
    subject::Subject,
};

/// A key by small numbers: the partial key's, and the id's. The same number is another id under another partial key,
/// except below [`SHARED_IDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) partial: u32,
    pub(crate) id: u32,
}

/// Ids that every partial key has, so that a guest must compare both parts of a key.
const SHARED_IDS: u32 = 4;

pub(crate) const fn name(partial: u32, id: u32) -> Name {
    Name { partial, id }
}

impl Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}/k{}", self.partial, self.id)
    }
}

impl Name {
    /// Fingerprints like those of a real cache: any number from 1 to 2^53 - 1. The largest one is among them.
    pub(crate) fn key(self) -> Key {
        let of = if self.id < SHARED_IDS { 0 } else { u64::from(self.partial) << 32 };
        Key { partial: partial_key(self.partial), id: SessionId(fingerprint(1 << 62 | of | u64::from(self.id))) }
    }
}

pub(crate) fn partial_key(partial: u32) -> PartialKey {
    PartialKey(if partial == 0 { SCALAR_END - 1 } else { fingerprint(u64::from(partial)) })
}

fn fingerprint(number: u64) -> u64 {
    Numbers(number).below(SCALAR_END).max(1)
}

/// The number below the first session's, so that no number is small.
const SESSION_BASE: u64 = SCALAR_END >> 1;

fn session_text(number: u64) -> String {
    match number.checked_sub(SESSION_BASE) {
        Some(count) if count <= SESSION_BASE >> 1 => format!("s{count}"),
        _ => format!("the number {number}, which is no session"),
    }
}

fn claim_text(claim: &Claim) -> String {
    session_text(claim.0)
}

fn answer_text(answer: &Option<Claim>) -> String {
    answer.as_ref().map_or_else(|| "none".into(), claim_text)
}

fn list_text(claims: &[Claim]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<String> = claims.iter().take(SHOWN).map(claim_text).collect();
    let rest = claims.len().saturating_sub(SHOWN);
    let more = if rest > 0 { format!(", and {rest} more") } else { String::new() };
    format!("[{}{more}]", shown.join(", "))
}

/// One step of a play.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// Registers a new session.
    Update(Name),
    /// Deletes a key.
    Delete(Name),
    /// Takes a session: the vault removes it, then the guest answers a lookup, then it gets a `delete`.
    Take(Name),
    Lookup(Name),
    Select(u32),
    Size,
    Fold,
    /// So many milliseconds pass.
    Pass(u32),
}

/// A session in the model's vault.
#[derive(Clone, Copy)]
struct Live {
    session: u64,
    info: SessionInfo,
}

/// The model of the vault.
#[derive(Default)]
struct Model {
    live: BTreeMap<Name, Live>,
    /// The oldest first: each session's number is above those before it.
    by_session: BTreeMap<u64, Name>,
}

impl Model {
    fn insert(&mut self, name: Name, session: u64, info: SessionInfo) {
        self.live.insert(name, Live { session, info });
        self.by_session.insert(session, name);
    }

    fn remove(&mut self, name: Name) -> Option<Live> {
        let live = self.live.remove(&name)?;
        self.by_session.remove(&live.session);
        Some(live)
    }

    fn of_partial(&self, partial: u32) -> BTreeSet<u64> {
        let all = self.live.range(name(partial, 0)..=name(partial, u32::MAX));
        all.map(|(_, live)| live.session).collect()
    }
}

/// The fewest sessions that a select must return, where the vault has as many.
const SELECTED_LEAST: usize = 256;

/// The most calls that a play remembers.
const LINES_MAX: usize = 10_000;

/// The most calls that a failure shows.
const CALLS_SHOWN: usize = 40;

/// The most log lines that a failed call shows.
const LOG_LINES_SHOWN: usize = 12;

/// A guest's instance beside its model.
pub(crate) struct Play<'a> {
    subject: &'a Subject,
    limits: Limits,
    pub(crate) solo: Solo,
    model: Model,
    now_ms: u64,
    sessions: u64,
    /// True once time has passed: a guest may then have forgotten sessions without evicting them yet.
    has_passed: bool,
    /// The last calls with their answers, and how many came before them.
    lines: Vec<String>,
    lines_before: usize,
    /// The most fuel that one call has burned: lookups, selects, sizes; updates, deletes; folds.
    pub(crate) fuel_max: [u64; 3],
    /// All evictions of updates.
    pub(crate) evicted: u64,
    /// The calls that a failure shows.
    pub(crate) calls_shown: usize,
}

impl<'a> Play<'a> {
    /// Opens a cache for so many sessions.
    pub(crate) fn open(subject: &'a Subject, sessions_max: u32) -> Result<Self, Failure> {
        Self::open_as(subject, sessions_max, Role::Server)
    }

    pub(crate) fn open_as(subject: &'a Subject, sessions_max: u32, role: Role) -> Result<Self, Failure> {
        let mut limits = subject.limits.clone();
        limits.sessions = sessions_max;
        let now_ms = 1_000_000;
        let call = format!("init({}, at most {sessions_max} sessions)", role.name());
        let (solo, fuel) = Solo::open(&*subject.guest, &limits, role, subject.properties.clone(), now_ms)
            .map_err(|unopened| Failure { calls: vec![call.clone()], ..unexpected("the cache opens", &unopened) })?;
        let mut play = Self {
            subject,
            limits,
            solo,
            model: Model::default(),
            now_ms,
            sessions: 0,
            has_passed: false,
            lines: Vec::new(),
            lines_before: 0,
            fuel_max: [0; 3],
            evicted: 0,
            calls_shown: CALLS_SHOWN,
        };
        play.note(call, "ok", fuel);
        Ok(play)
    }

    pub(crate) fn len(&self) -> usize {
        self.model.live.len()
    }

    /// The calls so far with their answers: all of them, where there are few.
    pub(crate) fn lines(&self) -> &[String] {
        &self.lines
    }

    fn note(&mut self, call: impl Display, answer: impl Display, fuel: u64) {
        if let Some(trace) = self.subject.trace {
            trace(&format!("{call} -> {answer}    {fuel} fuel"));
            self.take_log(usize::MAX).iter().for_each(|line| trace(line));
        }
        if self.lines.len() >= LINES_MAX {
            self.lines_before += LINES_MAX / 2;
            self.lines.drain(..LINES_MAX / 2);
        }
        self.lines.push(format!("{call} -> {answer}"));
    }

    /// Adds a line to the calls, and passes it to the trace.
    fn say(&mut self, line: String) {
        if let Some(trace) = self.subject.trace {
            trace(&line);
        }
        self.lines.push(line);
    }

    /// The last lines that the guest has logged.
    fn take_log(&mut self, lines_max: usize) -> Vec<String> {
        let log = self.solo.take_log();
        let lines = log.iter().flat_map(|(level, message)| message.lines().map(move |line| (level.name(), line)));
        let lines: Vec<String> = lines.map(|(level, line)| format!("    log {level}: {line}")).collect();
        let rest = lines.len().saturating_sub(lines_max);
        lines[rest..].to_vec()
    }

    /// Runs a step without the model. A failure shows the calls before it and the guest's log.
    pub(crate) fn besides<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T, Failure>) -> Result<T, Failure> {
        act(self).map_err(|failure| {
            self.take_log(LOG_LINES_SHOWN).into_iter().for_each(|line| self.say(line));
            if failure.calls.is_empty() { self.with_calls(failure) } else { failure }
        })
    }

    /// Closes the cache.
    pub(crate) fn terminate(&mut self) -> Result<(), Failure> {
        let outcome = self.solo.terminate();
        let done = self.answered("terminate()".into(), 2, outcome, |()| "ok".into());
        done.map_err(|failure| self.with_calls(failure))
    }

    /// Adds the calls that led to a failure.
    pub(crate) fn with_calls(&self, failure: Failure) -> Failure {
        let rest = self.lines.len().saturating_sub(self.calls_shown);
        let before = rest + self.lines_before;
        let before = (before > 0).then(|| format!("... {before} calls before ..."));
        let calls = before.into_iter().chain(self.lines[rest..].iter().cloned()).collect();
        Failure { calls, ..failure }
    }

    /// Runs steps in order.
    pub(crate) fn run(&mut self, ops: impl IntoIterator<Item = Op>) -> Result<(), Failure> {
        ops.into_iter().try_for_each(|op| self.step(op)).map_err(|failure| self.with_calls(failure))
    }

    /// Runs one step, and compares the answer with the model.
    fn step(&mut self, op: Op) -> Result<(), Failure> {
        match op {
            Op::Update(name) => self.update(name),
            Op::Delete(name) => {
                self.forget(name);
                self.delete(name)
            }
            Op::Take(name) => self.take(name),
            Op::Lookup(name) => {
                let expected = self.model.live.get(&name).map(|live| live.session);
                self.lookup(name, expected)
            }
            Op::Select(partial) => self.select(partial).map(drop),
            Op::Size => self.size(),
            Op::Fold => self.fold(),
            Op::Pass(ms) => {
                self.has_passed = true;
                self.now_ms += u64::from(ms);
                self.solo.set_now_ms(self.now_ms);
                self.say(format!("{ms} ms pass"));
                Ok(())
            }
        }
    }

    /// Removes a session from the vault, unknown to the guest.
    pub(crate) fn forget(&mut self, name: Name) {
        if let Some(live) = self.model.remove(name) {
            self.solo.set_info(live.session, None);
        }
    }

    /// Records a call and returns its answer. A fault fails the case.
    fn answered<T>(
        &mut self,
        call: String,
        kind: usize,
        outcome: Outcome<T>,
        text: impl FnOnce(&T) -> String,
    ) -> Result<T, Failure> {
        let Outcome { answer, fuel, evicted } = outcome;
        self.fuel_max[kind] = self.fuel_max[kind].max(fuel);
        let evicts = match evicted.as_slice() {
            [] => String::new(),
            evicted => format!(", evicts {}", list_text(evicted)),
        };
        match &answer {
            Ok(answer) => self.note(call, format_args!("{}{evicts}", text(answer)), fuel),
            Err(fault) => {
                // The guest's log before the fault, and its backtrace.
                let log = self.take_log(LOG_LINES_SHOWN);
                self.note(call, fault, fuel);
                log.into_iter().for_each(|line| self.say(line));
            }
        }
        let answer = answer.map_err(|fault| unexpected("the call returns", &fault))?;
        self.settle_evictions(&evicted)?;
        Ok(answer)
    }

    fn settle_evictions(&mut self, evicted: &[Claim]) -> Result<(), Failure> {
        for claim in evicted {
            let count = claim.0.wrapping_sub(SESSION_BASE);
            if count == 0 || count > self.sessions {
                return Err(Failure::new("evict names a session that the guest was given", claim_text(claim)));
            }
            if let Some(name) = self.model.by_session.get(&claim.0).copied() {
                self.forget(name);
                self.evicted += 1;
            }
        }
        Ok(())
    }

    fn update(&mut self, name: Name) -> Result<(), Failure> {
        self.sessions += 1;
        let session = SESSION_BASE + self.sessions;
        let lifetime_ms = u64::try_from(self.limits.lifetime.as_millis()).unwrap_or(u64::MAX);
        let expires_ms = self.now_ms.saturating_add(lifetime_ms);
        let info = SessionInfo { stored_bytes: 350, created_ms: self.now_ms, expires_ms };
        self.forget(name);
        self.model.insert(name, session, info);
        self.solo.set_info(session, Some(info));
        let outcome = self.solo.update(name.key(), session);
        self.answered(format!("update({name}, {})", session_text(session)), 1, outcome, |()| "ok".into())?;
        while self.len() > self.limits.sessions as usize {
            // The host's part: the oldest sessions over the maximum go, and the guest gets a `delete` for each.
            let Some((_, oldest)) = self.model.by_session.first_key_value() else { break };
            let oldest = *oldest;
            self.forget(oldest);
            self.delete(oldest)?;
        }
        Ok(())
    }

    fn delete(&mut self, name: Name) -> Result<(), Failure> {
        let outcome = self.solo.delete(name.key());
        self.answered(format!("delete({name})"), 1, outcome, |()| "ok".into())
    }

    fn take(&mut self, name: Name) -> Result<(), Failure> {
        let held = self.model.live.get(&name).map(|live| live.session);
        self.forget(name);
        self.lookup(name, held)?;
        self.delete(name)
    }

    fn lookup(&mut self, name: Name, expected: Option<u64>) -> Result<(), Failure> {
        let outcome = self.solo.lookup(name.key());
        let answer = self.answered(format!("lookup({name})"), 0, outcome, answer_text)?;
        let is_right = answer.map(|claim| claim.0) == expected;
        if is_right || self.has_passed && answer.is_none() {
            return Ok(());
        }
        let expected = answer_text(&expected.map(Claim));
        Err(Failure::new(format!("lookup({name}) gives {expected}"), answer_text(&answer)))
    }

    fn select(&mut self, partial: u32) -> Result<Vec<Claim>, Failure> {
        let outcome = self.solo.select_session(partial_key(partial));
        let answer = self.answered(format!("select-session(p{partial})"), 0, outcome, |claims| list_text(claims))?;
        let live = self.model.of_partial(partial);
        let given: BTreeSet<u64> = answer.iter().map(|claim| claim.0).collect();
        let least = if self.has_passed { 0 } else { live.len().min(SELECTED_LEAST) };
        if given.len() == answer.len() && given.is_subset(&live) && given.len() >= least {
            return Ok(answer);
        }
        let live: Vec<Claim> = live.into_iter().map(Claim).collect();
        let enough = if live.len() > SELECTED_LEAST { " (256 of them at least)" } else { "" };
        let expected =
            format!("select-session(p{partial}) gives {}{enough} in some order, each once", list_text(&live));
        Err(Failure::new(expected, list_text(&answer)))
    }

    /// Selects twice: the same answer in the same order.
    pub(crate) fn select_is_stable(&mut self, partial: u32) -> Result<(), Failure> {
        let selected = self.select(partial).and_then(|first| Ok((first, self.select(partial)?)));
        let (first, second) = selected.map_err(|failure| self.with_calls(failure))?;
        if first == second {
            return Ok(());
        }
        let expected = format!("select-session gives {} again", list_text(&first));
        Err(self.with_calls(Failure::new(expected, list_text(&second))))
    }

    fn size(&mut self) -> Result<(), Failure> {
        let outcome = self.solo.size();
        let size = self.answered("size()".into(), 0, outcome, u64::to_string)?;
        let live = self.len() as u64;
        if size == live || self.has_passed {
            return Ok(());
        }
        Err(Failure::new(format!("size() gives {live}"), size.to_string()))
    }

    fn fold(&mut self) -> Result<(), Failure> {
        let outcome = self.solo.foldl();
        let text = |shown: &Option<Vec<_>>| match shown {
            Some(elements) => format!("{} elements", elements.len()),
            None => "another accumulator than the last".into(),
        };
        let shown = self.answered("foldl(acc0)".into(), 2, outcome, text)?;
        let last = "foldl gives back the last accumulator, or acc0 where there is no session";
        let shown = shown.ok_or_else(|| Failure::new(last, "another one"))?;
        let mut seen = BTreeSet::new();
        for element in &shown {
            let name = self.model.by_session.get(&element.session.0);
            let is_right = name.is_some_and(|name| name.key() == element.key);
            if !is_right || !seen.insert(element.session.0) {
                let expected = "foldl shows each live session once, under its own key";
                let what = if is_right { "twice" } else { "which is dead, or under another key" };
                return Err(Failure::new(expected, format!("{}, {what}", claim_text(&element.session))));
            }
        }
        if seen.len() == self.len() || self.has_passed {
            return Ok(());
        }
        Err(Failure::new(format!("foldl shows {} sessions", self.len()), seen.len().to_string()))
    }

    /// Asks for everything in the model.
    pub(crate) fn verify(&mut self) -> Result<(), Failure> {
        let names: Vec<Name> = self.model.live.keys().copied().collect();
        let partials: BTreeSet<u32> = names.iter().map(|name| name.partial).collect();
        let lookups = names.into_iter().map(Op::Lookup);
        self.run(lookups.chain(partials.into_iter().map(Op::Select)).chain([Op::Size, Op::Fold]))
    }

    /// Builds another instance as the host does after a fault, and continues with it: each live session by `update`,
    /// oldest first.
    pub(crate) fn rebuild(&mut self) -> Result<(), Failure> {
        let properties = self.subject.properties.clone();
        let opened = Solo::open(&*self.subject.guest, &self.limits, Role::Server, properties, self.now_ms);
        let (solo, fuel) = opened.map_err(|fault| self.with_calls(unexpected("another instance opens", &fault)))?;
        self.solo = solo;
        self.note("a new instance: init", "ok", fuel);
        let names: Vec<Name> = self.model.by_session.values().copied().collect();
        for name in names {
            let Some(Live { session, info, .. }) = self.model.live.get(&name).copied() else { continue };
            self.solo.set_info(session, Some(info));
            let outcome = self.solo.update(name.key(), session);
            let evicts = !outcome.evicted.is_empty() && !self.has_passed;
            let call = format!("update({name}, {})", session_text(session));
            let done = self.answered(call, 1, outcome, |()| "ok".into());
            let expected = "a replay of live sessions, no more than the maximum, evicts none";
            let kept = if evicts { Err(Failure::new(expected, "it does")) } else { Ok(()) };
            done.and(kept).map_err(|failure| self.with_calls(failure))?;
        }
        Ok(())
    }
}
