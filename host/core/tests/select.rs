//! Selection among the sessions of a partial key, with honest and lying guests.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::sync::{Arc, Mutex};

use innkeeper_core::{
    CacheConfig, CacheRef, Call, Callback, Callbacks, Claim, Fault, Key, Miss, Name, NativeLru, PartialKey, Role,
    Secret, Session,
};
use innkeeper_doubles::{Intercept, TestCache, intercepted, patient};

/// A test's answer to `select-session`, from all sessions that the guest was ever given, oldest first.
type Choice = Arc<dyn Fn(&[Claim]) -> Result<Vec<Claim>, Fault> + Send + Sync>;

/// The choice that every instance makes now.
type Choosy = Mutex<Choice>;

/// A change to the native guest: `select-session` answers as the test chooses.
struct ChoosyInstance {
    choosy: Arc<Choosy>,
    given: Vec<Claim>,
}

impl Intercept for ChoosyInstance {
    fn update(
        &mut self,
        inner: &mut dyn Callbacks,
        call: &mut Call,
        cache: CacheRef,
        key: Key,
        session: Session,
    ) -> Result<(), Fault> {
        self.given.push(session.into());
        inner.update(call, cache, key, session)
    }
    fn select_session(
        &mut self,
        _: &mut dyn Callbacks,
        _: &mut Call,
        _: CacheRef,
        _: PartialKey,
    ) -> Result<Vec<Claim>, Fault> {
        let choice = Arc::clone(&self.choosy.lock().unwrap());
        choice(&self.given)
    }
}

struct House {
    cache: TestCache,
    choosy: Arc<Choosy>,
}

impl House {
    /// Opens a cache with sessions 0 to 9 of `a`, and one of `b`.
    fn open() -> Self {
        let choosy: Arc<Choosy> = Arc::new(Mutex::new(Arc::new(|given| Ok(given.to_vec()))));
        let shared = Arc::clone(&choosy);
        let guest = intercepted(Arc::new(NativeLru), move |_host| ChoosyInstance {
            choosy: Arc::clone(&shared),
            given: Vec::new(),
        });
        let mut cache = TestCache::open(CacheConfig { role: Role::Client, ..patient() }, guest);
        for id in 0..10_u8 {
            cache.owner.update(Name { partial: b"a", id: &[id] }, Secret::new(vec![id])).unwrap();
        }
        cache.owner.update(Name { partial: b"b", id: &[0] }, Secret::new(vec![99])).unwrap();
        Self { cache, choosy }
    }

    fn choose(&self, choice: impl Fn(&[Claim]) -> Vec<Claim> + Send + Sync + 'static) {
        *self.choosy.lock().unwrap() = Arc::new(move |given| Ok(choice(given)));
    }

    fn take(&self) -> Result<u8, Miss> {
        self.cache.reader.take_selected(b"a", |_| true).map(|taken| taken.value.expose()[0])
    }

    fn asked(&self) -> u64 {
        self.cache.reader.stats().calls(Callback::SelectSession)
    }
}

#[test]
fn the_guests_order_decides_and_a_session_is_taken_once() {
    let mut house = House::open();
    assert_eq!((house.take(), house.take()), (Ok(0), Ok(1)));
    house.choose(|given| given.iter().rev().copied().collect());
    assert_eq!((house.take(), house.take()), (Ok(9), Ok(8)));
    let odd = house.cache.reader.take_selected(b"a", |value| value.expose()[0] % 2 == 1).unwrap();
    assert_eq!((odd.value.expose(), odd.expires_ms), ([7_u8].as_slice(), 24 * 60 * 60 * 1_000 + 1));
    house.cache.owner.settle();
    assert_eq!(
        (house.cache.reader.size().held, house.cache.reader.size().claimed),
        (6, Some(6)),
        "the guest has been told"
    );
    assert_eq!((house.cache.reader.stats().hits, house.asked()), (5, 5), "one call each");
}

#[test]
fn a_session_that_is_picked_stays() {
    let house = House::open();
    for _ in 0..2 {
        let picked =
            house.cache.reader.pick_selected(b"a", |value| (value.expose()[0] == 3).then(|| value.clone())).unwrap();
        assert_eq!((picked.name.name().id, picked.value.expose()), ([3].as_slice(), [3].as_slice()));
        assert_eq!(picked.expires_ms, 24 * 60 * 60 * 1_000 + 1);
    }
    let none = house.cache.reader.pick_selected(b"a", |_| None::<()>);
    assert_eq!(none.err(), Some(Miss::Declined));
    let stats = house.cache.reader.stats();
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
    assert_eq!(house.cache.reader.stats().false_claims, 5);
    house.choose(|given| vec![given[1], given[1]]);
    assert_eq!(house.cache.reader.take_selected(b"a", |_| false), Err(Miss::Declined));
    assert_eq!(house.cache.reader.stats().false_claims, 6, "each is named once");
    house.choose(|given| vec![given[0]]);
    assert_eq!((house.take(), house.take()), (Ok(0), Err(Miss::Declined)));
    assert_eq!(house.cache.reader.stats().false_claims, 6, "it was true a moment ago, but gives no session");
    house.choose(|given| [vec![Claim(7); 256], given.to_vec()].concat());
    assert_eq!(house.take(), Err(Miss::Declined), "nobody looks further");
    assert_eq!(house.cache.reader.stats().false_claims, 262);
}

#[test]
fn a_guest_that_cannot_be_asked_or_fails_is_a_miss_of_that_kind() {
    let mut house = House::open();
    house.cache.reader.mailbox().suspend();
    assert_eq!(house.take(), Err(Miss::Down));
    house.cache.reader.mailbox().resume();
    house.cache.owner.settle();
    house.cache.owners.clock().advance(24 * 60 * 60 * 1_000);
    house.cache.owner.update(Name { partial: b"b", id: b"new" }, Secret::new(vec![1])).unwrap();
    while house.cache.reader.size().claimed.is_none() {
        house.cache.owner.settle();
    }
    assert_eq!(house.take(), Err(Miss::Declined), "all of them are past their lives");
    *house.choosy.lock().unwrap() = Arc::new(|_| Err(Fault::Trap { reason: "struck".into() }));
    assert_eq!(house.take(), Err(Miss::Fault));
    house.cache.reader.mailbox().revoke();
    let asked = house.asked();
    assert_eq!((house.take(), house.asked()), (Err(Miss::Absent), asked), "an empty vault needs no guest");
    assert_eq!(house.cache.reader.pick_selected(b"a", |_| Some(())).err(), Some(Miss::Absent));
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
    assert_eq!(house.cache.reader.stats().false_claims, 0, "an honest guest tells no lie");
}
