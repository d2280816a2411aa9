//! An upgrade under way: candidates are given every session by replay, and then asked by a canary.
//!
//! Until the exchange nothing that the new guest does has an effect on sessions: its evictions are noted, and its
//! answers judged against the sessions that it has been given.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use crate::{
    cache::{cache::Cache, inbox::UpgradeReport},
    contract::{
        callback::Callback,
        callbacks::Guest,
        error::UpgradeError,
        fault::Fault,
        scalar::{Acc, Claim, FoldFun, Key, PartialKey, Session, SessionId},
    },
    guest::{
        budget::Budget,
        instance::{Account, Live, Outcome},
    },
    owner::replay::Replay,
    sync::mpsc::SyncSender,
    vault::secret::Value,
};

/// An upgrade under way.
pub(crate) struct Upgrade {
    guest: Arc<dyn Guest>,
    pub(crate) reply: SyncSender<Result<UpgradeReport, UpgradeError>>,
    begun_ms: u64,
    candidates: Vec<Candidate>,
    /// The evictions of the first candidate.
    evictions: HashSet<Claim>,
    /// An upgrade's own, so that the guest that serves does not pay for it.
    budget: Budget,
    asked: usize,
}

/// An instance of the new guest.
struct Candidate {
    replay: Replay,
    /// The sessions that it has been given and not been told to forget.
    given: HashMap<Key, Session>,
    /// The questions that are left, once everything has been replayed.
    canary: Option<VecDeque<Probe>>,
    /// The number of sessions that it has given.
    found: usize,
}

/// One question of the canary.
enum Probe {
    Lookup(Key, Session),
    Select(PartialKey),
    Size,
    Foldl,
    /// Of a key that nobody has.
    Delete,
}

/// The most sessions that the canary asks for.
const SAMPLE: usize = 64;
/// The most partial keys whose sessions the canary selects.
const SAMPLE_PARTIALS: usize = 4;
/// The most questions in one turn.
const PROBES_MAX: usize = 16;
/// The longest time of an upgrade.
const UPGRADE_MS_MAX: u64 = 60 * 1_000;
fn failed(callback: Callback) -> impl FnOnce(Fault) -> UpgradeError {
    move |source| UpgradeError::Guest { callback, source }
}

impl Upgrade {
    pub(crate) fn new<V: Value>(
        cache: &Cache<V>,
        guest: Arc<dyn Guest>,
        reply: SyncSender<Result<UpgradeReport, UpgradeError>>,
    ) -> Self {
        let begun_ms = cache.state.clock.now_ms();
        let (candidates, evictions) = (Vec::new(), HashSet::new());
        let budget = Budget::new(&cache.state.limits);
        Self { guest, reply, begun_ms, candidates, evictions, budget, asked: 0 }
    }

    /// Refuses an upgrade that has taken too long.
    pub(crate) fn check_time(&self, now_ms: u64) -> Result<(), UpgradeError> {
        match now_ms.saturating_sub(self.begun_ms) > UPGRADE_MS_MAX {
            true => Err(UpgradeError::TooSlow { limit_ms: UPGRADE_MS_MAX }),
            false => Ok(()),
        }
    }

    /// The time at which the upgrade may go on, if it has burned its budget; or of its end, if that is sooner.
    pub(crate) fn overdrawn_until(&self, now_ms: u64) -> Option<u64> {
        let end_ms = self.begun_ms.saturating_add(UPGRADE_MS_MAX + 1);
        self.budget.overdrawn_until(now_ms).map(|until_ms| until_ms.min(end_ms))
    }

    /// Does the next part. True when every candidate has passed the canary and has everything. Gives its time on a core
    /// besides.
    pub(crate) fn go_on<V: Value>(&mut self, cache: &Cache<V>) -> (Result<bool, UpgradeError>, u64) {
        let clock = &cache.state.clock;
        let (now_ms, from_ns) = (clock.now_ms(), clock.thread_ns());
        let gone_on = self.next_part(cache);
        let took_ns = clock.thread_ns().saturating_sub(from_ns);
        self.budget.pay_time(now_ms, took_ns);
        (gone_on, took_ns)
    }

