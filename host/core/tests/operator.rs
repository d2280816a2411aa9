//! An operator's actions on a cache, and a tenant's view of its guest.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use innkeeper_core::{
    CacheConfig, CacheState, Call, CallTimes, Callback, Callbacks, Fault, FaultKind, Guest, Host, Level, Miss,
    NativeLru, Overflow, Owner, Secret,
};
use innkeeper_doubles::{Intercept, TestCache, intercepted, name, patient, secret};

/// Counts the calls into a native guest, and controls its behaviour. Its memory grows with each update.
#[derive(Default)]
struct Watched {
    calls: AtomicU64,
    /// Faults in every callback but `init`.
    faults: AtomicBool,
    /// Logs the name of every callback.
    is_chatty: AtomicBool,
}

struct WatchedInstance {
    watched: Arc<Watched>,
    host: Arc<dyn Host>,
    memory_bytes: usize,
}

fn watch(watched: &Arc<Watched>) -> Arc<dyn Guest> {
    let watched = Arc::clone(watched);
    intercepted(Arc::new(NativeLru), move |host| WatchedInstance {
        watched: Arc::clone(&watched),
        host: Arc::clone(host),
        memory_bytes: 1_000,
    })
}

impl Intercept for WatchedInstance {
    fn before(&mut self, call: &mut Call) -> Result<(), Fault> {
        if call.callback() == Callback::Update {
            self.memory_bytes += 10;
        }
        self.watched.calls.fetch_add(1, Ordering::AcqRel);
        if self.watched.is_chatty.load(Ordering::Acquire) {
            self.host.log(Level::Info, &format!("{}\n", call.callback().name()));
        }
        match self.watched.faults.load(Ordering::Acquire) && call.callback() != Callback::Init {
            true => Err(Fault::Trap { reason: "struck\n".into() }),
            false => Ok(()),
        }
    }
    fn memory_bytes(&self, _: &dyn Callbacks) -> Option<usize> {
        Some(self.memory_bytes)
    }
}

struct House {
    cache: TestCache,
    watched: Arc<Watched>,
}

impl House {
    fn open(readers: usize) -> Self {
        let watched = Arc::<Watched>::default();
        let cache = TestCache::open(CacheConfig { readers, ..patient() }, watch(&watched));
        Self { cache, watched }
    }

    fn update(&mut self, ids: std::ops::Range<u8>) {
        ids.for_each(|id| self.cache.owner.update(name(&[id]), secret()).unwrap());
    }

    fn calls(&self) -> u64 {
        self.watched.calls.load(Ordering::Acquire)
    }

    /// Makes the guest fault until the cache is suspended.
    fn trip(&mut self) {
        self.watched.faults.store(true, Ordering::Release);
        for _ in 0..1_000_000 {
            if self.cache.owner.stats().state == CacheState::Suspended {
                return;
            }
            self.cache.reader.lookup(name(&[0]));
            self.cache.owners.clock().advance(1_000);
            self.cache.owner.settle();
        }
        panic!("the cache is not suspended");
    }
}

#[test]
fn a_suspended_guest_is_asked_nothing_and_every_session_is_kept() {
    for readers in [1, 3] {
        let mut house = House::open(readers);
        house.update(0..10);
        house.cache.reader.mailbox().suspend();
        house.cache.owner.settle();
        let stats = house.cache.owner.stats();
        assert_eq!((stats.state, stats.is_suspended_by_operator, stats.memory_bytes), (CacheState::Suspended, true, 0));
        let calls = house.calls();
        assert_eq!(house.cache.reader.lookup_or_why(name(&[1])), Err(Miss::Down));
        assert_eq!(house.cache.reader.take_or_why(name(&[1])), Err(Miss::Down));
        assert_eq!(house.cache.reader.take_or_why(name(b"absent")), Err(Miss::Absent));
        assert_eq!(house.cache.reader.size().claimed, None);
        house.update(10..20);
        assert!(house.cache.owner.delete(name(&[0])));
        // Time alone never ends the suspension.
        house.cache.owners.clock().advance(60 * 60 * 1_000);
        house.cache.owner.sweep();
        assert_eq!((house.calls(), house.cache.owner.stats().sessions), (calls, 19));
        house.cache.reader.mailbox().resume();
        house.cache.await_state(CacheState::Running);
        assert!(!house.cache.owner.stats().is_suspended_by_operator);
        assert!((1..20).all(|id| house.cache.reader.lookup(name(&[id])).is_some()));
        assert_eq!((house.cache.reader.size().claimed, house.cache.owner.stats().restarts), (Some(19), readers as u64));
    }
}

