//! Exchanging a cache's guest while it serves: replay, canary, exchange; and back, on any failure.
//!
//! Owner thread only. Until the exchange nothing that the new guest does has an effect on sessions: its evictions are noted,
//! and its answers judged against what it has been given.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use crate::{
    Budget, Call, Callback, Claim, Fault, Guest, Key, PartialKey, Session, SessionId, UpgradeError, Value,
    breaker::Breaker,
    cache::Cache,
    sync::{atomic::Ordering, mpsc::SyncSender},
    turn::{OwnerSide, Replay},
};

/// What an upgrade has carried over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpgradeReport {
    /// Instances exchanged.
    pub instances: usize,
    /// Sessions in the vault after the exchange: all that were there, but for those evicted.
    pub sessions: usize,
    /// Sessions that the new guest evicted in the replay.
    pub evicted: usize,
    /// Sessions that the canary asked the new guest for, over all instances.
    pub asked: usize,
    /// Those among them that it gave.
    pub found: usize,
    /// From the request to the exchange, in milliseconds on the cache's clock.
    pub took_ms: u64,
}

/// An upgrade under way.
pub(crate) struct Upgrade {
    guest: Arc<dyn Guest>,
    reply: SyncSender<Result<UpgradeReport, UpgradeError>>,
    begun_ms: u64,
    candidates: Vec<Candidate>,
    /// What the first candidate has evicted.
    evictions: HashSet<Claim>,
    /// An upgrade's own, so that what it costs is not taken from the guest that serves.
    budget: Budget,
    asked: usize,
}

/// An instance of the new guest.
struct Candidate {
    replay: Replay,
    /// What it has been given and not been told to forget.
    given: HashMap<Key, Session>,
    /// What it is still to be asked, once everything has been replayed.
    canary: Option<VecDeque<Probe>>,
    /// How many sessions it has given.
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

/// The guest before an upgrade.
pub(crate) struct Previous {
    guest: Arc<dyn Guest>,
    pub(crate) until_ms: u64,
}

/// How many sessions the canary asks for.
const SAMPLE: usize = 64;
/// How many partial keys the canary selects the sessions of.
const SAMPLE_PARTIALS: usize = 4;
/// How many questions are asked in one turn.
const PROBES_MAX: usize = 16;
/// How long an upgrade may take.
const UPGRADE_MS_MAX: u64 = 60 * 1_000;
/// How long a new guest is on probation.
const PROBATION_MS: u64 = 60 * 60 * 1_000;

fn failed(callback: Callback) -> impl FnOnce(Fault) -> UpgradeError {
    move |source| UpgradeError::Guest { callback, source }
}

impl<V: Value> Cache<V> {
    pub(crate) fn begin_upgrade(
        &self,
        side: &mut OwnerSide,
        guest: Arc<dyn Guest>,
        reply: SyncSender<Result<UpgradeReport, UpgradeError>>,
    ) {
        let begun_ms = self.keeper.clock.now_ms();
        let (candidates, evictions) = (Vec::new(), HashSet::new());
        let budget = Budget::new(&self.keeper.limits);
        side.upgrade = Some(Upgrade { guest, reply, begun_ms, candidates, evictions, budget, asked: 0 });
    }

    /// Does the next part of an upgrade. Says whether there is one.
    pub(crate) fn upgrade_step(self: &Arc<Self>, side: &mut OwnerSide) -> bool {
        let now_ms = self.keeper.clock.now_ms();
        let is_late = |upgrade: &Upgrade| now_ms.saturating_sub(upgrade.begun_ms) > UPGRADE_MS_MAX;
        // One that has burned its budget does not wait for longer than it may take.
        let is_due = |upgrade: &mut Upgrade| is_late(upgrade) || upgrade.overdrawn_until(now_ms).is_none();
        let Some(mut upgrade) = side.upgrade.take_if(is_due) else { return false };
        if is_late(&upgrade) {
            self.answer_upgrade(&upgrade.reply, Err(UpgradeError::TooSlow { limit_ms: UPGRADE_MS_MAX }));
            return true;
        }
        let from_ns = self.keeper.clock.thread_ns();
        let gone_on = self.go_on(&mut upgrade);
        let took_ns = self.keeper.clock.thread_ns().saturating_sub(from_ns);
        upgrade.budget.pay_time(now_ms, took_ns);
        self.upgrade_ns.store(took_ns, Ordering::Relaxed);
        match gone_on {
            Ok(false) => side.upgrade = Some(upgrade),
            Ok(true) => {
                let reply = upgrade.reply.clone();
                self.answer_upgrade(&reply, self.exchange(side, upgrade));
            }
            Err(error) => self.answer_upgrade(&upgrade.reply, Err(error)),
        }
        true
    }

