//! CPU time as a tenant's budget, and as the measure by which owner threads schedule caches.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use innkeeper_core::{
    CacheConfig, Call, Callback, Clock, Fault, Guest, Limits, Mailbox, Miss, Name, NativeLru, Owner, Owners, Reader,
    Role, Secret, SizeClass,
};
use innkeeper_doubles::{Intercept, hooked, intercepted};

/// A native guest whose calls take CPU time on the cache's clock, and may wait before each.
struct Slow {
    /// The times of an owner's call and of a reader's, in microseconds.
    owner_us: AtomicU64,
    reader_us: AtomicU64,
    /// The clock's time at instantiation.
    now_ms: AtomicU64,
    updates: AtomicU64,
    order: Option<Sender<&'static str>>,
    /// A signal that the next update waits for.
    gate: Mutex<Option<Receiver<()>>>,
    name: &'static str,
}

impl Slow {
    fn new() -> Self {
        let (owner_us, reader_us, now_ms, updates, gate) = Default::default();
        Self { owner_us, reader_us, now_ms, updates, order: None, gate, name: "" }
    }

    fn begin(&self, call: &Call) {
        let us = if call.callback().is_owners() { &self.owner_us } else { &self.reader_us };
        Clock::work(Duration::from_micros(us.load(Ordering::Acquire)));
        if call.callback() == Callback::Update {
            self.updates.fetch_add(1, Ordering::AcqRel);
            if let Some(order) = &self.order {
                order.send(self.name).unwrap();
            }
            let gate = self.gate.lock().unwrap().take();
            if let Some(gate) = gate {
                gate.recv().unwrap();
            }
        }
    }
}

struct SlowInstance(Arc<Slow>);

impl Intercept for SlowInstance {
    fn before(&mut self, call: &mut Call) -> Result<(), Fault> {
        if !matches!(call.callback(), Callback::Terminate | Callback::Size | Callback::Foldl) {
            self.0.begin(call);
        }
        Ok(())
    }
}

fn slow_guest(slow: &Arc<Slow>) -> Arc<dyn Guest> {
    let slow = Arc::clone(slow);
    intercepted(Arc::new(NativeLru), move |host| {
        slow.now_ms.store(host.now_ms(), Ordering::Release);
        SlowInstance(Arc::clone(&slow))
    })
}

fn config(tenant: &str) -> CacheConfig {
    CacheConfig::new(tenant, Role::Server, Limits::new(SizeClass::Small))
}

fn open(owners: &Owners, slow: &Arc<Slow>) -> (Owner<Secret>, Reader<Secret>) {
    owners.open(config("slow"), slow_guest(slow)).unwrap()
}

fn id(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

fn name(id: &[u8; 4]) -> Name<'_> {
    Name { partial: b"host", id }
}

fn post(mailbox: &Mailbox<Secret>, number: u32) -> bool {
    mailbox.update(name(&id(number)), Secret::new(b"session".to_vec()))
}

/// Moves the clock until a condition holds, and returns the time passed.
fn pass_until(clock: &Clock, mut is_done: impl FnMut() -> bool) -> u64 {
    let mut passed_ms = 0;
    while !is_done() {
        clock.advance(1);
        passed_ms += 1;
        std::thread::yield_now();
        assert!(passed_ms < 10_000_000, "it never ends");
    }
    passed_ms
}

#[test]
fn an_owners_turns_wait_once_the_tenants_time_is_used_up_and_metrics_show_it() {
    let clock = Clock::manual();
    let owners = Owners::new(1, clock.clone());
    let slow = Arc::new(Slow::new());
    let (owner, reader) = open(&owners, &slow);
    slow.owner_us.store(36_000, Ordering::Release);
    (0..100).for_each(|number| assert!(post(reader.mailbox(), number)));
    // The budget begins with 400 ms: enough for eleven calls, and a twelfth that overdraws it.
    while owner.stats().put_off == 0 {
        std::thread::yield_now();
    }
    assert_eq!(slow.updates.load(Ordering::Acquire), 12);
    let stats = owner.stats();
    assert_eq!((stats.owner_ns, stats.reader_ns), (12 * 36_000_000, 0));
    // A reader's call is refused as well, and uses up no session.
    assert_eq!(reader.take_or_why(name(&id(0))).map(|_| ()), Err(Miss::OverTime));
    assert_eq!(reader.lookup_or_why(name(&id(0))).map(|_| ()), Err(Miss::OverTime));
    assert!(reader.holds(name(&id(0))));
    // From then on the budget gains a fifth of the time: 36 ms need 180.
    let passed_ms = pass_until(&clock, || slow.updates.load(Ordering::Acquire) >= 32);
    assert!(passed_ms >= 19 * 180, "{passed_ms} ms for twenty calls of 36 ms at 200 ms a second");
    assert_eq!(owner.stats().misses(Miss::OverTime), 2);
}