#[test]
fn resuming_ends_a_suspension_for_faults_at_once() {
    let mut house = House::open(1);
    house.update(0..1);
    house.trip();
    assert!(!house.cache.owner.stats().is_suspended_by_operator);
    house.watched.faults.store(false, Ordering::Release);
    house.cache.reader.mailbox().resume();
    house.cache.await_state(CacheState::Running);
    assert!(house.cache.reader.lookup(name(&[0])).is_some());
}

#[test]
fn a_suspension_undoes_no_upgrade_and_a_new_guest_waits_for_its_end() {
    let mut house = House::open(2);
    house.update(0..10);
    let first = Arc::<Watched>::default();
    house.cache.owner.upgrade(watch(&first)).unwrap();
    house.cache.reader.mailbox().suspend();
    house.cache.owner.settle();
    house.cache.reader.lookup(name(&[0]));
    let second = Arc::<Watched>::default();
    let report = house.cache.owner.upgrade(watch(&second)).unwrap();
    assert_eq!((report.sessions, report.found), (10, 20));
    let calls = second.calls.load(Ordering::Acquire);
    house.update(10..11);
    assert_eq!(house.cache.reader.lookup_or_why(name(&[0])), Err(Miss::Down));
    assert_eq!(second.calls.load(Ordering::Acquire), calls, "it is not asked once it has been tried");
    assert_eq!(house.cache.owner.stats().state, CacheState::Suspended);
    let before = first.calls.load(Ordering::Acquire);
    house.cache.reader.mailbox().resume();
    house.cache.await_state(CacheState::Running);
    assert!((0..11).all(|id| house.cache.reader.lookup(name(&[id])).is_some()));
    assert!(second.calls.load(Ordering::Acquire) >= calls + 11);
    assert_eq!((first.calls.load(Ordering::Acquire), house.cache.owner.stats().rollbacks), (before, 0));
    // Probation goes on.
    house.watched = second;
    house.watched.faults.store(true, Ordering::Release);
    while house.cache.owner.stats().rollbacks == 0 {
        house.cache.reader.lookup(name(&[0]));
        house.cache.owners.clock().advance(1_000);
        house.cache.owner.settle();
    }
}

#[test]
fn a_suspended_cache_can_end() {
    let mut house = House::open(2);
    house.update(0..2);
    house.cache.reader.mailbox().suspend();
    let calls = house.calls();
    house.cache.owner.terminate();
    house.cache.reader.mailbox().resume();
    let stats = house.cache.reader.stats();
    assert_eq!((stats.state, stats.is_suspended_by_operator, stats.sessions), (CacheState::Ended, false, 0));
    assert_eq!(house.watched.calls.load(Ordering::Acquire), calls, "not even told");
}

#[test]
fn the_last_log_lines_and_faults_are_kept_as_the_log_has_them() {
    let mut house = House::open(1);
    house.watched.is_chatty.store(true, Ordering::Release);
    house.cache.owners.clock().advance(9);
    house.update(0..100);
    let recent = house.cache.reader.recent();
    assert_eq!((recent.lines.len(), recent.faults.len()), (64, 0));
    let last = recent.lines.last().unwrap();
    assert_eq!((last.at_ms, last.level, last.text.as_str()), (10, Level::Info, "update\\n"));
    // The limit is a hundred lines a second.
    house.update(100..110);
    house.cache.reader.lookup(name(&[0]));
    assert_eq!(house.cache.reader.recent().lines.last().unwrap().text, "update\\n", "what is dropped is not kept");
    house.cache.owners.clock().advance(1_000);
    house.watched.faults.store(true, Ordering::Release);
    house.cache.reader.lookup(name(&[0]));
    let recent = house.cache.reader.recent();
    assert_eq!((recent.lines.len(), recent.lines.last().unwrap().text.as_str()), (64, "lookup\\n"));
    let [fault] = recent.faults.as_slice() else { panic!("{:?}", recent.faults) };
    assert_eq!((fault.at_ms, fault.callback, fault.kind), (1_010, Callback::Lookup, FaultKind::Trap));
    assert_eq!(fault.text, "the guest trapped: struck\\n");
}