    fn answer_upgrade(
        &self,
        reply: &SyncSender<Result<UpgradeReport, UpgradeError>>,
        answer: Result<UpgradeReport, UpgradeError>,
    ) {
        let (tenant, role) = (self.keeper.tenant.as_str(), self.keeper.role.name());
        match &answer {
            Ok(report) => {
                self.keeper.stats.upgrades.add(1);
                let UpgradeReport { sessions, evicted, took_ms, .. } = report;
                tracing::info!(tenant, role, sessions, evicted, took_ms, "upgraded");
            }
            Err(error) => {
                self.keeper.stats.upgrades_refused.add(1);
                tracing::warn!(tenant, role, "not upgraded: {error}");
            }
        }
        // If whoever asked is gone, nobody needs the answer.
        let _ = reply.send(answer);
    }

    /// True when every candidate has passed the canary and has everything.
    fn go_on(&self, upgrade: &mut Upgrade) -> Result<bool, UpgradeError> {
        for number in 0..upgrade.candidates.len() {
            let Upgrade { candidates, evictions, budget, .. } = &mut *upgrade;
            let Candidate { replay, given, .. } = &mut candidates[number];
            let note = |key, session, call: Call| {
                given.insert(key, session);
                if number == 0 {
                    evictions.extend(call.into_evictions());
                }
            };
            // The few sessions that have come since the last turn hold nothing up.
            let is_level = self.replay_some(budget, replay, note).map_err(failed(Callback::Update))?;
            self.bound_evictions(evictions)?;
            if !is_level {
                return Ok(false);
            }
        }
        let is_unproven = |candidate: &Candidate| candidate.canary.as_ref().is_none_or(|canary| !canary.is_empty());
        if let Some(number) = upgrade.candidates.iter().position(is_unproven) {
            return self.ask_canary(upgrade, number).map(|()| false);
        }
        let (found, asked) = (upgrade.found(), upgrade.asked);
        if found * 2 < asked {
            return Err(UpgradeError::Forgets { found, asked });
        }
        if upgrade.candidates.len() == self.instances.len() {
            return Ok(true);
        }
        let running = self.start(&upgrade.budget, &*upgrade.guest).map_err(failed(Callback::Init))?;
        let (given, canary) = (HashMap::new(), None);
        upgrade.candidates.push(Candidate { replay: self.replay(running), given, canary, found: 0 });
        Ok(false)
    }

    /// Drops evictions of what is not there. One that evicts most of what is does harm.
    fn bound_evictions(&self, evictions: &mut HashSet<Claim>) -> Result<(), UpgradeError> {
        let vault = self.keeper.vault();
        evictions.retain(|claim| vault.held(*claim, 0).is_some());
        match evictions.len() * 2 > vault.len() {
            true => Err(UpgradeError::Evicts { evicted: evictions.len(), sessions: vault.len() }),
            false => Ok(()),
        }
    }

    fn ask_canary(&self, upgrade: &mut Upgrade, number: usize) -> Result<(), UpgradeError> {
        let Upgrade { candidates, evictions, asked, budget, .. } = upgrade;
        let candidate = &mut candidates[number];
        let mut canary = candidate.canary.take().unwrap_or_else(|| candidate.questions(evictions));
        for _ in 0..PROBES_MAX {
            match canary.pop_front() {
                None => break,
                Some(Probe::Lookup(key, session)) if candidate.given.get(&key) == Some(&session) => {
                    *asked += 1;
                    let is_found = self.canary_lookup(budget, candidate, key, session)?;
                    candidate.found += usize::from(is_found);
                }
                Some(Probe::Lookup(..)) => {}
                Some(Probe::Select(partial)) => self.canary_select(budget, candidate, partial)?,
                Some(Probe::Size) => self.canary_size(budget, candidate)?,
                Some(Probe::Foldl) => self.canary_foldl(budget, candidate)?,
                Some(Probe::Delete) => {
                    let nobodys = Key { partial: PartialKey(0), id: SessionId(0) };
                    self.delete_in(budget, candidate, nobodys)?;
                }
            }
        }
        candidate.canary = Some(canary);
        Ok(())
    }

