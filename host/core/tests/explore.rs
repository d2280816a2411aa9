//! Owner, readers and mailbox under schedules that an explorer picks. `cargo xtask explore` runs them.
//!
//! Each scenario is small, and runs under many schedules: random ones, and ones with few preemptions at critical
//! places. A failing schedule is printed, and `shuttle::replay` repeats it. Time passes only on the manual clock, so a
//! wait that nobody ends is a deadlock and fails.
//!
//! The explorer leaves out weak memory orderings (it treats every atomic as sequentially consistent), deadlines, and
//! the polling window of the owner thread.

#![cfg(shuttle)]
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering},
};

use innkeeper_core::{
    CacheConfig, CacheRef, CacheState, Call, Callback, Callbacks, Fault, FaultKind, Guest, InitArgs, Limits, Mailbox,
    NativeLru, Reader, Refusal, Role, SizeClass, Value, ZeroizeOnDrop,
};
use innkeeper_doubles::{Intercept, TestCache, hooked, intercepted, name};
use shuttle::{
    Config, Runner,
    rand::{Rng as _, thread_rng},
    scheduler::{PctScheduler, RandomScheduler},
    thread,
};

/// The number of schedules of each kind for a scenario.
const SCHEDULES: usize = 20_000;

/// The number of preemptions in schedules of the second kind, plus one.
const DEPTH: usize = 3;

/// Runs a scenario under random schedules, and under ones with few preemptions.
fn explore(scenario: fn()) {
    let mut config = Config::new();
    // A guest's call needs much stack in an unoptimised build.
    config.stack_size = 1 << 18;
    config.silence_warnings = true;
    config.ungraceful_shutdown_config.immediately_return_on_panic = true;
    let random = Runner::new(RandomScheduler::new(SCHEDULES), config.clone()).run(scenario);
    let preempted = Runner::new(PctScheduler::new(DEPTH, SCHEDULES), config).run(scenario);
    assert_eq!((random, preempted), (SCHEDULES, SCHEDULES), "every schedule has been run");
}

/// A session that contains its identity twice, and is counted while it lives.
struct Note {
    id: u8,
    version: u8,
    again: [u8; 2],
    live: Arc<AtomicUsize>,
}

impl Clone for Note {
    fn clone(&self) -> Self {
        self.live.fetch_add(1, Ordering::AcqRel);
        Self { live: Arc::clone(&self.live), ..*self }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::AcqRel);
    }
}

impl ZeroizeOnDrop for Note {}

impl Value for Note {
    fn stored_bytes(&self) -> usize {
        4
    }
}

/// A change to the native guest: it keeps up to this many sessions, whatever the cache's maximum.
struct Keeps(u32);

impl Intercept for Keeps {
    fn init(&mut self, inner: &mut dyn Callbacks, call: &mut Call, args: &InitArgs) -> Result<CacheRef, Fault> {
        inner.init(call, &InitArgs { sessions_max: self.0, ..args.clone() })
    }
}

/// A guest that faults in chosen calls of one callback, counted over all instances, until `stop`.
fn strikes(callback: Callback, calls: [u32; 2], stop: Arc<AtomicBool>) -> Arc<dyn Guest> {
    let called = AtomicU32::new(0);
    let is_struck = move |now| now == callback && calls.contains(&called.fetch_add(1, Ordering::AcqRel));
    hooked(move |call| match is_struck(call.callback()) && !stop.load(Ordering::Acquire) {
        true => Err(Fault::Trap { reason: "struck".into() }),
        false => Ok(()),
    })
}

/// One cache, whose sessions are counted.
struct House {
    cache: TestCache<Note>,
    live: Arc<AtomicUsize>,
}

impl House {
    fn open(config: CacheConfig, guest: Arc<dyn Guest>) -> Self {
        Self { cache: TestCache::open(config, guest), live: Arc::default() }
    }

    fn honest() -> Self {
        Self::open(config(), Arc::new(NativeLru))
    }

    fn note(&self, id: u8, version: u8) -> Note {
        note(&self.live, id, version)
    }

    fn update(&mut self, id: u8, version: u8) -> Result<(), Refusal> {
        let note = self.note(id, version);
        self.cache.owner.update(name(&[id]), note)
    }