#[test]
fn a_fault_in_terminate_is_kept_and_only_the_last_faults_are() {
    let mut house = House::open(1);
    house.update(0..1);
    house.trip();
    for _ in 0..20 {
        house.cache.reader.mailbox().resume();
        house.cache.owner.settle();
        house.cache.owners.clock().advance(30_000);
        house.cache.owner.settle();
    }
    house.watched.faults.store(false, Ordering::Release);
    house.cache.reader.mailbox().resume();
    house.cache.await_state(CacheState::Running);
    assert_eq!(house.cache.reader.recent().faults.len(), 16);
    house.watched.faults.store(true, Ordering::Release);
    house.cache.owner.terminate();
    assert_eq!(house.cache.reader.recent().faults.last().unwrap().callback, Callback::Terminate);
}

#[test]
fn every_call_is_in_one_time_and_memory_is_that_of_all_instances() {
    let mut house = House::open(2);
    assert_eq!(house.cache.owner.stats().memory_bytes, 2_000);
    house.update(0..5);
    house.cache.owner.delete(name(&[0]));
    (0..5).for_each(|id| _ = house.cache.reader.lookup(name(&[id])));
    house.cache.reader.size();
    house.cache.reader.select_session(b"a", 9);
    house.cache.reader.foldl(0, |n, _| n + 1).unwrap();
    let stats = house.cache.owner.stats();
    assert_eq!(stats.memory_bytes, 2_100);
    let counts: Vec<u64> = Callback::ALL.iter().map(|callback| stats.call_times(*callback).count()).collect();
    assert_eq!(counts, [2, 10, 2, 1, 1, 1, 1, 0], "of the lookups, one in sixteen is timed");
    assert_eq!(stats.calls(Callback::Lookup), 4, "what the vault does not hold is not asked for");
    assert!(stats.call_times(Callback::Lookup).sum_ns > 0);
    assert!(CallTimes::BOUNDS_NS.is_sorted());
    house.watched.faults.store(true, Ordering::Release);
    house.cache.reader.lookup(name(&[1]));
    // The first instance may hear of that lookup, and is then dropped as well.
    assert!(house.cache.owner.stats().memory_bytes < 2_100, "an instance that is dropped has none");
}

fn hand_over(from: &mut Owner<Secret>, to: &mut Owner<Secret>) -> usize {
    let terms = to.mailbox().terms();
    from.hand_over(to, terms)
}

#[test]
fn a_revocation_of_the_cache_that_takes_over_is_final_before_it_has_anything() {
    let mut house = House::open(1);
    house.update(0..5);
    let (mut to, reader) = house.cache.owners.open::<Secret>(patient(), Arc::new(NativeLru)).unwrap();
    let terms = to.mailbox().terms();
    // From here on a revocation concerns this cache, and the sessions on their way to it.
    assert_eq!(to.mailbox().revoke(), 0);
    assert_eq!(house.cache.owner.hand_over(&mut to, terms), 0);
    assert_eq!((reader.size().held, house.cache.reader.size().held), (0, 0));
}

#[test]
fn an_upgrade_is_undone_once_and_every_session_stays() {
    let mut house = House::open(2);
    house.update(0..5);
    assert!(!house.cache.owner.undo_upgrade(), "there was none");
    house.cache.owner.upgrade(Arc::new(NativeLru)).unwrap();
    let calls = house.watched.calls.load(Ordering::Acquire);
    assert!(house.cache.owner.undo_upgrade());
    while house.cache.owner.stats().state != CacheState::Running {
        house.cache.owner.settle();
    }
    assert!(house.watched.calls.load(Ordering::Acquire) > calls, "the first guest is asked again");
    assert!((0..5).all(|id| house.cache.reader.lookup(name(&[id])).is_some()));
    let stats = house.cache.owner.stats();
    assert_eq!(
        (stats.state, stats.upgrades, stats.rollbacks, stats.is_rolled_back),
        (CacheState::Running, 1, 0, false)
    );
    assert!(!house.cache.owner.undo_upgrade(), "it is no longer on probation");
}

