//! The read side of a cache: a handle for any thread.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use crate::{
    cache::{
        cache::{Cache, Trouble},
        mailbox::Mailbox,
        recent::Recent,
        seat::{Locked, Seat},
        stats::{CacheStats, ReadCounts},
    },
    contract::{
        callback::Callback,
        error::{FoldError, Miss},
        scalar::{Claim, Element, Key, Session},
    },
    guest::{
        budget::Permit,
        instance::{Account, Live, Outcome},
    },
    vault::{
        name::{Name, OwnedName},
        secret::Value,
        vault::{NotHeld, Taken, Vault},
    },
};

/// The most times that a read wakes an idle cache, which may fall asleep again before the read has had its turn.
const WAKES: usize = 3;

/// Looks sessions up. Cloneable, for any thread.
///
/// A read runs the guest on the caller's thread. It blocks for at most the read grant's time for a session that has
/// been posted and not yet registered, for as long again for an instance that is busy or, in a cache that was idle,
/// being built, and then for the guest's call under its grant. Every doubt is a miss.
pub struct Reader<V> {
    pub(crate) cache: Arc<Cache<V>>,
    pub(crate) mailbox: Mailbox<V>,
}

impl<V> Clone for Reader<V> {
    fn clone(&self) -> Self {
        Self { cache: Arc::clone(&self.cache), mailbox: self.mailbox.clone() }
    }
}

/// A session that a read found, with its name.
#[derive(Debug)]
pub struct Found<V> {
    /// The name that it is filed under.
    pub name: OwnedName,
    /// The session.
    pub value: V,
}

/// The number of sessions of a cache, by both accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Sessions in the vault: the exact number, which limits use.
    pub held: usize,
    /// The guest's own count, if it answered.
    pub claimed: Option<u64>,
}

/// The start of a lookup.
#[derive(Clone, Copy)]
struct Start {
    /// The instant, if its time is shown.
    shown: Option<Instant>,
    now_ms: u64,
    /// The permit to ask the guest, where it has been given already.
    permit: Option<Permit>,
}

impl<V: Value> Reader<V> {
    pub(crate) fn new(cache: Arc<Cache<V>>) -> Self {
        let mailbox = Mailbox::new(Arc::clone(&cache));
        Self { cache, mailbox }
    }

    /// The way to the cache's owner.
    pub fn mailbox(&self) -> &Mailbox<V> {
        &self.mailbox
    }

    /// The cache's counters. Waits for no guest; costs microseconds.
    pub fn stats(&self) -> CacheStats {
        self.cache.stats()
    }

    /// The last log lines and faults of the guest, for its tenant. Waits for no guest; costs a copy of them.
    pub fn recent(&self) -> Recent {
        self.cache.state.recent.recent()
    }

    /// True while the operator has suspended the cache. Waits for nobody.
    pub fn is_suspended_by_operator(&self) -> bool {
        self.cache.life.phase().is_suspended_by_operator()
    }

    /// True if the vault holds a live session under a name. The guest is not asked.
    pub fn holds(&self, name: Name<'_>) -> bool {
        self.probe(self.cache.fingerprints.key(name), name).is_ok()
    }

    /// True if a read of a name would cost more than a look: the vault holds a session under it, or one is on its way.
    pub fn may_hold(&self, name: Name<'_>) -> bool {
        let key = self.cache.fingerprints.key(name);
        // In this order: what is no longer on its way has come.
        self.cache.inbox.is_on_its_way(key) || self.probe(key, name).is_ok()
    }