    fn next_part<V: Value>(&mut self, cache: &Cache<V>) -> Result<bool, UpgradeError> {
        for number in 0..self.candidates.len() {
            let Self { candidates, evictions, budget, .. } = &mut *self;
            let Candidate { replay, given, .. } = &mut candidates[number];
            let note = |key, session, evicted: Vec<Claim>| {
                given.insert(key, session);
                if number == 0 {
                    evictions.extend(evicted);
                }
            };
            // The few sessions that have come since the last turn hold nothing up.
            let is_level = replay.some(cache, budget, note).map_err(failed(Callback::Update))?;
            self.bound_evictions(cache)?;
            if !is_level {
                return Ok(false);
            }
        }
        let is_unproven = |candidate: &Candidate| candidate.canary.as_ref().is_none_or(|canary| !canary.is_empty());
        if let Some(number) = self.candidates.iter().position(is_unproven) {
            return self.ask_canary(cache, number).map(|()| false);
        }
        let (found, asked) = (self.found(), self.asked);
        if found * 2 < asked {
            return Err(UpgradeError::Forgets { found, asked });
        }
        if self.candidates.len() == cache.seats.len() {
            return Ok(true);
        }
        let live = cache.start(&self.budget, &*self.guest).map_err(failed(Callback::Init))?;
        let (given, canary) = (HashMap::new(), None);
        self.candidates.push(Candidate { replay: Replay::new(cache, live), given, canary, found: 0 });
        Ok(false)
    }

    /// Drops evictions of sessions that have gone. An upgrade that evicts most of the others does harm.
    fn bound_evictions<V: Value>(&mut self, cache: &Cache<V>) -> Result<(), UpgradeError> {
        let vault = cache.state.vault.read();
        self.evictions.retain(|claim| vault.held(*claim, 0).is_some());
        match self.evictions.len() * 2 > vault.len() {
            true => Err(UpgradeError::Evicts { evicted: self.evictions.len(), sessions: vault.len() }),
            false => Ok(()),
        }
    }

    fn ask_canary<V: Value>(&mut self, cache: &Cache<V>, number: usize) -> Result<(), UpgradeError> {
        let Self { candidates, evictions, asked, budget, .. } = self;
        let (candidate, account) = (&mut candidates[number], cache.unseated(budget));
        let mut canary = candidate.canary.take().unwrap_or_else(|| candidate.questions(evictions));
        for _ in 0..PROBES_MAX {
            match canary.pop_front() {
                None => break,
                Some(Probe::Lookup(key, session)) if candidate.given.get(&key) == Some(&session) => {
                    *asked += 1;
                    candidate.found += usize::from(candidate.lookup(account, key, session)?);
                }
                Some(Probe::Lookup(..)) => {}
                Some(Probe::Select(partial)) => candidate.select(account, partial)?,
                Some(Probe::Size) => candidate.size(account)?,
                Some(Probe::Foldl) => {
                    let (fun, acc) = cache.fold_tokens();
                    candidate.foldl(account, fun, acc)?;
                }
                Some(Probe::Delete) => {
                    let nobodys = Key { partial: PartialKey(0), id: SessionId(0) };
                    candidate.delete(account, nobodys)?;
                }
            }
        }
        candidate.canary = Some(canary);
        Ok(())
    }

    /// Gives the candidates a session that was registered meanwhile.
    pub(crate) fn give(&mut self, key: Key, session: Session) {
        self.candidates.iter_mut().for_each(|candidate| candidate.replay.queue.push_back((key, session)));
    }

    /// Has the candidates forget a key.
    ///
    /// # Errors
    /// The failure of one, which ends the upgrade.
    pub(crate) fn delete<V: Value>(&mut self, cache: &Cache<V>, key: Key) -> Result<(), UpgradeError> {
        for (number, candidate) in self.candidates.iter_mut().enumerate() {
            let evicted = candidate.delete(cache.unseated(&self.budget), key)?;
            if number == 0 {
                self.evictions.extend(evicted);
            }
        }
        self.bound_evictions(cache)
    }

    fn found(&self) -> usize {
        self.candidates.iter().map(|candidate| candidate.found).sum()
    }

    /// Ends the upgrade with everything that the exchange needs.
    ///
    /// # Errors
    /// As [`Upgrade::go_on`], for the evictions.
    pub(crate) fn finish<V: Value>(mut self, cache: &Cache<V>) -> Result<Finished, UpgradeError> {
        self.bound_evictions(cache)?;
        let found = self.found();
        let Self { guest, candidates, evictions, asked, begun_ms, .. } = self;
        let lives = candidates.into_iter().map(|candidate| candidate.replay.live).collect();
        Ok(Finished { guest, lives, evictions: evictions.into_iter().collect(), asked, found, begun_ms })
    }
}

