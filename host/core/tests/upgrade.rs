//! Upgrade, rollback, revocation and the fuel budget, over native callbacks.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use innkeeper_core::{
    Acc, Budget, CacheConfig, CacheRef, CacheState, Call, Callback, Callbacks, Claim, Clock, Fault, FaultKind, FoldFun,
    Guest, Key, Miss, NativeLru, OwnedName, Owner, Owners, PartialKey, Reader, Secret, Session, UpgradeError,
};
use innkeeper_doubles::{Intercept, intercepted, name, patient, secret};

/// Misbehaviour of a guest in one callback.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Vice {
    None,
    Traps(Callback),
    /// Answers with the right number plus one.
    Lies(Callback),
    EvictsAll,
    Forgets,
    /// Burns this much fuel in each call.
    Burns(u64),
}

/// A test's handle on the instances of a bad guest.
#[derive(Clone)]
struct Bad {
    vice: Vice,
    /// The vice acts only while this is set.
    is_armed: Arc<AtomicBool>,
    terminated: Arc<AtomicU64>,
}

impl Bad {
    fn new(vice: Vice) -> Self {
        Self { vice, is_armed: Arc::new(true.into()), terminated: Arc::default() }
    }

    fn guest(&self) -> Arc<dyn Guest> {
        let bad = self.clone();
        intercepted(Arc::new(NativeLru), move |_host| bad.clone())
    }

    fn lies(&self, callback: Callback) -> u64 {
        u64::from(self.vice == Vice::Lies(callback))
    }
}

impl Intercept for Bad {
    fn before(&mut self, call: &mut Call) -> Result<(), Fault> {
        if call.callback() == Callback::Terminate {
            self.terminated.fetch_add(1, Ordering::AcqRel);
        }
        match self.vice {
            Vice::Burns(fuel) => call.fuel = fuel,
            Vice::Traps(callback) if callback == call.callback() && self.is_armed.load(Ordering::Acquire) => {
                return Err(Fault::Trap { reason: "struck".into() });
            }
            _ => {}
        }
        Ok(())
    }
    fn update(
        &mut self,
        inner: &mut dyn Callbacks,
        call: &mut Call,
        cache: CacheRef,
        key: Key,
        session: Session,
    ) -> Result<(), Fault> {
        match self.vice {
            Vice::EvictsAll => Ok(call.evict(session.into())?),
            Vice::Forgets => Ok(()),
            _ => inner.update(call, cache, key, session),
        }
    }
    fn lookup(
        &mut self,
        inner: &mut dyn Callbacks,
        call: &mut Call,
        cache: CacheRef,
        key: Key,
    ) -> Result<Option<Claim>, Fault> {
        let claim = inner.lookup(call, cache, key)?;
        Ok(claim.map(|claim| Claim(claim.0 + self.lies(Callback::Lookup))))
    }
    fn select_session(
        &mut self,
        inner: &mut dyn Callbacks,
        call: &mut Call,
        cache: CacheRef,
        partial: PartialKey,
    ) -> Result<Vec<Claim>, Fault> {
        let claims = inner.select_session(call, cache, partial)?;
        let lie = self.lies(Callback::SelectSession);
        Ok(claims.into_iter().map(|claim| Claim(claim.0 + (lie << 40))).collect())
    }
    fn size(&mut self, inner: &mut dyn Callbacks, call: &mut Call, cache: CacheRef) -> Result<u64, Fault> {
        Ok(inner.size(call, cache)? + self.lies(Callback::Size))
    }
    fn foldl(
        &mut self,
        inner: &mut dyn Callbacks,
        call: &mut Call,
        fun: FoldFun,
        acc: Acc,
        cache: CacheRef,
    ) -> Result<Acc, Fault> {
        let last = inner.foldl(call, fun, acc, cache)?;
        Ok(Acc(last.0 + self.lies(Callback::Foldl)))
    }
}

/// A cache with twenty sessions.
fn open(owners: &Owners, config: CacheConfig) -> (Owner<Secret>, Reader<Secret>) {
    let (mut owner, reader) = owners.open::<Secret>(config, Arc::new(NativeLru)).unwrap();
    NAMES.with(|names| names.iter().for_each(|name| owner.update(name.name(), secret()).unwrap()));
    (owner, reader)
}

thread_local!(static NAMES: Vec<OwnedName> = (0..20_u8).map(|id| name(&[id]).into()).collect());

fn held(reader: &Reader<Secret>) -> usize {
    (0..20_u8).filter(|id| reader.lookup(name(&[*id])).is_some()).count()
}