#[test]
fn a_readers_time_is_the_tenants_too() {
    let clock = Clock::manual();
    let owners = Owners::new(1, clock.clone());
    let slow = Arc::new(Slow::new());
    let (mut owner, reader) = open(&owners, &slow);
    owner.update(name(&id(1)), Secret::new(b"session".to_vec())).unwrap();
    // Each selection is timed, but only a sample of the lookups, which pays for all.
    slow.reader_us.store(2_000, Ordering::Release);
    let selected = (0..1_000).take_while(|_| reader.select_session(b"host", 1).len() == 1).count();
    assert_eq!(selected, 201, "400 ms, and one that overdraws them");
    clock.advance(3_600_000);
    let looked_up = (0..100_000).take_while(|_| reader.lookup(name(&id(1))).is_some()).count();
    assert!((1..5_000).contains(&looked_up), "{looked_up} lookups of 2 ms within 400 ms");
    assert_eq!(owner.stats().misses(Miss::OverTime), 1, "a lookup's; a selection tells no cause");
}

#[test]
fn an_upgrade_pays_for_itself() {
    let owners = Owners::new(1, Clock::manual());
    let slow = Arc::new(Slow::new());
    let (mut owner, reader) = owners.open::<Secret>(config("honest"), Arc::new(NativeLru)).unwrap();
    (0..9).for_each(|number| owner.update(name(&id(number)), Secret::new(b"session".to_vec())).unwrap());
    // `init`, the replay, and the canary's deletes: 385 ms of the 400.
    slow.owner_us.store(35_000, Ordering::Release);
    owner.upgrade(slow_guest(&slow)).unwrap();
    assert!(owner.stats().owner_ns >= 11 * 35_000_000, "{} ns", owner.stats().owner_ns);
    // The tenant's own budget is untouched.
    (9..20).for_each(|number| owner.update(name(&id(number)), Secret::new(b"session".to_vec())).unwrap());
    assert!(reader.lookup(name(&id(3))).is_some());
    assert_eq!(owner.stats().put_off, 0);
}

type Opened = (Owner<Secret>, Reader<Secret>);

/// A slow cache and an honest one, both past their trial, whose updates report their order.
fn two(owners: &Owners) -> ([Arc<Slow>; 2], Vec<Opened>, Receiver<&'static str>) {
    let (order, came) = channel();
    let guest = |name| {
        let order = Some(order.clone());
        Arc::new(Slow { order, name, ..Slow::new() })
    };
    let both = [guest("slow"), guest("honest")];
    let mut opened: Vec<_> = both.iter().map(|slow| open(owners, slow)).collect();
    for (owner, _) in &mut opened {
        (0..40).for_each(|number| owner.update(name(&id(number)), Secret::new(b"session".to_vec())).unwrap());
    }
    assert_eq!(came.try_iter().count(), 80);
    (both, opened, came)
}

#[test]
fn a_long_turn_is_paid_back_before_the_next_and_long_turns_go_elsewhere() {
    let owners = Owners::new(1, Clock::manual());
    let ([slow, honest], mut opened, came) = two(&owners);
    slow.owner_us.store(1_900, Ordering::Release);
    // Both have much work, and one of them takes a thousand times as long for each update.
    let (open_gate, gate) = channel();
    *honest.gate.lock().unwrap() = Some(gate);
    let (slow_reader, honest_reader) = (opened[0].1.clone(), opened[1].1.clone());
    for number in 100..200 {
        assert!(post(honest_reader.mailbox(), number) && post(slow_reader.mailbox(), number));
    }
    open_gate.send(()).unwrap();
    opened[1].0.settle();
    // Afterwards the slow one has the thread alone.
    let before: Vec<&str> = came.try_iter().collect();
    let last_short = before.iter().rposition(|name| *name == "honest").unwrap();
    let slow_turns = before[..last_short].iter().filter(|name| **name == "slow").count();
    assert!(slow_turns <= 2, "{slow_turns} long turns came before a hundred short ones");
}