    /// Finds the session under a name: OTP's `lookup/2`. A name that the vault does not hold costs no guest call.
    pub fn lookup(&self, name: Name<'_>) -> Option<V>
    where
        V: Clone,
    {
        self.lookup_or_why(name).ok()
    }

    /// Like [`Reader::lookup`], with the cause of a miss.
    ///
    /// # Errors
    /// The cause of the miss.
    pub fn lookup_or_why(&self, name: Name<'_>) -> Result<V, Miss>
    where
        V: Clone,
    {
        let key = self.cache.fingerprints.key(name);
        // What is found is put here, and small answers pass: moving it about costs more than some of what finds it.
        let mut value = None;
        self.count_miss(self.cache.guard_read(Callback::Lookup, || self.try_lookup(key, name, &mut value)))?;
        Ok(value.expect("what was found has been put there"))
    }

    #[inline(always)]
    fn try_lookup(&self, key: Key, name: Name<'_>, value: &mut Option<V>) -> Result<(), Miss>
    where
        V: Clone,
    {
        let state = &*self.cache.state;
        let (mut version, mut session, mut expires_ms) = (0, None, 0);
        let now_ms = state.clock.now_ms();
        self.once_arrived(key, || {
            let vault = state.vault.read();
            let held = vault.find_under(key, name, now_ms)?;
            *value = Some(held.value.clone());
            (version, session, expires_ms) = (state.vault.version(), Some(held.session), held.expires_ms);
            Ok(())
        })?;
        let session = session.expect("the vault holds it");
        let start = Start { shown: self.counts().start(), now_ms, permit: None };
        let locked = self.lock()?;
        let number = self.ask_lookup(start, key, locked, |claim| {
            // Once more, since the read may have waited.
            let now_ms = state.clock.now_ms();
            // Nothing has changed since: what was seen then is what is there.
            if claim == session.into() && state.vault.version() == version && expires_ms > now_ms {
                return Ok(());
            }
            let vault = state.vault.read();
            let newer = vault.redeem(claim, key, name, now_ms);
            *value = Some(newer.ok_or_else(|| self.why_not(&vault, claim, key, session))?.clone());
            Ok(())
        })?;
        if number != 0 {
            self.echo(key);
        }
        Ok(())
    }

    /// Finds the session under a name and gives it away: of all callers at most one gets it, whatever the guest does.
    ///
    /// The vault gives it up before the guest is asked, so a guest that does not agree loses it. The guest's `delete`
    /// is posted. Where there is nobody to ask, sessions stay: while the guest is suspended or in its backoff, its
    /// instance busy past the deadline, or the tenant's budget used up.
    pub fn take(&self, name: Name<'_>) -> Option<V> {
        self.take_or_why(name).ok().map(|taken| taken.value)
    }

    /// Like [`Reader::take`], with the end of the session's life, which a session that follows from it inherits, and
    /// the cause of a miss.
    ///
    /// # Errors
    /// The cause of the miss.
    pub fn take_or_why(&self, name: Name<'_>) -> Result<Taken<V>, Miss> {
        let key = self.cache.fingerprints.key(name);
        self.count_miss(self.cache.guard_read(Callback::Lookup, || self.try_take(key, name)))
    }

    fn try_take(&self, key: Key, name: Name<'_>) -> Result<Taken<V>, Miss> {
        let state = &*self.cache.state;
        // Before an instance is taken, which the owner thread needs for an update that is on its way.
        self.once_arrived(key, || self.probe(key, name))?;
        // What is taken is gone, so there has to be somebody to ask first: a guest that is suspended, in its backoff,
        // busy or over its budget has made no choice.
        let _taking = self.counts().taking();
        let start = self.counts().start();
        let (number, seat, mut live) = self.lock()?;
        let now_ms = state.clock.now_ms();
        let permit = Some(self.cache.permit(now_ms, &mut live, Callback::Lookup)?);
        let start = Start { shown: start, now_ms, permit };
        let (taken, terms) = {
            let mut vault = state.vault.write();
            let terms = vault.terms();
            vault.take(key, name, now_ms).map(|taken| (taken, terms))?
        };
        let answer = self.ask_lookup(start, key, (number, seat, live), |claim| {
            let vault = state.vault.read();
            match claim == taken.session.into() {
                // Revoked while the guest was asked.
                true if vault.terms() != terms => Err(Miss::Gone),
                true => Ok(()),
                false => Err(self.why_not(&vault, claim, key, taken.session)),
            }
        });
        self.mailbox.forget(key, taken.session);
        answer.map(|_| taken)
    }

    /// Counts the sessions: OTP's `size/1`.
    pub fn size(&self) -> Size {
        let claimed = self.ask(Callback::Size, |live, account| live.size(account)).ok();
        Size { held: self.cache.state.vault.read().len(), claimed }
    }

    /// Folds over the sessions in the guest's order: OTP's `foldl/3`.
    ///
    /// The guest only says which sessions, and in what order. `fun` runs afterwards, on this thread, outside every
    /// lock: it may use the cache. A session that dies in between is left out.
    ///
    /// # Errors
    /// A guest that breaks the fold, faults, or cannot be asked; `fun` has then not run.
    pub fn foldl<A>(&self, acc: A, fun: impl FnMut(A, Found<V>) -> A) -> Result<A, FoldError>
    where
        V: Clone,
    {
        let (fun_token, acc_token) = self.cache.fold_tokens();
        let elements = self.ask(Callback::Foldl, |live, account| live.foldl(account, fun_token, acc_token));
        let elements = elements.map_err(|_| FoldError::NoAnswer)?.ok_or(FoldError::BrokenChain);
        let found = elements.and_then(|elements| self.check_elements(elements));
        if found.is_err() {
            self.cache.trouble(Trouble::FalseClaim);
        }
        let found = found?;
        Ok(found.into_iter().fold(acc, fun))
    }

    fn check_elements(&self, elements: Vec<Element>) -> Result<Vec<Found<V>>, FoldError>
    where
        V: Clone,
    {
        let mut numbers: Vec<u64> = elements.iter().map(|element| element.session.0).collect();
        numbers.sort_unstable();
        if numbers.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(FoldError::Repeated);
        }
        let now_ms = self.cache.state.clock.now_ms();
        let vault = self.cache.state.vault.read();
        let mut found = Vec::with_capacity(elements.len().min(vault.len()));
        for element in elements {
            match vault.held(element.session, now_ms) {
                Some(held) if held.key == element.key => {
                    found.push(Found { name: held.name.into(), value: held.value.clone() });
                }
                Some(_) => return Err(FoldError::WrongKey),
                None => {}
            }
        }
        Ok(found)
    }

    fn probe(&self, key: Key, name: Name<'_>) -> Result<Session, NotHeld> {
        let state = &*self.cache.state;
        state.vault.read().probe(key, name, state.clock.now_ms())
    }

    /// Asks the vault, and once more where it has none and updates were on their way: the session may be among them, or
    /// have come a moment ago.
    #[inline(always)]
    fn once_arrived<T>(&self, key: Key, mut ask: impl FnMut() -> Result<T, NotHeld>) -> Result<T, NotHeld> {
        // First: what was on no way by then is in the vault, if it was posted at all.
        let is_anything_on_its_way = self.cache.inbox.is_anything_on_its_way();
        match ask() {
            Err(NotHeld::Absent) if is_anything_on_its_way => {
                self.cache.await_update(key);
                ask()
            }
            answer => answer,
        }
    }

    /// Asks an instance and has its answer judged, and gives the number of the instance.
    ///
    /// The first instance knows of a session before the vault shows it; the others may be told a moment later. So if
    /// another's answer is not good, the first one's counts.
    #[inline(always)]
    fn ask_lookup(
        &self,
        start: Start,
        key: Key,
        (number, seat, live): (usize, &Seat, Locked<'_>),
        mut judge: impl FnMut(Claim) -> Result<(), Miss>,
    ) -> Result<usize, Miss> {
        let answer = self.ask_one(start, key, (seat, live), &mut judge);
        if number == 0 || !matches!(answer, Err(Miss::Declined | Miss::Gone | Miss::FalseClaim)) {
            return self.blamed(answer).map(|()| number);
        }
        let first = &self.cache.seats[0];
        let live = first.lock_within(self.cache.state.limits.read.time);
        let live = live.ok_or_else(|| self.cache.trouble(Trouble::Busy))?;
        let start = Start { permit: None, ..start };
        self.blamed(self.ask_one(start, key, (first, live), &mut judge)).map(|()| 0)
    }

    #[inline(always)]
    fn ask_one(
        &self,
        Start { shown, now_ms, permit }: Start,
        key: Key,
        (seat, mut live): (&Seat, Locked<'_>),
        judge: &mut impl FnMut(Claim) -> Result<(), Miss>,
    ) -> Result<(), Miss> {
        let permit = match permit {
            Some(permit) => permit,
            None => self.cache.permit(now_ms, &mut live, Callback::Lookup)?,
        };
        let answer =
            self.cache.ask_for_reader((now_ms, permit), (seat, &mut live), Callback::Lookup, |live, account| {
                live.lookup(account, key)
            });
        if let Some(start) = shown {
            seat.note_lookup(start.elapsed());
        }
        judge(answer?.ok_or(Miss::Declined)?)?;
        seat.counts.hit();
        Ok(())
    }

    /// Counts a claim that turned out to be false.
    #[inline(always)]
    fn blamed(&self, answer: Result<(), Miss>) -> Result<(), Miss> {
        answer.inspect_err(|miss| {
            if *miss == Miss::FalseClaim {
                self.cache.trouble(Trouble::FalseClaim);
            }
        })
    }

    pub(crate) fn ask<T>(
        &self,
        callback: Callback,
        ask: impl FnOnce(&mut Live, Account<'_>) -> Outcome<T>,
    ) -> Result<T, Miss> {
        let (_, seat, mut live) = self.lock()?;
        let now_ms = self.cache.state.clock.now_ms();
        let permit = self.cache.permit(now_ms, &mut live, callback)?;
        self.cache.ask_for_reader((now_ms, permit), (seat, &mut live), callback, ask)
    }

    /// Takes a free instance, or waits for one that runs: this thread's own, if it does. Of a cache that is idle, waits
    /// for one to be built.
    #[inline(always)]
    fn lock(&self) -> Result<(usize, &Seat, Locked<'_>), Miss> {
        for _ in 0..WAKES {
            match self.lock_running() {
                Ok(locked) if locked.2.is_some() => return Ok(locked),
                // Its instance has been given up on the way to it. Whoever builds the next one wants the seat.
                Ok(locked) => drop(locked),
                Err(Miss::Down) => {}
                Err(miss) => return Err(miss),
            }
            self.cache.wake();
            // Once it has waited in vain it does not wait again, unless the cache has fallen asleep meanwhile.
            if !self.cache.await_seat() && !self.cache.life.is_idle() {
                return Err(Miss::Down);
            }
        }
        self.lock_running()
    }

    #[inline(always)]
    fn lock_running(&self) -> Result<(usize, &Seat, Locked<'_>), Miss> {
        if self.cache.life.is_suspended() {
            return Err(Miss::Down);
        }
        let seats = &self.cache.seats;
        if let [only] = &**seats {
            if only.is_down() {
                return Err(Miss::Down);
            }
            let live = only.try_lock().or_else(|| only.lock_within(self.cache.state.limits.read.time));
            return live.map(|live| (0, only, live)).ok_or_else(|| self.cache.trouble(Trouble::Busy));
        }
        let first = thread_number() % seats.len();
        let numbers = (first..seats.len()).chain(0..first);
        let mut running = numbers.filter(|number| !seats[*number].is_down()).peekable();
        let own = *running.peek().ok_or(Miss::Down)?;
        for number in running {
            if let Some(live) = seats[number].try_lock() {
                return Ok((number, &seats[number], live));
            }
        }
        let live = seats[own].lock_within(self.cache.state.limits.read.time);
        live.map(|live| (own, &seats[own], live)).ok_or_else(|| self.cache.trouble(Trouble::Busy))
    }

    /// Notes a lookup that the first instance has not seen.
    fn echo(&self, key: Key) {
        if self.cache.echoes.note(key, self.cache.state.clock.now_ms()) {
            self.cache.schedule.soon();
        }
    }

    /// The cause of a miss by a claim that was not good: a guest that named the key's session of a moment ago has told
    /// no lie.
    fn why_not(&self, vault: &Vault<V>, claim: Claim, key: Key, session: Session) -> Miss {
        match claim == session.into() || vault.is_or_was(claim, key) {
            true => Miss::Gone,
            false => Miss::FalseClaim,
        }
    }

    pub(crate) fn count<T>(&self, answer: Result<T, Miss>) -> Result<T, Miss> {
        if answer.is_ok() {
            self.counts().hits.add(1);
        }
        self.count_miss(answer)
    }

    #[inline(always)]
    fn count_miss<T>(&self, answer: Result<T, Miss>) -> Result<T, Miss> {
        answer.inspect_err(|cause| self.counts().misses[*cause as usize].add(1))
    }

    /// The counters of the running thread.
    fn counts(&self) -> &ReadCounts {
        let seats = &self.cache.seats;
        let number = if seats.len() == 1 { 0 } else { thread_number() % seats.len() };
        &seats[number].reads
    }
}

impl From<NotHeld> for Miss {
    fn from(cause: NotHeld) -> Self {
        match cause {
            NotHeld::Absent => Self::Absent,
            NotHeld::Expired => Self::Expired,
        }
    }
}

/// A small number for the running thread, to spread threads over instances.
fn thread_number() -> usize {
    // The system's: it orders nothing.
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed));
    NUMBER.with(|number| *number)
}