#[test]
fn an_upgrade_keeps_every_session() {
    for readers in [1, 3] {
        let owners = Owners::new(1, Clock::manual());
        let (mut owner, reader) = open(&owners, CacheConfig { readers, ..patient() });
        let report = owner.upgrade(Bad::new(Vice::None).guest()).unwrap();
        assert_eq!((report.instances, report.sessions, report.evicted), (readers, 20, 0));
        assert_eq!((report.asked, report.found), (20 * readers, 20 * readers));
        assert_eq!(held(&reader), 20);
        owner.settle();
        let stats = owner.stats();
        assert_eq!((stats.upgrades, stats.calls(Callback::Terminate)), (1, readers as u64), "the old ones are told");
        owner.update(name(b"more"), secret()).unwrap();
        assert!(reader.take(name(b"more")).is_some());
        owner.settle();
        assert_eq!(reader.size().claimed, Some(20));
    }
}

#[test]
fn an_upgrade_to_a_bad_guest_leaves_the_old_one_serving() {
    let owners = Owners::new(1, Clock::manual());
    let (mut owner, reader) = open(&owners, patient());
    let reads = [Callback::Lookup, Callback::SelectSession, Callback::Size, Callback::Foldl];
    let traps = Callback::ALL.into_iter().filter(|callback| *callback != Callback::Terminate).map(Vice::Traps);
    let vices = traps.chain(reads.map(Vice::Lies)).chain([Vice::EvictsAll, Vice::Forgets]);
    for (number, vice) in (1..).zip(vices) {
        let refused = owner.upgrade(Bad::new(vice).guest()).unwrap_err();
        let is_right = match (&refused, vice) {
            (UpgradeError::Guest { callback, .. }, Vice::Traps(struck)) => *callback == struck,
            (UpgradeError::FalseClaim { callback }, Vice::Lies(lied)) => *callback == lied,
            (UpgradeError::Evicts { .. }, Vice::EvictsAll) => true,
            (UpgradeError::Forgets { found: 0, asked: 20 }, Vice::Forgets) => true,
            _ => false,
        };
        assert!(is_right, "{vice:?}: {refused}");
        let stats = owner.stats();
        assert_eq!((stats.upgrades_refused, stats.upgrades, stats.sessions), (number, 0, 20), "{vice:?}");
        assert_eq!((held(&reader), stats.state), (20, CacheState::Running), "{vice:?}");
    }
    assert_eq!(owner.stats().faults.iter().sum::<u64>(), 0, "a candidate's faults are not the cache's");
}

#[test]
fn a_new_guest_that_is_suspended_on_probation_gives_way_to_the_old_one() {
    let clock = Clock::manual();
    let owners = Owners::new(1, clock.clone());
    let (mut owner, reader) = open(&owners, patient());
    let bad = Bad::new(Vice::Traps(Callback::Lookup));
    bad.is_armed.store(false, Ordering::Release);
    owner.upgrade(bad.guest()).unwrap();
    bad.is_armed.store(true, Ordering::Release);
    let mut rounds = 0;
    while owner.stats().rollbacks == 0 {
        reader.lookup(name(&[1]));
        clock.advance(1_000);
        owner.settle();
        rounds += 1;
        assert!(rounds < 100_000, "the old guest does not come back");
    }
    assert_eq!(owner.stats().faults(FaultKind::Trap), 8);
    while owner.stats().state != CacheState::Running {
        owner.settle();
        rounds += 1;
        assert!(rounds < 100_000, "the old guest does not come back");
    }
    assert_eq!(held(&reader), 20);
}

#[test]
fn an_upgrade_ends_a_suspension() {
    let clock = Clock::manual();
    let owners = Owners::new(1, clock.clone());
    let (mut owner, reader) =
        owners.open::<Secret>(patient(), Bad::new(Vice::Traps(Callback::Lookup)).guest()).unwrap();
    owner.update(name(&[1]), secret()).unwrap();
    while owner.stats().state != CacheState::Suspended {
        reader.lookup(name(&[1]));
        clock.advance(1_000);
        owner.settle();
    }
    owner.upgrade(Arc::new(NativeLru)).unwrap();
    assert!(reader.lookup(name(&[1])).is_some());
    assert_eq!(owner.stats().state, CacheState::Running);
}

#[test]
fn sessions_move_while_an_upgrade_is_made() {
    let owners = Owners::new(1, Clock::manual());
    let (mut owner, reader) = open(&owners, CacheConfig { readers: 2, ..patient() });
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0_u32.. {
                let id = round.to_be_bytes();
                reader.mailbox().update(name(&id), secret());
                assert_eq!(held(&reader), 20, "no read is missed: {:?}", reader.stats().misses);
                assert!(reader.take(name(&id)).is_some(), "round {round}: {:?}", reader.stats().misses);
                if is_done.load(Ordering::Acquire) {
                    return;
                }
            }
        });
        for _ in 0..100 {
            owner.upgrade(Bad::new(Vice::None).guest()).unwrap();
        }
        is_done.store(true, Ordering::Release);
    });
    owner.settle();
    assert_eq!((reader.size().held, reader.size().claimed), (20, Some(20)));
    assert_eq!((owner.stats().false_claims, reader.stats().misses(Miss::Declined)), (0, 0));
}

