//! Choosing among the sessions of a partial key, whatever the guest says.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use innkeeper_core::{
    Acc, CacheConfig, CacheRef, Call, Callback, Callbacks, Claim, Clock, Fault, FoldFun, Guest, Host, InitArgs, Key,
    Limits, Miss, Name, NativeLru, Owner, Owners, PartialKey, Reader, Role, Secret, Session, SizeClass,
};

/// What a test makes of the sessions that a guest would name: all it was ever given, oldest first.
type Choice = Arc<dyn Fn(&[Claim]) -> Result<Vec<Claim>, Fault> + Send + Sync>;

/// The native guest, but for `select-session`.
struct Choosy(Mutex<Choice>);

struct ChoosyInstance {
    guest: Arc<Choosy>,
    given: Vec<Claim>,
    inner: Box<dyn Callbacks>,
}

struct Shared(Arc<Choosy>);

impl Guest for Shared {
    fn instantiate(&self, host: Arc<dyn Host>, limits: &Limits) -> Result<Box<dyn Callbacks>, Fault> {
        let inner = NativeLru.instantiate(host, limits)?;
        Ok(Box::new(ChoosyInstance { guest: Arc::clone(&self.0), given: Vec::new(), inner }))
    }
}

impl Callbacks for ChoosyInstance {
    fn init(&mut self, call: &mut Call, args: &InitArgs) -> Result<CacheRef, Fault> {
        self.inner.init(call, args)
    }
    fn terminate(&mut self, call: &mut Call, cache: CacheRef) -> Result<(), Fault> {
        self.inner.terminate(call, cache)
    }
    fn update(&mut self, call: &mut Call, cache: CacheRef, key: Key, session: Session) -> Result<(), Fault> {
        self.given.push(session.into());
        self.inner.update(call, cache, key, session)
    }
    fn delete(&mut self, call: &mut Call, cache: CacheRef, key: Key) -> Result<(), Fault> {
        self.inner.delete(call, cache, key)
    }
    fn lookup(&mut self, call: &mut Call, cache: CacheRef, key: Key) -> Result<Option<Claim>, Fault> {
        self.inner.lookup(call, cache, key)
    }
    fn select_session(&mut self, _: &mut Call, _: CacheRef, _: PartialKey) -> Result<Vec<Claim>, Fault> {
        let choice = Arc::clone(&self.guest.0.lock().unwrap());
        choice(&self.given)
    }
    fn size(&mut self, call: &mut Call, cache: CacheRef) -> Result<u64, Fault> {
        self.inner.size(call, cache)
    }
    fn foldl(&mut self, call: &mut Call, fun: FoldFun, acc: Acc, cache: CacheRef) -> Result<Acc, Fault> {
        self.inner.foldl(call, fun, acc, cache)
    }
}

struct House {
    owner: Owner<Secret>,
    reader: Reader<Secret>,
    guest: Arc<Choosy>,
    owners: Owners,
}

impl House {
    /// With sessions 0 to 9 of `a`, and one of `b`.
    fn open() -> Self {
        let owners = Owners::new(1, Clock::manual());
        let mut config = CacheConfig::new("test", Role::Client, Limits::new(SizeClass::Small));
        // Nothing may be missed here because the machine is busy.
        config.limits.read.time = Duration::from_secs(10);
        let guest = Arc::new(Choosy(Mutex::new(Arc::new(|given| Ok(given.to_vec())))));
        let (mut owner, reader) = owners.open(config, Arc::new(Shared(Arc::clone(&guest)))).unwrap();
        for id in 0..10_u8 {
            owner.update(Name { partial: b"a", id: &[id] }, Secret::new(vec![id])).unwrap();
        }
        owner.update(Name { partial: b"b", id: &[0] }, Secret::new(vec![99])).unwrap();
        Self { owner, reader, guest, owners }
    }

    fn choose(&self, choice: impl Fn(&[Claim]) -> Vec<Claim> + Send + Sync + 'static) {
        *self.guest.0.lock().unwrap() = Arc::new(move |given| Ok(choice(given)));
    }

    fn take(&self) -> Result<u8, Miss> {
        self.reader.take_selected(b"a", |_| true).map(|taken| taken.value.expose()[0])
    }

    fn asked(&self) -> u64 {
        self.reader.stats().calls(Callback::SelectSession)
    }
}

