//! Owners and readers over native callbacks, well and badly behaved.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    cell::Cell,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use innkeeper_core::{
    CacheConfig, CacheState, Callback, Callbacks, Clock, Fault, FaultKind, Guest, Mailbox, Miss, NativeLru, OpenError,
    Owner, Owners, Reader, Refusal, Secret,
};
use innkeeper_doubles::{Intercept, TestCache, come_back, hooked, intercepted, name, patient, secret};

fn open(owners: &Owners, config: CacheConfig, guest: Arc<dyn Guest>) -> (Owner<Secret>, Reader<Secret>) {
    owners.open(config, guest).expect("the cache opens")
}

#[test]
fn after_any_fault_the_cache_comes_back_by_itself_with_every_session() {
    let owners = Owners::new(1, Clock::manual());
    for kind in [FaultKind::Trap, FaultKind::Panic] {
        for callback in [Callback::Lookup, Callback::Update, Callback::Delete] {
            let strikes = Arc::new(Mutex::new(0));
            let left = Arc::clone(&strikes);
            let guest = hooked(move |call| {
                let is_struck = call.callback() == callback && {
                    let mut strikes = left.lock().unwrap();
                    *strikes -= 1;
                    *strikes == -1
                };
                match kind {
                    // A bug of the host, without the message of a panic.
                    FaultKind::Panic if is_struck => std::panic::resume_unwind(Box::new(())),
                    _ if is_struck => Err(Fault::Trap { reason: "struck".into() }),
                    _ => Ok(()),
                }
            });
            *strikes.lock().unwrap() = i32::MAX;
            let (mut owner, reader) = open(&owners, patient(), guest);
            for id in 0..20_u8 {
                owner.update(name(&[id]), secret()).unwrap();
            }
            *strikes.lock().unwrap() = 0;
            owner.update(name(b"more"), secret()).unwrap();
            owner.delete(name(b"absent"));
            let first = reader.lookup(name(&[1]));
            assert_eq!(first.is_none(), callback == Callback::Lookup || owner.stats().misses(Miss::Down) == 1);
            assert_eq!(owner.stats().faults(kind), 1, "{kind:?} in {callback:?}");
            come_back(&owners, &mut owner);
            assert_eq!(owner.stats().restarts, 1);
            assert!((0..20_u8).all(|id| reader.lookup(name(&[id])).is_some()), "{kind:?} in {callback:?}");
            assert!(reader.lookup(name(b"more")).is_some(), "the update itself is kept, too");
        }
    }
}

#[test]
fn with_two_readers_a_fault_in_one_leaves_the_other() {
    let owners = Owners::new(1, Clock::manual());
    let strikes = Arc::new(Mutex::new(1));
    let guest = hooked(move |call| {
        let mut strikes = strikes.lock().unwrap();
        if call.callback() == Callback::Lookup && *strikes > 0 {
            *strikes -= 1;
            return Err(Fault::Stack { limit_bytes: 1 });
        }
        Ok(())
    });
    let mut config = patient();
    config.readers = 2;
    let (mut owner, reader) = open(&owners, config, guest);
    owner.update(name(b"1"), secret()).unwrap();
    assert!(reader.lookup(name(b"1")).is_none());
    assert!(reader.lookup(name(b"1")).is_some(), "the other instance answers");
    come_back(&owners, &mut owner);
    assert!(reader.lookup(name(b"1")).is_some());
}

/// A guest whose `update` reports its begin, then waits for permission.
fn gated() -> (Arc<dyn Guest>, Receiver<()>, Sender<()>) {
    let (begin, begun) = channel();
    let (leave, left) = channel();
    let gate = Mutex::new((begin, left));
    let guest = hooked(move |call| {
        if call.callback() == Callback::Update {
            let gate = gate.lock().unwrap();
            // After the test has ended both channels are closed.
            let _ = gate.0.send(());
            let _ = gate.1.recv();
        }
        Ok(())
    });
    (guest, begun, leave)
}

#[test]
fn a_storm_on_one_cache_delays_another_by_one_call() {
    let owners = Owners::new(1, Clock::manual());
    let (guest, begun, leave) = gated();
    let (stormy, stormy_reader) = open(&owners, patient(), guest);
    let (calm, calm_reader) = owners.open::<Secret>(patient(), Arc::new(NativeLru)).unwrap();
    for id in 0..100_u8 {
        assert!(stormy_reader.mailbox().update(name(&[id]), secret()));
    }
    begun.recv().unwrap();
    assert!(calm.mailbox().update(name(b"1"), secret()));
    let mut calls = 0;
    while !calm_reader.holds(name(b"1")) {
        leave.send(()).unwrap();
        calls += 1;
        begun.recv().unwrap();
    }
    assert!(calls < 100, "the calm cache had its turn before the storm was over");
    drop(leave);
    stormy.terminate();
}