#[test]
fn a_vault_moves_oldest_first_and_no_session_lives_longer_for_it() {
    let mut house = House::open(1);
    house.update(0..1);
    let hour_ms = 60 * 60 * 1_000;
    house.cache.owners.clock().advance(23 * hour_ms);
    house.update(1..200);
    assert!(house.cache.reader.mailbox().update(name(&[200]), secret()), "posted");
    let mut larger = patient();
    larger.limits.lifetime = Duration::from_secs(7 * 24 * 60 * 60);
    let (mut to, reader) = house.cache.owners.open::<Secret>(larger, Arc::new(NativeLru)).unwrap();
    to.update(name(&[7]), Secret::new(b"newer".to_vec())).unwrap();
    assert_eq!(hand_over(&mut house.cache.owner, &mut to), 200);
    house.cache.owner.settle();
    assert_eq!(
        (house.cache.reader.size().held, house.cache.reader.size().claimed),
        (0, None),
        "its guest is asked no more"
    );
    assert_eq!((reader.size().held, reader.size().claimed), (201, Some(201)));
    assert_eq!(reader.lookup(name(&[7])).unwrap().expose(), b"newer");
    let order = reader.foldl(Vec::new(), |mut ids, found| {
        ids.push(found.name.name().id[0]);
        ids
    });
    // The old session that was looked up last comes last.
    let expected: Vec<u8> = (0..=200).filter(|id| *id != 7).chain([7]).collect();
    assert_eq!(order.unwrap(), expected);
    house.cache.owners.clock().advance(hour_ms);
    assert_eq!(reader.lookup_or_why(name(&[0])), Err(Miss::Expired));
    assert!(reader.lookup(name(&[1])).is_some());
    house.cache.owners.clock().advance(23 * hour_ms);
    assert_eq!(reader.lookup_or_why(name(&[1])), Err(Miss::Expired));
}

#[test]
fn what_a_smaller_cache_does_not_hold_is_dropped_and_the_newest_stay() {
    let mut house = House::open(1);
    house.update(0..100);
    let mut smaller = CacheConfig { overflow: Overflow::EvictOldest, ..patient() };
    smaller.limits.sessions = 10;
    let (mut to, reader) = house.cache.owners.open::<Secret>(smaller, Arc::new(NativeLru)).unwrap();
    assert_eq!(hand_over(&mut house.cache.owner, &mut to), 100);
    assert!((90..100).all(|id| reader.lookup(name(&[id])).is_some()));
    assert_eq!((reader.size().held, house.cache.reader.size().held), (10, 0));
    to.terminate();
    house.update(0..10);
    let (mut ended, _) = house.cache.owners.open::<Secret>(patient(), Arc::new(NativeLru)).unwrap();
    drop(house.cache.owners);
    assert_eq!(hand_over(&mut house.cache.owner, &mut ended), 0, "a cache that has ended has and takes nothing");
}

#[test]
fn a_session_that_moves_keeps_when_it_was_registered_and_a_shorter_life_counts_from_there() {
    let mut house = House::open(1);
    let clock = house.cache.owners.clock().clone();
    house.update(0..1);
    clock.advance(5_000);
    house.update(1..2);
    let mut shorter = patient();
    shorter.limits.lifetime = Duration::from_secs(4);
    let (mut to, reader) = house.cache.owners.open::<Secret>(shorter, Arc::new(NativeLru)).unwrap();
    assert_eq!(hand_over(&mut house.cache.owner, &mut to), 1, "the first is five seconds old already");
    assert!(reader.lookup(name(&[1])).is_some());
    // Repeated handovers keep its age.
    for _ in 0..3 {
        clock.advance(1_000);
        let mut next = patient();
        next.limits.lifetime = Duration::from_secs(4);
        let (mut next, reader) = house.cache.owners.open::<Secret>(next, Arc::new(NativeLru)).unwrap();
        assert_eq!(hand_over(&mut to, &mut next), 1);
        assert!(reader.lookup(name(&[1])).is_some());
        to = next;
    }
    clock.advance(1_000);
    let mailbox = to.mailbox();
    assert_eq!(to.stats().sessions, 1, "no sweep has come by");
    drop(mailbox);
    let (mut last, reader) = house.cache.owners.open::<Secret>(patient(), Arc::new(NativeLru)).unwrap();
    assert_eq!(hand_over(&mut to, &mut last), 0);
    assert_eq!(reader.lookup_or_why(name(&[1])), Err(Miss::Absent));
}
