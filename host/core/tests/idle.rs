//! Caches that nobody uses: their instances are given up, their sessions stay, and the next use brings them back.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use innkeeper_core::{
    Acc, CacheConfig, CacheRef, CacheState, Call, Callback, Callbacks, Claim, Clock, Fault, FoldFun, Guest, Host,
    InitArgs, Key, Limits, Miss, Name, NativeLru, Owner, Owners, PartialKey, Reader, Role, Secret, Session, SizeClass,
};

/// The native guest, whose instances are counted, and which does not start where it is told so.
#[derive(Default)]
struct Counted {
    live: AtomicUsize,
    ended: AtomicU64,
    /// How often `init` is to fail.
    failures: AtomicU64,
}

struct Counting(Arc<Counted>);

struct CountedInstance {
    counted: Arc<Counted>,
    inner: Box<dyn Callbacks>,
}

impl Guest for Counting {
    fn instantiate(&self, host: Arc<dyn Host>, limits: &Limits) -> Result<Box<dyn Callbacks>, Fault> {
        let inner = NativeLru.instantiate(host, limits)?;
        self.0.live.fetch_add(1, Ordering::AcqRel);
        Ok(Box::new(CountedInstance { counted: Arc::clone(&self.0), inner }))
    }
}

impl Drop for CountedInstance {
    fn drop(&mut self) {
        self.counted.live.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Callbacks for CountedInstance {
    fn init(&mut self, call: &mut Call, args: &InitArgs) -> Result<CacheRef, Fault> {
        let failures = &self.counted.failures;
        if failures.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok() {
            return Err(Fault::Trap { reason: "it does not start".into() });
        }
        self.inner.init(call, args)
    }
    fn terminate(&mut self, call: &mut Call, cache: CacheRef) -> Result<(), Fault> {
        self.counted.ended.fetch_add(1, Ordering::AcqRel);
        self.inner.terminate(call, cache)
    }
    fn update(&mut self, call: &mut Call, cache: CacheRef, key: Key, session: Session) -> Result<(), Fault> {
        self.inner.update(call, cache, key, session)
    }
    fn delete(&mut self, call: &mut Call, cache: CacheRef, key: Key) -> Result<(), Fault> {
        self.inner.delete(call, cache, key)
    }
    fn lookup(&mut self, call: &mut Call, cache: CacheRef, key: Key) -> Result<Option<Claim>, Fault> {
        self.inner.lookup(call, cache, key)
    }
    fn select_session(&mut self, call: &mut Call, cache: CacheRef, partial: PartialKey) -> Result<Vec<Claim>, Fault> {
        self.inner.select_session(call, cache, partial)
    }
    fn size(&mut self, call: &mut Call, cache: CacheRef) -> Result<u64, Fault> {
        self.inner.size(call, cache)
    }
    fn foldl(&mut self, call: &mut Call, fun: FoldFun, acc: Acc, cache: CacheRef) -> Result<Acc, Fault> {
        self.inner.foldl(call, fun, acc, cache)
    }
}

const IDLE_MS: u64 = 1_000;

struct House {
    owner: Owner<Secret>,
    reader: Reader<Secret>,
    counted: Arc<Counted>,
    clock: Clock,
    _owners: Owners,
}

impl House {
    /// A cache with five sessions.
    fn open(readers: usize) -> Self {
        let clock = Clock::manual();
        let owners = Owners::new(1, clock.clone());
        let counted = Arc::<Counted>::default();
        let idle = Some(Duration::from_millis(IDLE_MS));
        let mut config = CacheConfig { readers, idle, ..CacheConfig::new("a", Role::Server, limits()) };
        config.limits.read.time = Duration::from_secs(10);
        let (mut owner, reader) = owners.open(config, Arc::new(Counting(Arc::clone(&counted)))).unwrap();
        (0..5).for_each(|id| owner.update(name(&[id]), secret()).unwrap());
        Self { owner, reader, counted, clock, _owners: owners }
    }

    /// Lets time pass in which nobody uses the cache.
    fn pass(&mut self) {
        self.clock.advance(IDLE_MS);
        self.owner.settle();
        // Once more: what is to be told as an instance ends comes in turns of its own.
        self.owner.settle();
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

    /// As when nobody has come for a long time.
    fn sleep_long(&mut self) {
        self.fall_asleep();
        self.clock.advance(100 * IDLE_MS);
    }

    fn state(&self) -> CacheState {
        self.owner.stats().state
    }
}

fn limits() -> Limits {
    Limits::new(SizeClass::Small)
}

fn name(id: &[u8]) -> Name<'_> {
    Name { partial: b"a", id }
}

fn secret() -> Secret {
    Secret::new(b"session".to_vec())
}

#[test]
fn what_nobody_asks_gives_its_instances_up_and_keeps_its_sessions() {
    for readers in [1, 3] {
        let mut house = House::open(readers);
        assert_eq!(house.counted.live.load(Ordering::Acquire), readers);
        house.sleep_long();
        let stats = house.owner.stats();
        assert_eq!((stats.sessions, stats.memory_bytes, stats.wakes, stats.restarts), (5, 0, 0, 0));
        assert_eq!(house.counted.ended.load(Ordering::Acquire), readers as u64, "each was told that its cache ends");
        assert!(house.reader.lookup(name(&[9])).is_none());
        assert_eq!(house.state(), CacheState::Idle, "what the vault does not hold wakes nobody");
        for id in 0..5 {
            assert!(house.reader.lookup(name(&[id])).is_some(), "session {id} is there");
        }
        // The first instance was there in time; the others come after it.
        for _ in 0..1_000_000 {
            if house.state() == CacheState::Running {
                break;
            }
            house.owner.settle();
        }
        let stats = house.owner.stats();
        assert_eq!((stats.state, stats.wakes, stats.restarts), (CacheState::Running, readers as u64, 0));
        assert_eq!((stats.hits, house.reader.size().claimed), (5, Some(5)));
    }
}

#[test]
fn a_cache_in_use_keeps_its_instances() {
    let mut house = House::open(1);
    for _ in 0..10 {
        assert!(house.reader.lookup(name(&[1])).is_some());
        house.pass();
    }
    assert_eq!((house.state(), house.owner.stats().wakes), (CacheState::Running, 0));
}

#[test]
fn every_use_wakes_a_cache() {
    let uses: [fn(&mut House); 6] = [
        |house| assert!(house.reader.take(name(&[1])).is_some()),
        |house| assert_eq!(house.reader.size().claimed, Some(5)),
        |house| assert_eq!(house.reader.select_session(b"a", 9).len(), 5),
        |house| assert_eq!(house.reader.foldl(0, |n, _| n + 1), Ok(5)),
        |house| house.owner.update(name(&[6]), secret()).unwrap(),
        |house| assert_eq!(house.owner.upgrade(Arc::new(NativeLru)).unwrap().sessions, 5),
    ];
    for (number, one) in uses.into_iter().enumerate() {
        let mut house = House::open(1);
        house.sleep_long();
        one(&mut house);
        house.owner.settle();
        let size = house.reader.size();
        assert_eq!(size.claimed, Some(size.held as u64), "use {number}");
        assert_eq!(house.state(), CacheState::Running, "use {number}");
    }
}

#[test]
fn what_is_deleted_or_expires_meanwhile_is_not_given_and_wakes_nobody() {
    let mut house = House::open(1);
    house.fall_asleep();
    assert!(house.owner.delete(name(&[1])));
    assert_eq!(house.reader.mailbox().revoke(), 4);
    house.owner.settle();
    assert_eq!(house.state(), CacheState::Idle);
    assert!(house.reader.lookup(name(&[2])).is_none());
    assert!(house.reader.take(name(&[3])).is_none());
    assert_eq!((house.state(), house.owner.stats().misses(Miss::Absent)), (CacheState::Idle, 2));
}

#[test]
fn a_guest_that_does_not_start_again_uses_nothing_up() {
    let mut house = House::open(1);
    house.fall_asleep();
    house.counted.failures.store(1, Ordering::Release);
    assert!(house.reader.take(name(&[1])).is_none());
    assert_eq!((house.reader.size().held, house.owner.stats().misses(Miss::Down)), (5, 1));
    for _ in 0..1_000 {
        house.clock.advance(100);
        house.owner.settle();
        if house.state() == CacheState::Running {
            break;
        }
    }
    let stats = house.owner.stats();
    assert_eq!((stats.state, stats.restarts, stats.calls(Callback::Terminate)), (CacheState::Running, 1, 1));
    assert!(house.reader.take(name(&[1])).is_some());
}

#[test]
fn an_operator_suspends_and_resumes_an_idle_cache() {
    let mut house = House::open(1);
    house.fall_asleep();
    house.reader.mailbox().suspend();
    assert!(house.reader.take(name(&[1])).is_none());
    assert_eq!((house.state(), house.reader.size().held), (CacheState::Suspended, 5));
    house.reader.mailbox().resume();
    assert!(house.reader.take(name(&[1])).is_some());
}
