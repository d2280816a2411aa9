//! Unused caches: they give up their instances, keep their sessions, and the next use builds new instances.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use innkeeper_core::{CacheConfig, CacheState, Call, Callback, Fault, Guest, Miss, NativeLru};
use innkeeper_doubles::{Intercept, TestCache, intercepted, name, patient, secret};

/// Counts of the native guest's instances, and how many of them fail to start.
#[derive(Default)]
struct Counted {
    live: AtomicUsize,
    ended: AtomicU64,
    /// The number of `init` calls still to fail.
    failures: AtomicU64,
}

struct CountedInstance(Arc<Counted>);

impl Drop for CountedInstance {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Intercept for CountedInstance {
    fn before(&mut self, call: &mut Call) -> Result<(), Fault> {
        match call.callback() {
            Callback::Init => {
                let failures = &self.0.failures;
                match failures.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)) {
                    Ok(_) => Err(Fault::Trap { reason: "it does not start".into() }),
                    Err(_) => Ok(()),
                }
            }
            Callback::Terminate => {
                self.0.ended.fetch_add(1, Ordering::AcqRel);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn counting(counted: &Arc<Counted>) -> Arc<dyn Guest> {
    let counted = Arc::clone(counted);
    intercepted(Arc::new(NativeLru), move |_host| {
        counted.live.fetch_add(1, Ordering::AcqRel);
        CountedInstance(Arc::clone(&counted))
    })
}

const IDLE_MS: u64 = 1_000;

struct House {
    cache: TestCache,
    counted: Arc<Counted>,
}

impl House {
    /// A cache with five sessions.
    fn open(readers: usize) -> Self {
        let counted = Arc::<Counted>::default();
        let idle = Some(Duration::from_millis(IDLE_MS));
        let mut cache = TestCache::open(CacheConfig { readers, idle, ..patient() }, counting(&counted));
        (0..5).for_each(|id| cache.owner.update(name(&[id]), secret()).unwrap());
        Self { cache, counted }
    }

    /// Advances the clock while nobody uses the cache.
    fn pass(&mut self) {
        self.cache.clock().advance(IDLE_MS);
        self.cache.owner.settle();
        // Once more: `terminate` of an instance takes a separate turn.
        self.cache.owner.settle();
    }

    fn fall_asleep(&mut self) {
        for _ in 0..1_000 {
            self.pass();
            if self.state() == CacheState::Idle && self.counted.live.load(Ordering::Acquire) == 0 {
                return;
            }
        }
        panic!("the cache is {}", self.state().name());
    }

    /// Waits until the cache is idle, and then much longer.
    fn sleep_long(&mut self) {
        self.fall_asleep();
        self.cache.clock().advance(100 * IDLE_MS);
    }

    fn state(&self) -> CacheState {
        self.cache.state()
    }
}

#[test]
fn what_nobody_asks_gives_its_instances_up_and_keeps_its_sessions() {
    for readers in [1, 3] {
        let mut house = House::open(readers);
        assert_eq!(house.counted.live.load(Ordering::Acquire), readers);
        house.sleep_long();
        let stats = house.cache.owner.stats();
        assert_eq!((stats.sessions, stats.memory_bytes, stats.wakes, stats.restarts), (5, 0, 0, 0));
        assert_eq!(house.counted.ended.load(Ordering::Acquire), readers as u64, "each was told that its cache ends");
        assert!(house.cache.reader.lookup(name(&[9])).is_none());
        assert_eq!(house.state(), CacheState::Idle, "what the vault does not hold wakes nobody");
        for id in 0..5 {
            assert!(house.cache.reader.lookup(name(&[id])).is_some(), "session {id} is there");
        }
        // The first instance came in time; the others follow.
        for _ in 0..1_000_000 {
            if house.state() == CacheState::Running {
                break;
            }
            house.cache.owner.settle();
        }
        let stats = house.cache.owner.stats();
        assert_eq!((stats.state, stats.wakes, stats.restarts), (CacheState::Running, readers as u64, 0));
        assert_eq!((stats.hits, house.cache.reader.size().claimed), (5, Some(5)));
    }
}

#[test]
fn a_cache_in_use_keeps_its_instances() {
    let mut house = House::open(1);
    for _ in 0..10 {
        assert!(house.cache.reader.lookup(name(&[1])).is_some());
        house.pass();
    }
    assert_eq!((house.state(), house.cache.owner.stats().wakes), (CacheState::Running, 0));
}

#[test]
fn every_use_wakes_a_cache() {
    let uses: [fn(&mut House); 6] = [
        |house| assert!(house.cache.reader.take(name(&[1])).is_some()),
        |house| assert_eq!(house.cache.reader.size().claimed, Some(5)),
        |house| assert_eq!(house.cache.reader.select_session(b"a", 9).len(), 5),
        |house| assert_eq!(house.cache.reader.foldl(0, |n, _| n + 1), Ok(5)),
        |house| house.cache.owner.update(name(&[6]), secret()).unwrap(),
        |house| assert_eq!(house.cache.owner.upgrade(Arc::new(NativeLru)).unwrap().sessions, 5),
    ];
    for (number, one) in uses.into_iter().enumerate() {
        let mut house = House::open(1);
        house.sleep_long();
        one(&mut house);
        house.cache.owner.settle();
        let size = house.cache.reader.size();
        assert_eq!(size.claimed, Some(size.held as u64), "use {number}");
        assert_eq!(house.state(), CacheState::Running, "use {number}");
    }
}

#[test]
fn what_is_deleted_or_expires_meanwhile_is_not_given_and_wakes_nobody() {
    let mut house = House::open(1);
    house.fall_asleep();
    assert!(house.cache.owner.delete(name(&[1])));
    assert_eq!(house.cache.reader.mailbox().revoke(), 4);
    house.cache.owner.settle();
    assert_eq!(house.state(), CacheState::Idle);
    assert!(house.cache.reader.lookup(name(&[2])).is_none());
    assert!(house.cache.reader.take(name(&[3])).is_none());
    assert_eq!((house.state(), house.cache.owner.stats().misses(Miss::Absent)), (CacheState::Idle, 2));
}

#[test]
fn a_guest_that_does_not_start_again_uses_nothing_up() {
    let mut house = House::open(1);
    house.fall_asleep();
    house.counted.failures.store(1, Ordering::Release);
    assert!(house.cache.reader.take(name(&[1])).is_none());
    assert_eq!((house.cache.reader.size().held, house.cache.owner.stats().misses(Miss::Down)), (5, 1));
    for _ in 0..1_000 {
        house.cache.clock().advance(100);
        house.cache.owner.settle();
        if house.state() == CacheState::Running {
            break;
        }
    }
    let stats = house.cache.owner.stats();
    assert_eq!((stats.state, stats.restarts, stats.calls(Callback::Terminate)), (CacheState::Running, 1, 1));
    assert!(house.cache.reader.take(name(&[1])).is_some());
}

#[test]
fn an_operator_suspends_and_resumes_an_idle_cache() {
    let mut house = House::open(1);
    house.fall_asleep();
    house.cache.reader.mailbox().suspend();
    assert!(house.cache.reader.take(name(&[1])).is_none());
    assert_eq!((house.state(), house.cache.reader.size().held), (CacheState::Suspended, 5));
    house.cache.reader.mailbox().resume();
    assert!(house.cache.reader.take(name(&[1])).is_some());
}