    /// Moves the clock past a backoff, and waits until every instance runs.
    fn come_back(&mut self) {
        for _ in 0..1_000 {
            // In every round, since a reader may cause another fault meanwhile.
            self.cache.owners.clock().advance(1_000);
            self.cache.owner.settle();
            if self.cache.owner.stats().state == CacheState::Running {
                return;
            }
        }
        panic!("the cache does not come back");
    }

    /// Settles the cache, and checks that guest and vault have exactly these sessions.
    #[track_caller]
    fn check_quiet(&mut self, ids: &[u8]) {
        self.cache.owner.settle();
        let size = self.cache.reader.size();
        assert_eq!((size.held, size.claimed), (ids.len(), Some(ids.len() as u64)));
        for id in ids {
            // Twice, for a second instance.
            assert!(lookup(&self.cache.reader, *id).is_some(), "session {id} is lost");
            assert!(lookup(&self.cache.reader, *id).is_some(), "session {id} is lost");
        }
        let folded = self.cache.reader.foldl(0, |n, _| n + 1);
        assert_eq!(folded, Ok(ids.len()));
    }

    /// Ends everything, and checks that no session is left.
    #[track_caller]
    fn check_end(self) {
        drop(self.cache.owners);
        assert_eq!(self.live.load(Ordering::Acquire), 0, "every session is wiped");
    }
}

/// One instance or two.
fn config() -> CacheConfig {
    let config = CacheConfig::new("test", Role::Server, Limits::new(SizeClass::Small));
    CacheConfig { readers: thread_rng().gen_range(1..=2), ..config }
}

fn note(live: &Arc<AtomicUsize>, id: u8, version: u8) -> Note {
    live.fetch_add(1, Ordering::AcqRel);
    Note { id, version, again: [id, version], live: Arc::clone(live) }
}

/// Looks a session up, checks that it is whole and has that name, and returns its version.
#[track_caller]
fn lookup(reader: &Reader<Note>, id: u8) -> Option<u8> {
    reader.lookup(name(&[id])).map(|note| version(&note, id))
}

#[track_caller]
fn take(reader: &Reader<Note>, id: u8) -> Option<u8> {
    reader.take(name(&[id])).map(|note| version(&note, id))
}

#[track_caller]
fn version(note: &Note, id: u8) -> u8 {
    assert_eq!((note.id, note.again), (id, [id, note.version]), "another session, or a torn one");
    note.version
}

fn post(mailbox: &Mailbox<Note>, live: &Arc<AtomicUsize>, id: u8, version: u8) -> bool {
    mailbox.update(name(&[id]), note(live, id, version))
}

/// The owner's steps begun and done; step 2 is a delete.
#[derive(Default)]
struct Progress {
    begun: AtomicU8,
    done: AtomicU8,
}

#[test]
fn readers_see_the_old_session_or_the_new_one_and_once_it_is_done_the_new_one() {
    explore(|| {
        let mut house = House::honest();
        let progress = Arc::new(Progress::default());
        house.update(7, 0).unwrap();
        let read = |reader: Reader<Note>, progress: Arc<Progress>| {
            move || {
                for _ in 0..2 {
                    let first = progress.done.load(Ordering::Acquire);
                    let found = lookup(&reader, 7);
                    let last = progress.begun.load(Ordering::Acquire);
                    match found {
                        Some(version) => assert!((first..=last).contains(&version), "{version}: {first} to {last}"),
                        // A miss is right if the session has changed meanwhile, or is deleted.
                        None => assert!(first < last || first == 2, "missed: {first} to {last}"),
                    }
                }
            }
        };
        let readers = [(); 2].map(|()| thread::spawn(read(house.cache.reader.clone(), Arc::clone(&progress))));
        for step in 1..=3 {
            progress.begun.store(step, Ordering::Release);
            match step {
                2 => assert!(house.cache.owner.delete(name(&[7]))),
                _ => house.update(7, step).unwrap(),
            }
            progress.done.store(step, Ordering::Release);
            assert_eq!(lookup(&house.cache.reader, 7), (step != 2).then_some(step), "the owner itself sees it");
        }
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        house.check_quiet(&[7]);
        assert_eq!(house.cache.owner.stats().false_claims, 0, "an honest guest tells no lie");
        house.check_end();
    });
}