    fn canary_lookup(
        &self,
        budget: &Budget,
        candidate: &mut Candidate,
        key: Key,
        session: Session,
    ) -> Result<bool, UpgradeError> {
        let mut call = self.call(Callback::Lookup);
        let claim = self
            .call_on(budget, &mut candidate.replay.running, &mut call, |callbacks, call, cache| {
                callbacks.lookup(call, cache, key)
            })
            .map_err(failed(Callback::Lookup))?;
        match claim {
            Some(claim) if claim != session.into() => Err(UpgradeError::FalseClaim { callback: Callback::Lookup }),
            claim => Ok(claim.is_some()),
        }
    }

    fn canary_select(
        &self,
        budget: &Budget,
        candidate: &mut Candidate,
        partial: PartialKey,
    ) -> Result<(), UpgradeError> {
        let mut call = self.call(Callback::SelectSession);
        let claims = self
            .call_on(budget, &mut candidate.replay.running, &mut call, |callbacks, call, cache| {
                callbacks.select_session(call, cache, partial)
            })
            .map_err(failed(Callback::SelectSession))?;
        let of_partial = candidate.given.iter().filter(|(key, _)| key.partial == partial);
        let mut right: HashSet<Claim> = of_partial.map(|(_, session)| (*session).into()).collect();
        // Each once.
        match claims.iter().all(|claim| right.remove(claim)) {
            true => Ok(()),
            false => Err(UpgradeError::FalseClaim { callback: Callback::SelectSession }),
        }
    }

    fn canary_size(&self, budget: &Budget, candidate: &mut Candidate) -> Result<(), UpgradeError> {
        let mut call = self.call(Callback::Size);
        let size = self
            .call_on(budget, &mut candidate.replay.running, &mut call, |callbacks, call, cache| {
                callbacks.size(call, cache)
            })
            .map_err(failed(Callback::Size))?;
        let is_possible = size <= candidate.given.len() as u64 && (size > 0 || candidate.found == 0);
        if is_possible { Ok(()) } else { Err(UpgradeError::FalseClaim { callback: Callback::Size }) }
    }

    fn canary_foldl(&self, budget: &Budget, candidate: &mut Candidate) -> Result<(), UpgradeError> {
        let (fun, acc) = self.fold_tokens();
        let mut call = Call::fold(self.keeper.limits.sessions_named(), fun, acc);
        let last = self
            .call_on(budget, &mut candidate.replay.running, &mut call, |callbacks, call, cache| {
                callbacks.foldl(call, fun, acc, cache)
            })
            .map_err(failed(Callback::Foldl))?;
        let mut seen = HashSet::new();
        let is_right = call.into_elements(last).is_some_and(|elements| {
            elements.into_iter().all(|element| {
                let session = candidate.given.get(&element.key).copied();
                session.map(Claim::from) == Some(element.session) && seen.insert(element.key)
            })
        });
        if is_right { Ok(()) } else { Err(UpgradeError::FalseClaim { callback: Callback::Foldl }) }
    }

    /// Gives the candidates a session that was registered meanwhile.
    pub(crate) fn give_candidates(side: &mut OwnerSide, key: Key, session: Session) {
        let candidates = side.upgrade.iter_mut().flat_map(|upgrade| &mut upgrade.candidates);
        candidates.for_each(|candidate| candidate.replay.queue.push_back((key, session)));
    }

