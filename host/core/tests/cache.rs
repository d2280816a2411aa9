//! Owners and readers over native callbacks, well and badly behaved.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use innkeeper_core::{
    Acc, CacheConfig, CacheRef, CacheState, Call, Callback, Callbacks, Claim, Clock, Fault, FaultKind, FoldFun, Guest,
    Host, InitArgs, Key, Limits, Mailbox, Miss, Name, NativeLru, OpenError, Owner, Owners, PartialKey, Reader, Refusal,
    Role, Secret, Session, SizeClass,
};

/// What a test does in each callback of a guest, before the guest itself.
type Hook = Arc<dyn Fn(Callback) -> Result<(), Fault> + Send + Sync>;

/// The native guest with a hook before each callback.
struct Hooked(Hook);

struct HookedInstance {
    hook: Hook,
    inner: Box<dyn Callbacks>,
}

impl Guest for Hooked {
    fn instantiate(&self, host: Arc<dyn Host>, limits: &Limits) -> Result<Box<dyn Callbacks>, Fault> {
        let inner = NativeLru.instantiate(host, limits)?;
        Ok(Box::new(HookedInstance { hook: Arc::clone(&self.0), inner }))
    }
}

impl Callbacks for HookedInstance {
    fn init(&mut self, call: &mut Call, args: &InitArgs) -> Result<CacheRef, Fault> {
        (self.hook)(Callback::Init)?;
        self.inner.init(call, args)
    }
    fn terminate(&mut self, call: &mut Call, cache: CacheRef) -> Result<(), Fault> {
        (self.hook)(Callback::Terminate)?;
        self.inner.terminate(call, cache)
    }
    fn update(&mut self, call: &mut Call, cache: CacheRef, key: Key, session: Session) -> Result<(), Fault> {
        (self.hook)(Callback::Update)?;
        self.inner.update(call, cache, key, session)
    }
    fn delete(&mut self, call: &mut Call, cache: CacheRef, key: Key) -> Result<(), Fault> {
        (self.hook)(Callback::Delete)?;
        self.inner.delete(call, cache, key)
    }
    fn lookup(&mut self, call: &mut Call, cache: CacheRef, key: Key) -> Result<Option<Claim>, Fault> {
        (self.hook)(Callback::Lookup)?;
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

fn config() -> CacheConfig {
    let mut config = CacheConfig::new("test", Role::Server, Limits::new(SizeClass::Small));
    // Nothing may be missed here because the machine is busy.
    config.limits.read.time = Duration::from_secs(10);
    config
}

fn open(owners: &Owners, config: CacheConfig, hook: Hook) -> (Owner<Secret>, Reader<Secret>) {
    owners.open(config, Arc::new(Hooked(hook))).expect("the cache opens")
}

fn name(id: &[u8]) -> Name<'_> {
    Name { partial: b"a", id }
}

fn secret() -> Secret {
    Secret::new(b"session".to_vec())
}

/// Moves the clock past a backoff, and waits until every instance runs.
fn come_back(owners: &Owners, owner: &mut Owner<Secret>) {
    owners.clock().advance(1_000);
    for _ in 0..1_000_000 {
        owner.settle();
        if owner.stats().state == CacheState::Running {
            return;
        }
    }
    panic!("the cache does not come back");
}

#[test]
fn after_any_fault_the_cache_comes_back_by_itself_with_every_session() {
    let owners = Owners::new(1, Clock::manual());
    for kind in [FaultKind::Trap, FaultKind::Panic] {
        for callback in [Callback::Lookup, Callback::Update, Callback::Delete] {
            let strikes = Arc::new(Mutex::new(0));
            let hook = Arc::clone(&strikes);
            let hook = Arc::new(move |called| {
                let is_struck = called == callback && {
                    let mut strikes = hook.lock().unwrap();
                    *strikes -= 1;
                    *strikes == -1
                };
                match kind {
                    // A bug of the host's own, without the noise of one.
                    FaultKind::Panic if is_struck => std::panic::resume_unwind(Box::new(())),
                    _ if is_struck => Err(Fault::Trap { reason: "struck".into() }),
                    _ => Ok(()),
                }
            });
            *strikes.lock().unwrap() = i32::MAX;
            let (mut owner, reader) = open(&owners, config(), hook);
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
    let hook = Arc::new(move |called| {
        let mut strikes = strikes.lock().unwrap();
        if called == Callback::Lookup && *strikes > 0 {
            *strikes -= 1;
            return Err(Fault::Stack { limit_bytes: 1 });
        }
        Ok(())
    });
    let mut config = config();
    config.readers = 2;
    let (mut owner, reader) = open(&owners, config, hook);
    owner.update(name(b"1"), secret()).unwrap();
    assert!(reader.lookup(name(b"1")).is_none());
    assert!(reader.lookup(name(b"1")).is_some(), "the other instance answers");
    come_back(&owners, &mut owner);
    assert!(reader.lookup(name(b"1")).is_some());
}

/// A guest whose `update` waits for leave each time, and tells when it has begun.
fn gated() -> (Hook, Receiver<()>, Sender<()>) {
    let (begin, begun) = channel();
    let (leave, left) = channel();
    let gate = Mutex::new((begin, left));
    let hook = Arc::new(move |called| {
        if called == Callback::Update {
            let gate = gate.lock().unwrap();
            // A test that has ended waits for nothing and gives no leave.
            let _ = gate.0.send(());
            let _ = gate.1.recv();
        }
        Ok(())
    });
    (hook, begun, leave)
}

#[test]
fn a_storm_on_one_cache_delays_another_by_one_call() {
    let owners = Owners::new(1, Clock::manual());
    let (hook, begun, leave) = gated();
    let (stormy, stormy_reader) = open(&owners, config(), hook);
    let (calm, calm_reader) = owners.open::<Secret>(config(), Arc::new(NativeLru)).unwrap();
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
    let (hook, begun, leave) = gated();
    let mut config = config();
    config.limits.mailbox = 10;
    let (mut owner, reader) = open(&owners, config, hook);
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
    let mut config = config();
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
    let (mut owner, reader) = owners.open::<Secret>(config(), Arc::new(NativeLru)).unwrap();
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
    let mut none = config();
    none.limits.sessions = 0;
    let mut many = config();
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
    let hook: Hook = Arc::new(|_| Err(Fault::Init { message: "no".into() }));
    let refused = owners.open::<Secret>(config(), Arc::new(Hooked(hook))).err().expect("it is refused");
    assert!(matches!(refused, OpenError::Guest(Fault::Init { .. })), "{refused}");
}

#[test]
fn when_the_threads_end_every_cache_ends() {
    let owners = Owners::new(2, Clock::manual());
    let (mut owner, reader) = owners.open::<Secret>(config(), Arc::new(NativeLru)).unwrap();
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
    let (hook, begun, leave) = gated();
    let (mut owner, reader) = open(&owners, config(), hook);
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
    let hook = Arc::new(|called| match called {
        Callback::Lookup => Err(Fault::Stack { limit_bytes: 1 }),
        _ => Ok(()),
    });
    let mut config = config();
    config.readers = 2;
    let (mut owner, reader) = open(&owners, config, hook);
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
    let hook: Hook = Arc::new(move |called| {
        if let (Callback::Lookup, Some(mailbox)) = (called, &*within.lock().unwrap()) {
            mailbox.revoke();
        }
        Ok(())
    });
    let (mut owner, reader) = open(&owners, config(), hook);
    *revoker.lock().unwrap() = Some(reader.mailbox().clone());
    owner.update(name(b"1"), secret()).unwrap();
    assert_eq!(reader.take(name(b"1")), None);
    owner.update(name(b"1"), secret()).unwrap();
    assert_eq!(reader.lookup(name(b"1")), None);
    assert_eq!((reader.stats().misses(Miss::Gone), reader.stats().false_claims), (2, 0));
    // The guest holds a way to the cache, which holds the guest.
    *revoker.lock().unwrap() = None;
}

#[test]
fn a_session_may_have_a_shorter_life_than_its_cache_gives() {
    let clock = Clock::manual();
    let owners = Owners::new(1, clock.clone());
    let (mut owner, reader) = owners.open::<Secret>(config(), Arc::new(NativeLru)).unwrap();
    let terms = reader.mailbox().terms();
    reader.mailbox().update_on(name(b"short"), secret(), terms.lifetime(Duration::from_secs(10)));
    reader.mailbox().update_on(name(b"long"), secret(), terms.lifetime(Duration::MAX));
    owner.settle();
    clock.advance(10_000);
    assert_eq!((reader.lookup(name(b"short")), reader.lookup(name(b"long"))), (None, Some(secret())));
    owner.sweep();
    assert_eq!(owner.stats().sessions, 1);
}