#[test]
fn of_two_takers_one_gets_the_session() {
    explore(|| {
        let mut house = House::honest();
        house.update(7, 0).unwrap();
        house.update(8, 0).unwrap();
        let takers = [(); 2].map(|()| {
            let reader = house.cache.reader.clone();
            thread::spawn(move || usize::from(take(&reader, 7).is_some()))
        });
        let found = lookup(&house.cache.reader, 8);
        assert_eq!(found, Some(0), "others are not touched");
        let taken: usize = takers.map(|taker| taker.join().unwrap()).into_iter().sum();
        assert_eq!(taken, 1);
        house.check_quiet(&[8]);
        assert_eq!(house.cache.owner.stats().false_claims, 0);
        house.check_end();
    });
}

#[test]
fn a_reader_gets_a_session_that_has_been_posted() {
    explore(|| {
        let mut house = House::honest();
        assert!(
            post(house.cache.reader.mailbox(), &house.live, 7, 0)
                && post(house.cache.reader.mailbox(), &house.live, 8, 0)
        );
        let taker = house.cache.reader.clone();
        let taker = thread::spawn(move || {
            assert_eq!(take(&taker, 7), Some(0), "posted, and given to nobody else");
            assert_eq!(take(&taker, 7), None);
        });
        assert!(house.cache.reader.may_hold(name(&[8])));
        assert_eq!(lookup(&house.cache.reader, 8), Some(0), "posted");
        taker.join().unwrap();
        house.check_quiet(&[8]);
        house.check_end();
    });
}

#[test]
fn a_session_that_comes_again_while_it_is_taken_is_kept() {
    explore(|| {
        let mut house = House::honest();
        house.update(7, 0).unwrap();
        let taker = house.cache.reader.clone();
        let taker = thread::spawn(move || take(&taker, 7));
        house.update(7, 1).unwrap();
        let taken = taker.join().unwrap();
        house.cache.owner.settle();
        match taken {
            Some(1) => house.check_quiet(&[]),
            _ => house.check_quiet(&[7]),
        }
        assert_eq!(house.cache.owner.stats().false_claims, 0, "an honest guest tells no lie");
        house.check_end();
    });
}

#[test]
fn after_a_fault_every_session_of_the_vault_is_there_again() {
    explore(|| {
        let struck = [Callback::Lookup, Callback::Update, Callback::Delete][thread_rng().gen_range(0..3)];
        let calls = [(); 2].map(|()| thread_rng().gen_range(0..6));
        let stop = Arc::new(AtomicBool::new(false));
        let guest = strikes(struck, calls, Arc::clone(&stop));
        let mut house = House::open(config(), guest);
        house.update(1, 0).unwrap();
        house.update(2, 0).unwrap();
        let (reader, live) = (house.cache.reader.clone(), Arc::clone(&house.live));
        let other = thread::spawn(move || {
            lookup(&reader, 1);
            assert!(post(reader.mailbox(), &live, 3, 0));
            lookup(&reader, 3);
            let is_taken = take(&reader, 2).is_some();
            lookup(&reader, 1);
            is_taken
        });
        house.cache.owner.delete(name(b"absent"));
        lookup(&house.cache.reader, 1);
        house.come_back();
        let is_taken = other.join().unwrap();
        stop.store(true, Ordering::Release);
        house.come_back();
        // A take removes the session before the guest faults; without a guest to ask it removes nothing.
        let is_held = house.cache.reader.holds(name(&[2]));
        assert!(!(is_taken && is_held));
        let stats = house.cache.owner.stats();
        assert!(stats.faults(FaultKind::Trap) <= 2 && stats.restarts <= stats.faults(FaultKind::Trap));
        house.check_quiet(if is_held { &[1, 2, 3] } else { &[1, 3] });
        house.check_end();
    });
}

#[test]
fn an_upgrade_loses_no_session_and_makes_no_false_claim() {
    explore(|| {
        let mut house = House::honest();
        (1..=3).for_each(|id| house.update(id, 0).unwrap());
        let (reader, live) = (house.cache.reader.clone(), Arc::clone(&house.live));
        let taker = thread::spawn(move || {
            // Lost if it is taken before the new guest begins, and asked for once that guest serves.
            assert!(matches!(take(&reader, 1), None | Some(0)));
            assert!(post(reader.mailbox(), &live, 4, 0));
            assert!(matches!(take(&reader, 4), None | Some(0)));
            assert!(post(reader.mailbox(), &live, 5, 0));
        });
        let reader = house.cache.reader.clone();
        let looker = thread::spawn(move || {
            assert_eq!(lookup(&reader, 2), Some(0));
            assert_eq!(lookup(&reader, 3), Some(0));
        });
        let report = house.cache.owner.upgrade(Arc::new(NativeLru)).unwrap();
        assert_eq!((report.evicted, report.asked), (0, report.found));
        taker.join().unwrap();
        looker.join().unwrap();
        house.check_quiet(&[2, 3, 5]);
        let stats = house.cache.owner.stats();
        assert_eq!((stats.upgrades, stats.upgrades_refused, stats.false_claims), (1, 0, 0));
        house.check_end();
    });
}