    /// Has the candidates forget a key. One that fails ends the upgrade.
    pub(crate) fn delete_in_candidates(&self, side: &mut OwnerSide, key: Key) {
        let Some(mut upgrade) = side.upgrade.take() else { return };
        let mut evictions = Vec::new();
        for (number, candidate) in upgrade.candidates.iter_mut().enumerate() {
            match self.delete_in(&upgrade.budget, candidate, key) {
                Ok(evicted) if number == 0 => evictions = evicted,
                Ok(_) => {}
                Err(error) => {
                    self.answer_upgrade(&upgrade.reply, Err(error));
                    return;
                }
            }
        }
        upgrade.evictions.extend(evictions);
        match self.bound_evictions(&mut upgrade.evictions) {
            Ok(()) => side.upgrade = Some(upgrade),
            Err(error) => self.answer_upgrade(&upgrade.reply, Err(error)),
        }
    }

    fn delete_in(&self, budget: &Budget, candidate: &mut Candidate, key: Key) -> Result<Vec<Claim>, UpgradeError> {
        candidate.given.remove(&key);
        candidate.replay.forget(key);
        let mut call = self.call(Callback::Delete);
        self.call_on(budget, &mut candidate.replay.running, &mut call, |callbacks, call, cache| {
            callbacks.delete(call, cache, key)
        })
        .map_err(failed(Callback::Delete))?;
        Ok(call.into_evictions())
    }

    /// Seats the candidates. From here on the new guest serves.
    fn exchange(self: &Arc<Self>, side: &mut OwnerSide, mut upgrade: Upgrade) -> Result<UpgradeReport, UpgradeError> {
        self.bound_evictions(&mut upgrade.evictions)?;
        let found = upgrade.found();
        let Upgrade { guest, candidates, evictions, asked, begun_ms, .. } = upgrade;
        side.restart = None;
        side.is_purged = false;
        let guest = std::mem::replace(&mut *self.guest.lock(), guest);
        let now_ms = self.keeper.clock.now_ms();
        side.previous = Some(Previous { guest, until_ms: now_ms.saturating_add(PROBATION_MS) });
        for (instance, candidate) in self.instances.iter().zip(candidates) {
            side.outgoing.extend(instance.put(candidate.replay.running));
        }
        self.with_breaker(Breaker::reset);
        self.is_rolled_back.store(false, Ordering::Release);
        self.has_come_back(side);
        let evicted = self.evict(evictions.into_iter().collect());
        let report = UpgradeReport {
            instances: self.instances.len(),
            sessions: self.keeper.vault().len(),
            evicted: evicted.len(),
            asked,
            found,
            took_ms: now_ms.saturating_sub(begun_ms),
        };
        side.owe(1, evicted);
        Ok(report)
    }

    /// Takes the guest before the last upgrade again, where the new one is suspended on probation. Says whether it was.
    pub(crate) fn roll_back(&self, side: &mut OwnerSide) -> bool {
        let is_done = self.seat_previous(side);
        if is_done {
            self.keeper.stats.rollbacks.add(1);
            self.is_rolled_back.store(true, Ordering::Release);
            let (tenant, role) = (self.keeper.tenant.as_str(), self.keeper.role.name());
            tracing::warn!(tenant, role, "rolled back: the new guest was suspended on probation");
        }
        is_done
    }

    /// Undoes the last upgrade, where it is on probation: the instances are built anew, by replay. Says whether it was.
    pub(crate) fn undo_upgrade(&self, side: &mut OwnerSide) -> bool {
        let is_done = self.seat_previous(side);
        if is_done {
            side.restart = None;
            self.instances.iter().for_each(|instance| drop(instance.remove()));
        }
        is_done
    }

    fn seat_previous(&self, side: &mut OwnerSide) -> bool {
        let Some(previous) = side.previous.take() else { return false };
        *self.guest.lock() = previous.guest;
        self.with_breaker(Breaker::reset);
        true
    }
}

impl Upgrade {
    fn found(&self) -> usize {
        self.candidates.iter().map(|candidate| candidate.found).sum()
    }

    /// When the upgrade may go on, if it has burned its budget; or when it is given up, if that is sooner.
    pub(crate) fn overdrawn_until(&self, now_ms: u64) -> Option<u64> {
        let end_ms = self.begun_ms.saturating_add(UPGRADE_MS_MAX + 1);
        self.budget.overdrawn_until(now_ms).map(|until_ms| until_ms.min(end_ms))
    }
}

impl Candidate {
    /// What the canary asks: a sample of what was given and not evicted, and each other callback.
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