#[test]
fn a_full_mailbox_drops_and_counts() {
    let owners = Owners::new(1, Clock::manual());
    let (guest, begun, leave) = gated();
    let mut config = patient();
    config.limits.mailbox = 10;
    let (mut owner, reader) = open(&owners, config, guest);
    assert!(reader.mailbox().update(name(b"first"), secret()));
    begun.recv().unwrap();
    let posted = (0..100_u8).filter(|id| reader.mailbox().update(name(&[*id]), secret())).count();
    assert_eq!((posted, reader.stats().posts_dropped), (10, 90));
    drop(leave);
    owner.settle();
    assert_eq!(reader.stats().sessions, 11);
}

#[test]
fn a_session_that_is_too_large_is_refused_and_nothing_changes() {
    let owners = Owners::new(1, Clock::manual());
    let mut config = patient();
    config.limits.session_bytes = 100;
    let (mut owner, reader) = owners.open::<Secret>(config, Arc::new(NativeLru)).unwrap();
    owner.update(name(b"1"), secret()).unwrap();
    let refused = owner.update(name(b"1"), Secret::new(vec![0; 99]));
    assert_eq!(refused, Err(Refusal::TooLarge { bytes: 101, limit: 100 }));
    assert_eq!(refused.unwrap_err().to_string(), "the session takes 101 bytes: the limit is 100");
    assert_eq!(reader.lookup(name(b"1")), Some(secret()));
    assert_eq!(reader.stats().refused, 1);
}

#[test]
fn expired_sessions_are_misses_and_are_swept() {
    let clock = Clock::manual();
    let owners = Owners::new(1, clock.clone());
    let (mut owner, reader) = owners.open::<Secret>(patient(), Arc::new(NativeLru)).unwrap();
    owner.update(name(b"old"), secret()).unwrap();
    clock.advance(12 * 60 * 60 * 1_000);
    owner.update(name(b"new"), secret()).unwrap();
    clock.advance(12 * 60 * 60 * 1_000);
    assert_eq!(reader.lookup(name(b"old")), None);
    assert_eq!(reader.take(name(b"old")), None);
    assert!(reader.lookup(name(b"new")).is_some());
    owner.sweep();
    let stats = owner.stats();
    assert_eq!((stats.sessions, reader.size().claimed), (1, Some(1)), "the guest has been told");
    assert_eq!(stats.calls(Callback::Lookup), 1, "expired ones cost no guest call");
}

#[test]
fn a_limit_out_of_range_is_refused_by_name() {
    let owners = Owners::new(1, Clock::manual());
    let mut none = patient();
    none.limits.sessions = 0;
    let mut many = patient();
    many.readers = 65;
    for (config, message) in [
        (none, "limit `sessions` is 0: it must be from 1 to 16777214"),
        (many, "limit `readers` is 65: it must be from 1 to 64"),
    ] {
        let refused = owners.open::<Secret>(config, Arc::new(NativeLru)).err().expect("it is refused");
        assert_eq!(refused.to_string(), message);
    }
}

#[test]
fn init_that_fails_opens_no_cache() {
    let owners = Owners::new(1, Clock::manual());
    let guest = hooked(|_| Err(Fault::Init { message: "no".into() }));
    let refused = owners.open::<Secret>(patient(), guest).err().expect("it is refused");
    assert!(matches!(refused, OpenError::Guest(Fault::Init { .. })), "{refused}");
}

#[test]
fn when_the_threads_end_every_cache_ends() {
    let owners = Owners::new(2, Clock::manual());
    let (mut owner, reader) = owners.open::<Secret>(patient(), Arc::new(NativeLru)).unwrap();
    owner.update(name(b"1"), secret()).unwrap();
    drop(owners);
    assert_eq!(owner.update(name(b"2"), secret()), Err(Refusal::Ended));
    assert!(!owner.delete(name(b"1")));
    assert_eq!((reader.lookup(name(b"1")), reader.size().held), (None, 0));
    owner.settle();
    owner.terminate();
}

#[test]
fn a_read_waits_for_a_session_on_its_way_and_for_nothing_else() {
    let owners = Owners::new(1, Clock::manual());
    let (guest, begun, leave) = gated();
    let (mut owner, reader) = open(&owners, patient(), guest);
    assert!(reader.mailbox().update(name(b"1"), secret()));
    begun.recv().unwrap();
    assert!(!reader.holds(name(b"1")) && reader.may_hold(name(b"1")), "the guest has not heard of it yet");
    assert!(!reader.may_hold(name(b"made up")));
    assert_eq!(reader.lookup(name(b"made up")), None);
    let (asking, asks) = channel();
    let asker = reader.clone();
    let asker = std::thread::spawn(move || {
        asking.send(()).unwrap();
        asker.take(name(b"1"))
    });
    asks.recv().unwrap();
    leave.send(()).unwrap();
    assert_eq!(asker.join().unwrap(), Some(secret()));
    owner.settle();
    assert_eq!((reader.stats().sessions, reader.size().claimed), (0, Some(0)));
}