#[test]
fn an_operators_suspension_loses_no_session_and_ends() {
    explore(|| {
        let mut house = House::honest();
        (1..=2).for_each(|id| house.update(id, 0).unwrap());
        let (reader, live) = (house.cache.reader.clone(), Arc::clone(&house.live));
        let operator = thread::spawn(move || {
            reader.mailbox().suspend();
            assert!(post(reader.mailbox(), &live, 3, 0));
            assert_eq!((lookup(&reader, 1), take(&reader, 2)), (None, None), "no guest is asked");
            assert!(reader.stats().is_suspended_by_operator);
            reader.mailbox().resume();
            // Faster than any operator.
            if thread_rng().gen_bool(0.5) {
                reader.mailbox().suspend();
                reader.mailbox().resume();
            }
        });
        let reader = house.cache.reader.clone();
        let looker = thread::spawn(move || {
            assert!(matches!(lookup(&reader, 1), None | Some(0)));
            assert!(matches!(lookup(&reader, 2), None | Some(0)));
        });
        house.update(4, 0).unwrap();
        house.cache.owner.delete(name(&[4]));
        if thread_rng().gen_bool(0.5) {
            house.cache.owner.upgrade(Arc::new(NativeLru)).unwrap();
        }
        house.update(5, 0).unwrap();
        operator.join().unwrap();
        looker.join().unwrap();
        house.come_back();
        house.check_quiet(&[1, 2, 3, 5]);
        let stats = house.cache.owner.stats();
        assert_eq!((stats.rollbacks, stats.false_claims, stats.faults.iter().sum::<u64>()), (0, 0, 0));
        house.check_end();
    });
}

#[test]
fn a_session_that_moves_does_not_come_after_a_revocation_where_it_was() {
    explore(|| {
        let mut house = House::honest();
        let (mut to, reader) = house.cache.owners.open::<Note>(config(), Arc::new(NativeLru)).unwrap();
        (1..=2).for_each(|id| house.update(id, 0).unwrap());
        let held = |reader: &Reader<Note>| [1, 2].map(|id| reader.holds(name(&[id])));
        let (from, other) = (house.cache.reader.clone(), reader.clone());
        let terms = to.mailbox().terms();
        let revoker = thread::spawn(move || {
            from.mailbox().revoke();
            held(&other)
        });
        let handed = house.cache.owner.hand_over(&mut to, terms);
        let at_revocation = revoker.join().unwrap();
        to.settle();
        house.cache.owner.settle();
        let last = held(&reader);
        assert!(last.iter().zip(at_revocation).all(|(last, then)| then || !last), "{at_revocation:?}, then {last:?}");
        let (here, there) = (house.cache.reader.size(), reader.size());
        assert_eq!((here.held, here.claimed), (0, None));
        assert_eq!((there.held, there.claimed), (handed, Some(handed as u64)));
        drop(to);
        house.check_end();
    });
}

#[test]
fn an_upgrade_to_a_guest_that_fails_leaves_the_old_one_with_every_session() {
    explore(|| {
        let mut house = House::honest();
        (1..=3).for_each(|id| house.update(id, 0).unwrap());
        let struck =
            [Callback::Init, Callback::Lookup, Callback::Update, Callback::Delete][thread_rng().gen_range(0..4)];
        let (reader, live) = (house.cache.reader.clone(), Arc::clone(&house.live));
        let other = thread::spawn(move || {
            assert!(post(reader.mailbox(), &live, 4, 0));
            assert_eq!(take(&reader, 1), Some(0));
            assert_eq!(lookup(&reader, 2), Some(0));
        });
        house.cache.owner.upgrade(strikes(struck, [0; 2], Arc::default())).unwrap_err();
        other.join().unwrap();
        house.check_quiet(&[2, 3, 4]);
        let stats = house.cache.owner.stats();
        assert_eq!((stats.upgrades, stats.upgrades_refused, stats.false_claims), (0, 1, 0));
        assert_eq!((stats.state, stats.faults.iter().sum::<u64>()), (CacheState::Running, 0));
        house.check_end();
    });
}