#[test]
fn revoked_sessions_are_gone_at_once_and_those_on_their_way_are_refused() {
    let owners = Owners::new(1, Clock::manual());
    let (mut owner, reader) = open(&owners, patient());
    let before = reader.mailbox().terms();
    assert_eq!(reader.mailbox().revoke(), 20);
    assert_eq!((held(&reader), reader.size().held), (0, 0));
    // A handshake from before the revocation ends now.
    assert!(reader.mailbox().update_on(name(b"late"), secret(), before));
    owner.settle();
    assert!(!reader.holds(name(b"late")));
    assert_eq!((owner.stats().refused, owner.stats().revoked), (1, 20));
    owner.update(name(b"new"), secret()).unwrap();
    assert!(reader.lookup(name(b"new")).is_some());
    assert_eq!(reader.size().claimed, Some(1), "the guest has been told");
}

#[test]
fn a_session_inherits_the_end_of_the_one_before_it() {
    let clock = Clock::manual();
    let owners = Owners::new(1, clock.clone());
    let (mut owner, reader) = owners.open::<Secret>(patient(), Arc::new(NativeLru)).unwrap();
    owner.update(name(&[0]), secret()).unwrap();
    for link in 1..=24_u8 {
        let terms = reader.mailbox().terms();
        let taken = reader.take_or_why(name(&[link - 1])).expect("the chain holds for 24 hours");
        reader.mailbox().update_on(name(&[link]), taken.value, terms.until(taken.expires_ms));
        owner.settle();
        clock.advance(60 * 60 * 1_000);
    }
    assert!(reader.take(name(&[24])).is_none(), "however often it was renewed");
    assert_eq!(reader.stats().misses(Miss::Expired), 1);
}

#[test]
fn a_tenant_over_its_fuel_budget_is_not_asked_until_it_fills() {
    let clock = Clock::manual();
    let owners = Owners::new(1, clock.clone());
    let mut config = patient();
    (config.limits.fuel_per_s, config.limits.fuel_burst) = (200_000_000, 200_000_000);
    let budget = Budget::new(&config.limits);
    config.budget = Some(budget);
    let (mut owner, reader) = owners.open::<Secret>(config.clone(), Bad::new(Vice::Burns(100_000)).guest()).unwrap();
    owner.update(name(&[1]), secret()).unwrap();
    let found = (0..3_000).filter(|_| reader.lookup(name(&[1])).is_some()).count();
    // `init` and `update` burned as much as a lookup each, and the last lookup needs its whole grant.
    assert_eq!(found, 1_997);
    assert_eq!(owner.stats().misses(Miss::OverBudget), 1_003);
    let (_, other) = owners.open::<Secret>(config, Arc::new(NativeLru)).unwrap();
    assert_eq!(other.size().claimed, None, "the budget is the tenant's, whichever its cache");
    clock.advance(1);
    assert!(reader.lookup(name(&[1])).is_some());
    assert_eq!(owner.stats().faults.iter().sum::<u64>(), 0, "an empty budget is no fault");
}

#[test]
fn a_fault_costs_its_whole_grant() {
    let owners = Owners::new(1, Clock::manual());
    let mut config = patient();
    config.limits.fuel_burst = config.limits.init.fuel + config.limits.read.fuel;
    config.readers = 2;
    let (mut owner, reader) = owners.open::<Secret>(config, Bad::new(Vice::Traps(Callback::Lookup)).guest()).unwrap();
    owner.update(name(&[1]), secret()).unwrap();
    reader.lookup(name(&[1]));
    assert!(reader.foldl(0, |n, _| n + 1).is_ok(), "a fold's grant is left");
    reader.lookup(name(&[1]));
    assert_eq!(owner.stats().faults(FaultKind::Trap), 2);
    assert!(reader.foldl(0, |n, _| n + 1).is_err(), "it no longer is");
}

#[test]
fn an_owner_over_its_budget_waits_and_loses_nothing() {
    let clock = Clock::manual();
    let owners = Owners::new(1, clock.clone());
    let mut config = patient();
    (config.limits.fuel_per_s, config.limits.fuel_burst) = (1_000_000, 200_000_000);
    let (mut owner, reader) = owners.open::<Secret>(config, Bad::new(Vice::Burns(2_000_000)).guest()).unwrap();
    for id in 0..200_u8 {
        assert!(reader.mailbox().update(name(&[id]), secret()));
    }
    let done = std::thread::spawn(move || {
        owner.settle();
        owner
    });
    while reader.stats().sessions < 100 {
        std::thread::yield_now();
    }
    assert!(reader.stats().sessions < 200 && !done.is_finished(), "the budget was for a hundred");
    let mut rounds = 0;
    while !done.is_finished() {
        clock.advance(1_000);
        rounds += 1;
        std::thread::yield_now();
    }
    assert!(rounds > 0);
    assert_eq!(done.join().unwrap().stats().sessions, 200);
}