#[test]
fn a_suspended_cache_is_not_asked_by_any_reader() {
    let owners = Owners::new(1, Clock::manual());
    let guest = hooked(|call| match call.callback() {
        Callback::Lookup => Err(Fault::Stack { limit_bytes: 1 }),
        _ => Ok(()),
    });
    let mut config = patient();
    config.readers = 2;
    let (mut owner, reader) = open(&owners, config, guest);
    owner.update(name(b"1"), secret()).unwrap();
    while owner.stats().state != CacheState::Suspended {
        assert!(owner.stats().faults(FaultKind::Stack) < 8, "eight faults suspend");
        reader.lookup(name(b"1"));
        owners.clock().advance(1_000);
        owner.settle();
    }
    let calls = owner.stats().calls(Callback::Lookup);
    assert_eq!(calls, 8);
    assert!((0..100).all(|_| reader.lookup(name(b"1")).is_none()));
    assert_eq!(owner.stats().calls(Callback::Lookup), calls);
    owners.clock().advance(30_000);
    while owner.stats().state != CacheState::Running {
        owner.settle();
    }
    assert_eq!((reader.lookup(name(b"1")), owner.stats().sessions), (None, 1), "the vault has kept the session");
}

#[test]
fn what_is_revoked_while_the_guest_is_asked_is_not_found() {
    let owners = Owners::new(1, Clock::manual());
    let revoker: Arc<Mutex<Option<Mailbox<Secret>>>> = Arc::default();
    let within = Arc::clone(&revoker);
    let guest = hooked(move |call| {
        if let (Callback::Lookup, Some(mailbox)) = (call.callback(), &*within.lock().unwrap()) {
            mailbox.revoke();
        }
        Ok(())
    });
    let (mut owner, reader) = open(&owners, patient(), guest);
    *revoker.lock().unwrap() = Some(reader.mailbox().clone());
    owner.update(name(b"1"), secret()).unwrap();
    assert_eq!(reader.take(name(b"1")), None);
    owner.update(name(b"1"), secret()).unwrap();
    assert_eq!(reader.lookup(name(b"1")), None);
    assert_eq!((reader.stats().misses(Miss::Gone), reader.stats().false_claims), (2, 0));
    // Breaks the reference cycle between guest and cache.
    *revoker.lock().unwrap() = None;
}

#[test]
fn a_session_may_have_a_shorter_life_than_its_cache_gives() {
    let clock = Clock::manual();
    let owners = Owners::new(1, clock.clone());
    let (mut owner, reader) = owners.open::<Secret>(patient(), Arc::new(NativeLru)).unwrap();
    let terms = reader.mailbox().terms();
    reader.mailbox().update_on(name(b"short"), secret(), terms.lifetime(Duration::from_secs(10)));
    reader.mailbox().update_on(name(b"long"), secret(), terms.lifetime(Duration::MAX));
    owner.settle();
    clock.advance(10_000);
    assert_eq!((reader.lookup(name(b"short")), reader.lookup(name(b"long"))), (None, Some(secret())));
    owner.sweep();
    assert_eq!(owner.stats().sessions, 1);
}

thread_local! {
    static HAS_LITTLE_STACK: Cell<bool> = const { Cell::new(false) };
}

/// A guest for which a thread may have too little stack.
struct Deep;

impl Intercept for Deep {
    fn check_thread(&self, inner: &dyn Callbacks) -> Result<(), Fault> {
        match HAS_LITTLE_STACK.get() {
            true => Err(Fault::ThreadStack { left_bytes: 1, needed_bytes: 2 }),
            false => inner.check_thread(),
        }
    }
}

#[test]
fn a_reader_with_too_little_stack_uses_no_session_up_and_breaks_no_instance() {
    let mut cache = TestCache::open(patient(), intercepted(Arc::new(NativeLru), |_| Deep));
    let reader = cache.reader.clone();
    cache.owner.update(name(&[1]), secret()).unwrap();
    HAS_LITTLE_STACK.set(true);
    assert_eq!(reader.take_or_why(name(&[1])).err(), Some(Miss::Fault));
    assert_eq!(reader.lookup_or_why(name(&[1])).err(), Some(Miss::Fault));
    assert_eq!(reader.size().claimed, None);
    HAS_LITTLE_STACK.set(false);
    let stats = cache.owner.stats();
    assert_eq!((stats.faults(FaultKind::ThreadStack), stats.calls(Callback::Lookup)), (3, 0));
    assert_eq!((stats.state, stats.restarts), (CacheState::Running, 0));
    assert!(reader.take(name(&[1])).is_some());
}