#[test]
fn a_new_guest_that_is_suspended_gives_way_with_every_session() {
    explore(|| {
        let mut house = House::honest();
        (1..=2).for_each(|id| house.update(id, 0).unwrap());
        let stop = Arc::new(AtomicBool::new(true));
        let is_good = Arc::clone(&stop);
        let bad = hooked(move |call| match call.callback() == Callback::Lookup && !is_good.load(Ordering::Acquire) {
            true => Err(Fault::Stack { limit_bytes: 1 }),
            false => Ok(()),
        });
        house.cache.owner.upgrade(bad).unwrap();
        stop.store(false, Ordering::Release);
        let (reader, live) = (house.cache.reader.clone(), Arc::clone(&house.live));
        let other = thread::spawn(move || {
            lookup(&reader, 1);
            assert!(post(reader.mailbox(), &live, 3, 0));
            (0..3).for_each(|_| _ = lookup(&reader, 2));
        });
        let mut rounds = 0;
        while house.cache.owner.stats().rollbacks == 0 {
            lookup(&house.cache.reader, 1);
            house.cache.owners.clock().advance(1_000);
            house.cache.owner.settle();
            rounds += 1;
            assert!(rounds < 1_000, "the old guest does not come back");
        }
        other.join().unwrap();
        house.come_back();
        house.check_quiet(&[1, 2, 3]);
        assert_eq!(house.cache.owner.stats().rollbacks, 1);
        house.check_end();
    });
}

#[test]
fn a_full_cache_never_shows_more_than_it_may_hold() {
    explore(|| {
        let mut config = config();
        config.limits.sessions = 2;
        // One instance evicts by itself. Two may choose differently, so they leave eviction to the vault.
        let keeps = if config.readers > 1 { 100 } else { 2 };
        let mut house = House::open(config, intercepted(Arc::new(NativeLru), move |_host| Keeps(keeps)));
        house.update(1, 0).unwrap();
        let (reader, live) = (house.cache.reader.clone(), Arc::clone(&house.live));
        let poster = thread::spawn(move || {
            for id in [2, 3] {
                assert!(post(reader.mailbox(), &live, id, 0));
                assert!(reader.size().held <= 2);
            }
            assert!(matches!(take(&reader, 3), None | Some(0)));
        });
        house.update(4, 0).unwrap();
        assert!(house.cache.reader.size().held <= 2);
        lookup(&house.cache.reader, 1);
        poster.join().unwrap();
        house.cache.owner.settle();
        let held: Vec<u8> = (1..=4).filter(|id| house.cache.reader.holds(name(&[*id]))).collect();
        assert!((1..=2).contains(&held.len()));
        house.check_quiet(&held);
        assert_eq!(house.cache.owner.stats().false_claims, 0, "an honest guest tells no lie");
        house.check_end();
    });
}

#[test]
fn after_a_revocation_nothing_from_before_is_found_and_what_came_after_is() {
    explore(|| {
        let mut house = House::honest();
        house.update(1, 0).unwrap();
        house.update(2, 0).unwrap();
        let before = house.cache.reader.mailbox().terms();
        let reader = house.cache.reader.clone();
        let revoker = thread::spawn(move || {
            reader.mailbox().revoke();
            assert_eq!((lookup(&reader, 1), take(&reader, 1)), (None, None), "found after the revocation");
            assert_ne!(lookup(&reader, 2), Some(0), "found after the revocation");
            assert!(!reader.holds(name(&[3])));
        });
        let (reader, live) = (house.cache.reader.clone(), Arc::clone(&house.live));
        let late = thread::spawn(move || {
            take(&reader, 1);
            // A handshake that began before the revocation, and may end after it.
            assert!(reader.mailbox().update_on(name(&[3]), note(&live, 3, 0), before));
        });
        // On the current terms, before or after the revocation.
        let renewed = house.update(2, 1);
        assert!(matches!(renewed, Ok(()) | Err(Refusal::Revoked)), "{renewed:?}");
        late.join().unwrap();
        revoker.join().unwrap();
        house.cache.owner.settle();
        assert!(!house.cache.reader.holds(name(&[3])), "a handshake from before the revocation leaves no session");
        let left = [1, 2].map(|id| house.cache.reader.holds(name(&[id])).then_some(id));
        let left: Vec<u8> = left.into_iter().flatten().collect();
        house.check_quiet(&left);
        assert_eq!(house.cache.owner.stats().false_claims, 0, "an honest guest tells no lie");
        house.check_end();
    });
}

