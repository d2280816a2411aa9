//! Choosing among the sessions of a partial key: what a client does that may resume any of them.

use crate::{
    cache::{
        cache::Trouble,
        reader::{Found, Reader},
    },
    contract::{
        callback::Callback,
        error::Miss,
        scalar::{Claim, Key, PartialKey, Session},
    },
    vault::{
        name::OwnedName,
        secret::Value,
        vault::{Held, Taken, Vault},
    },
};

/// A session that was picked and stays in the vault.
#[derive(Debug)]
#[non_exhaustive]
pub struct Picked<T> {
    /// The name that it is filed under.
    pub name: OwnedName,
    /// The caller's view of it.
    pub value: T,
    /// The end of its life, on the cache's clock.
    pub expires_ms: u64,
}

/// The most claims of one answer that are looked at where one session is wanted.
const CLAIMS_MAX: usize = 256;

/// A guest's answer to `select-session`, on the way through it.
struct Walk<'a> {
    partial: &'a [u8],
    fingerprint: PartialKey,
    claims: std::vec::IntoIter<Claim>,
    seen: Vec<Claim>,
}

impl<V: Value> Reader<V> {
    /// Gives at most `sessions_max` sessions filed under a partial key, in the guest's order: OTP's `select_session/2`.
    /// Other claims of the guest are dropped and counted.
    pub fn select_session(&self, partial: &[u8], sessions_max: usize) -> Vec<Found<V>>
    where
        V: Clone,
    {
        let Ok(mut walk) = self.ask_select(partial) else { return Vec::new() };
        let vault = self.cache.state.vault.read();
        let mut found = Vec::new();
        while found.len() < sessions_max {
            let next = |held: Held<'_, V>| Some(Found { name: held.name.into(), value: held.value.clone() });
            let Some(next) = self.go_on(&mut walk, &vault, next) else { break };
            found.push(next);
        }
        found
    }

    /// Gives away the first session of a partial key that is `wanted`, in the guest's order: of all callers at most one
    /// gets it, whatever the guest does.
    ///
    /// The guest is asked once, and 256 of its claims are looked at; false ones are counted. `wanted` runs under the
    /// vault's lock: it must be quick and not use the cache. The guest's `delete` is posted. A session that is on its
    /// way to the owner may be missed. An empty vault costs no guest call.
    ///
    /// # Errors
    /// The cause of the miss: [`Miss::Declined`] where the guest named no session that is wanted.
    pub fn take_selected(&self, partial: &[u8], wanted: impl FnMut(&V) -> bool) -> Result<Taken<V>, Miss> {
        self.count(self.cache.guard_read(Callback::SelectSession, || self.try_take_selected(partial, wanted)))
    }

    fn try_take_selected(&self, partial: &[u8], mut wanted: impl FnMut(&V) -> bool) -> Result<Taken<V>, Miss> {
        let mut walk = self.ask_one_of(partial)?;
        loop {
            let next =
                |held: Held<'_, V>| wanted(held.value).then(|| (held.key, OwnedName::from(held.name), held.session));
            let found = self.go_on(&mut walk, &self.cache.state.vault.read(), next);
            let (key, name, session) = found.ok_or(Miss::Declined)?;
            // Another may have been quicker.
            if let Some(taken) = self.take_this(key, &name, session) {
                self.mailbox.forget(key, session);
                return Ok(taken);
            }
        }
    }

    fn take_this(&self, key: Key, name: &OwnedName, session: Session) -> Option<Taken<V>> {
        let state = &*self.cache.state;
        let (mut vault, now_ms) = (state.vault.write(), state.clock.now_ms());
        let is_there = vault.probe(key, name.name(), now_ms) == Ok(session);
        if is_there { vault.take(key, name.name(), now_ms).ok() } else { None }
    }

    /// Gives the first thing that `pick` makes of a session of a partial key, in the guest's order. The session stays.
    ///
    /// The guest is asked once, and 256 of its claims are looked at; false ones are counted. `pick` runs under the
    /// vault's lock: it must be quick and not use the cache. A session that is on its way to the owner may be missed.
    /// An empty vault costs no guest call.
    ///
    /// # Errors
    /// The cause of the miss: [`Miss::Declined`] where `pick` made nothing of any session that the guest named.
    pub fn pick_selected<T>(&self, partial: &[u8], pick: impl FnMut(&V) -> Option<T>) -> Result<Picked<T>, Miss> {
        self.count(self.cache.guard_read(Callback::SelectSession, || self.try_pick_selected(partial, pick)))
    }

    fn try_pick_selected<T>(&self, partial: &[u8], mut pick: impl FnMut(&V) -> Option<T>) -> Result<Picked<T>, Miss> {
        let mut walk = self.ask_one_of(partial)?;
        let next = |held: Held<'_, V>| {
            let value = pick(held.value)?;
            Some(Picked { name: held.name.into(), value, expires_ms: held.expires_ms })
        };
        self.go_on(&mut walk, &self.cache.state.vault.read(), next).ok_or(Miss::Declined)
    }

    /// Asks for the sessions of a partial key where one is wanted, unless the vault is empty.
    fn ask_one_of<'a>(&self, partial: &'a [u8]) -> Result<Walk<'a>, Miss> {
        if self.cache.state.vault.read().is_empty() {
            return Err(Miss::Absent);
        }
        let mut walk = self.ask_select(partial)?;
        if walk.claims.len() > CLAIMS_MAX {
            let claims: Vec<Claim> = walk.claims.take(CLAIMS_MAX).collect();
            walk.claims = claims.into_iter();
        }
        Ok(walk)
    }

    fn ask_select<'a>(&self, partial: &'a [u8]) -> Result<Walk<'a>, Miss> {
        let fingerprint = self.cache.fingerprints.partial(partial);
        let claims = self.ask(Callback::SelectSession, |live, account| live.select_session(account, fingerprint))?;
        Ok(Walk { partial, fingerprint, claims: claims.into_iter(), seen: Vec::new() })
    }

    /// Goes on to the next claim that is good, and of which `next` makes something.
    fn go_on<T>(
        &self,
        walk: &mut Walk<'_>,
        vault: &Vault<V>,
        mut next: impl FnMut(Held<'_, V>) -> Option<T>,
    ) -> Option<T> {
        let now_ms = self.cache.state.clock.now_ms();
        for claim in walk.claims.by_ref() {
            match vault.held(claim, now_ms) {
                Some(held) if held.name.partial == walk.partial && !walk.seen.contains(&claim) => {
                    walk.seen.push(claim);
                    if let Some(next) = next(held) {
                        return Some(next);
                    }
                }
                // Of this partial key a moment ago, or past its life: the guest has told no lie.
                None if vault.key_of(claim).is_some_and(|key| key.partial == walk.fingerprint) => {}
                _ => {
                    self.cache.trouble(Trouble::FalseClaim);
                }
            }
        }
        None
    }
}