/// An upgrade whose candidates may be seated.
pub(crate) struct Finished {
    pub(crate) guest: Arc<dyn Guest>,
    pub(crate) lives: Vec<Live>,
    pub(crate) evictions: Vec<Claim>,
    pub(crate) asked: usize,
    pub(crate) found: usize,
    pub(crate) begun_ms: u64,
}

impl Candidate {
    /// Asks for a session. False if the candidate does not give it.
    fn lookup(&mut self, account: Account<'_>, key: Key, session: Session) -> Result<bool, UpgradeError> {
        let claim = self.replay.live.lookup(account, key).answer.map_err(failed(Callback::Lookup))?;
        match claim {
            Some(claim) if claim != session.into() => Err(UpgradeError::FalseClaim { callback: Callback::Lookup }),
            claim => Ok(claim.is_some()),
        }
    }

    fn select(&mut self, account: Account<'_>, partial: PartialKey) -> Result<(), UpgradeError> {
        let claims = self.replay.live.select_session(account, partial).answer;
        let claims = claims.map_err(failed(Callback::SelectSession))?;
        let of_partial = self.given.iter().filter(|(key, _)| key.partial == partial);
        let mut right: HashSet<Claim> = of_partial.map(|(_, session)| (*session).into()).collect();
        // Each once.
        match claims.iter().all(|claim| right.remove(claim)) {
            true => Ok(()),
            false => Err(UpgradeError::FalseClaim { callback: Callback::SelectSession }),
        }
    }

    fn size(&mut self, account: Account<'_>) -> Result<(), UpgradeError> {
        let size = self.replay.live.size(account).answer.map_err(failed(Callback::Size))?;
        let is_possible = size <= self.given.len() as u64 && (size > 0 || self.found == 0);
        if is_possible { Ok(()) } else { Err(UpgradeError::FalseClaim { callback: Callback::Size }) }
    }

    fn foldl(&mut self, account: Account<'_>, fun: FoldFun, acc: Acc) -> Result<(), UpgradeError> {
        let elements = self.replay.live.foldl(account, fun, acc).answer.map_err(failed(Callback::Foldl))?;
        let mut seen = HashSet::new();
        let is_right = elements.is_some_and(|elements| {
            elements.into_iter().all(|element| {
                let session = self.given.get(&element.key).copied();
                session.map(Claim::from) == Some(element.session) && seen.insert(element.key)
            })
        });
        if is_right { Ok(()) } else { Err(UpgradeError::FalseClaim { callback: Callback::Foldl }) }
    }

    /// Forgets a key, and gives the evictions.
    fn delete(&mut self, account: Account<'_>, key: Key) -> Result<Vec<Claim>, UpgradeError> {
        self.given.remove(&key);
        self.replay.forget(key);
        let Outcome { answer, evicted, .. } = self.replay.live.delete(account, key);
        answer.map(|()| evicted).map_err(failed(Callback::Delete))
    }

    /// The questions of the canary: a sample of the sessions that were given and not evicted, and each other callback.
    fn questions(&self, evictions: &HashSet<Claim>) -> VecDeque<Probe> {
        let kept = |session: &Session| !evictions.contains(&Claim::from(*session));
        let mut sessions: Vec<(Key, Session)> = self.given.iter().map(|(key, session)| (*key, *session)).collect();
        sessions.retain(|(_, session)| kept(session));
        // By number, so that old and new ones are in the sample.
        sessions.sort_unstable_by_key(|(_, session)| session.number());
        let step = sessions.len().div_ceil(SAMPLE).max(1);
        let sample: Vec<(Key, Session)> = sessions.into_iter().step_by(step).collect();
        let partials: HashSet<PartialKey> = sample.iter().map(|(key, _)| key.partial).collect();
        let lookups = sample.into_iter().map(|(key, session)| Probe::Lookup(key, session));
        let selects = partials.into_iter().take(SAMPLE_PARTIALS).map(Probe::Select);
        lookups.chain(selects).chain([Probe::Size, Probe::Foldl, Probe::Delete]).collect()
    }
}