#[test]
fn however_a_cache_ends_every_call_ends_and_no_session_is_left() {
    explore(|| {
        let House { cache: TestCache { owners, mut owner, reader }, live } = House::honest();
        owner.update(name(&[1]), note(&live, 1, 0)).unwrap();
        let others = [2, 3].map(|id| {
            let (reader, live) = (reader.clone(), Arc::clone(&live));
            thread::spawn(move || {
                let is_posted = post(reader.mailbox(), &live, id, 0);
                assert!(matches!(lookup(&reader, 1), None | Some(0)));
                let taken = take(&reader, id);
                assert!(is_posted || taken.is_none());
            })
        });
        match thread_rng().gen_range(0..4) {
            0 => drop(owner),
            1 => owner.terminate(),
            2 => {
                drop(owners);
                assert_eq!(owner.update(name(&[4]), note(&live, 4, 0)), Err(Refusal::Ended));
                assert!(!owner.delete(name(&[1])));
                owner.settle();
                owner.sweep();
                owner.terminate();
                return end(others, &reader, &live);
            }
            _ => {
                // The handle ends on another thread, while the owner threads end.
                let ending = thread::spawn(move || owner.terminate());
                drop(owners);
                ending.join().unwrap();
                return end(others, &reader, &live);
            }
        }
        drop(owners);
        end(others, &reader, &live);
    });
}

/// Waits for the others, after the cache has ended.
#[track_caller]
fn end(others: [thread::JoinHandle<()>; 2], reader: &Reader<Note>, live: &Arc<AtomicUsize>) {
    others.into_iter().for_each(|other| other.join().unwrap());
    assert_eq!(live.load(Ordering::Acquire), 0, "every session is wiped, though a reader is left");
    assert_eq!((reader.stats().state, reader.size().held), (CacheState::Ended, 0));
    assert_eq!((lookup(reader, 1), take(reader, 1)), (None, None));
    assert!(!post(reader.mailbox(), live, 5, 0));
    assert_eq!(live.load(Ordering::Acquire), 0);
}

#[test]
fn an_idle_cache_wakes_for_whoever_needs_it_and_nothing_is_lost() {
    explore(|| {
        let readers = 1 + thread_rng().gen_range(0..2);
        let config = CacheConfig { idle: Some(std::time::Duration::from_secs(1)), readers, ..config() };
        let mut house = House::open(config, Arc::new(NativeLru));
        house.update(1, 0).unwrap();
        house.update(2, 0).unwrap();
        let reader = house.cache.reader.clone();
        let looking = thread::spawn(move || {
            for _ in 0..2 {
                assert_eq!(lookup(&reader, 1), Some(0), "an idle cache gives its sessions");
            }
        });
        let (reader, live) = (house.cache.reader.clone(), Arc::clone(&house.live));
        let taking = thread::spawn(move || {
            assert_eq!(take(&reader, 2), Some(0), "nothing is used up while nobody could be asked");
            assert!(post(reader.mailbox(), &live, 3, 0));
        });
        for _ in 0..4 {
            house.cache.owners.clock().advance(1_000);
            house.cache.owner.settle();
        }
        looking.join().unwrap();
        taking.join().unwrap();
        house.check_quiet(&[1, 3]);
        assert_eq!(house.cache.owner.stats().restarts, 0, "to wake is no restart");
        house.check_end();
    });
}

#[test]
fn caches_on_one_thread_wake_it_each_for_itself() {
    explore(|| {
        let mut house = House::honest();
        let (mut owner, reader) = house.cache.owners.open::<Note>(config(), Arc::new(NativeLru)).unwrap();
        let live = Arc::clone(&house.live);
        let other = thread::spawn(move || {
            owner.update(name(&[1]), note(&live, 1, 1)).unwrap();
            assert_eq!(take(&reader, 1), Some(1));
            owner.settle();
            owner.terminate();
        });
        house.update(1, 0).unwrap();
        house.cache.owner.settle();
        assert_eq!(lookup(&house.cache.reader, 1), Some(0), "the other cache's session is another one");
        other.join().unwrap();
        house.check_quiet(&[1]);
        house.check_end();
    });
}