#[test]
fn the_guests_order_decides_and_a_session_is_taken_once() {
    let mut house = House::open();
    assert_eq!((house.take(), house.take()), (Ok(0), Ok(1)));
    house.choose(|given| given.iter().rev().copied().collect());
    assert_eq!((house.take(), house.take()), (Ok(9), Ok(8)));
    let odd = house.reader.take_selected(b"a", |value| value.expose()[0] % 2 == 1).unwrap();
    assert_eq!((odd.value.expose(), odd.expires_ms), ([7_u8].as_slice(), 24 * 60 * 60 * 1_000 + 1));
    house.owner.settle();
    assert_eq!((house.reader.size().held, house.reader.size().claimed), (6, Some(6)), "the guest has been told");
    assert_eq!((house.reader.stats().hits, house.asked()), (5, 5), "one call each");
}

#[test]
fn a_session_that_is_picked_stays() {
    let house = House::open();
    for _ in 0..2 {
        let picked = house.reader.pick_selected(b"a", |value| (value.expose()[0] == 3).then(|| value.clone())).unwrap();
        assert_eq!((picked.name.name().id, picked.value.expose()), ([3].as_slice(), [3].as_slice()));
        assert_eq!(picked.expires_ms, 24 * 60 * 60 * 1_000 + 1);
    }
    let none = house.reader.pick_selected(b"a", |_| None::<()>);
    assert_eq!(none.err(), Some(Miss::Declined));
    let stats = house.reader.stats();
    assert_eq!((stats.hits, stats.misses(Miss::Declined), stats.sessions), (2, 1, 11));
}

#[test]
fn lies_are_counted_and_give_nothing() {
    let house = House::open();
    house.choose(|given| {
        let foreign = given[10];
        vec![Claim(0), Claim(u64::MAX), Claim(1 << 52), foreign, foreign]
    });
    assert_eq!(house.take(), Err(Miss::Declined));
    assert_eq!(house.reader.stats().false_claims, 5);
    house.choose(|given| vec![given[1], given[1]]);
    assert_eq!(house.reader.take_selected(b"a", |_| false), Err(Miss::Declined));
    assert_eq!(house.reader.stats().false_claims, 6, "each is named once");
    house.choose(|given| vec![given[0]]);
    assert_eq!((house.take(), house.take()), (Ok(0), Err(Miss::Declined)));
    assert_eq!(house.reader.stats().false_claims, 6, "it was true a moment ago, and gives nothing all the same");
    house.choose(|given| [vec![Claim(7); 256], given.to_vec()].concat());
    assert_eq!(house.take(), Err(Miss::Declined), "nobody looks further");
    assert_eq!(house.reader.stats().false_claims, 262);
}

#[test]
fn a_guest_that_cannot_be_asked_or_fails_is_a_miss_of_that_kind() {
    let mut house = House::open();
    house.reader.mailbox().suspend();
    assert_eq!(house.take(), Err(Miss::Down));
    house.reader.mailbox().resume();
    house.owner.settle();
    house.owners.clock().advance(24 * 60 * 60 * 1_000);
    house.owner.update(Name { partial: b"b", id: b"new" }, Secret::new(vec![1])).unwrap();
    while house.reader.size().claimed.is_none() {
        house.owner.settle();
    }
    assert_eq!(house.take(), Err(Miss::Declined), "all of them are past their lives");
    *house.guest.0.lock().unwrap() = Arc::new(|_| Err(Fault::Trap { reason: "struck".into() }));
    assert_eq!(house.take(), Err(Miss::Fault));
    house.reader.mailbox().revoke();
    let asked = house.asked();
    assert_eq!((house.take(), house.asked()), (Err(Miss::Absent), asked), "an empty vault needs no guest");
    assert_eq!(house.reader.pick_selected(b"a", |_| Some(())).err(), Some(Miss::Absent));
}

#[test]
fn of_many_callers_each_gets_another_session() {
    let house = House::open();
    house.choose(|given| given[..10].to_vec());
    let taken = std::thread::scope(|scope| {
        let takers: Vec<_> = (0..4).map(|_| scope.spawn(|| [(); 4].map(|()| house.take().ok()))).collect();
        let mut taken: Vec<u8> = takers.into_iter().flat_map(|taker| taker.join().unwrap()).flatten().collect();
        taken.sort_unstable();
        taken
    });
    assert_eq!(taken, (0..10).collect::<Vec<u8>>());
    assert_eq!(house.reader.stats().false_claims, 0, "an honest guest tells no lie");
}