#[test]
fn a_guest_sees_nothing_of_how_old_the_process_is() {
    let owners = Owners::new(1, Clock::manual());
    let seen = |_| {
        let slow = Arc::new(Slow::new());
        let _opened = open(&owners, &slow);
        slow.now_ms.load(Ordering::Acquire)
    };
    let seen: Vec<u64> = (0..20).map(seen).collect();
    assert!(seen.iter().all(|now_ms| *now_ms > 24 * 60 * 60 * 1_000 && *now_ms < 1 << 53), "{seen:?}");
    assert!(seen.windows(2).any(|pair| pair[0].abs_diff(pair[1]) > 1_000_000), "{seen:?}");
}

#[test]
fn a_take_uses_nothing_up_where_nobody_can_be_asked() {
    let clock = Clock::manual();
    let owners = Owners::new(1, clock.clone());
    let (mut owner, reader) = owners.open::<Secret>(config("faulty"), traps()).unwrap();
    (0..20).for_each(|number| owner.update(name(&id(number)), Secret::new(b"session".to_vec())).unwrap());
    // The first take reaches the guest, which traps: that session is used up.
    assert_eq!(reader.take_or_why(name(&id(0))).map(|_| ()), Err(Miss::Fault));
    owner.settle();
    for number in 1..20 {
        assert_eq!(reader.take_or_why(name(&id(number))).map(|_| ()), Err(Miss::Down), "in its backoff");
        assert!(reader.holds(name(&id(number))));
    }
    // Until it is suspended.
    let mut number = 1;
    while owner.stats().state != innkeeper_core::CacheState::Suspended {
        clock.advance(1_000);
        owner.settle();
        if reader.take_or_why(name(&id(number))).map(|_| ()) == Err(Miss::Fault) {
            number += 1;
        }
        assert!(number < 20);
    }
    assert_eq!(reader.take_or_why(name(&id(19))).map(|_| ()), Err(Miss::Down));
    assert_eq!(owner.stats().sessions, 20 - u64::from(number));
    let held = (number..20).filter(|number| reader.holds(name(&id(*number)))).count();
    assert_eq!(held, 20 - number as usize);
}

/// The native guest, except that every lookup traps.
fn traps() -> Arc<dyn Guest> {
    hooked(|call| match call.callback() {
        Callback::Lookup => Err(Fault::Trap { reason: "it always does".into() }),
        _ => Ok(()),
    })
}

#[test]
fn a_slow_guest_with_a_full_mailbox_is_handed_over_without_being_asked() {
    let owners = Owners::new(1, Clock::manual());
    let slow = Arc::new(Slow::new());
    let (mut owner, reader) = open(&owners, &slow);
    slow.owner_us.store(36_000, Ordering::Release);
    (0..1_000).for_each(|number| assert!(post(reader.mailbox(), number)));
    while owner.stats().put_off == 0 {
        std::thread::yield_now();
    }
    let asked = slow.updates.load(Ordering::Acquire);
    let (mut to, reader) = owners.open::<Secret>(config("slow"), Arc::new(NativeLru)).unwrap();
    let terms = to.mailbox().terms();
    assert_eq!(owner.hand_over(&mut to, terms), 1_000, "what was posted comes along");
    assert_eq!(slow.updates.load(Ordering::Acquire), asked);
    assert!((0..1_000).all(|number| reader.holds(name(&id(number)))));
}

#[test]
fn a_hand_over_to_a_slow_guest_ends_in_ten_seconds() {
    let clock = Clock::manual();
    let owners = Owners::new(1, clock.clone());
    let (mut owner, _) = owners.open::<Secret>(config("slow"), Arc::new(NativeLru)).unwrap();
    (0..500).for_each(|number| owner.update(name(&id(number)), Secret::new(b"session".to_vec())).unwrap());
    let slow = Arc::new(Slow::new());
    let (mut to, _) = open(&owners, &slow);
    slow.owner_us.store(36_000, Ordering::Release);
    let terms = to.mailbox().terms();
    let handed = std::thread::scope(|scope| {
        let handed = scope.spawn(|| owner.hand_over(&mut to, terms));
        pass_until(&clock, || handed.is_finished());
        handed.join().unwrap()
    });
    // The budget begins with 400 ms, and gains 200 ms a second.
    assert!((12..=75).contains(&handed), "{handed} sessions of 36 ms within ten seconds");
}
