//! Slow changes of one tenant's guest leave everybody else undisturbed.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::Arc,
    thread,
};

use innkeeper_e2e::{ANSWER, Gate, House, curl, reconnects};
use innkeeper_proxy::{
    Change, ListenerConfig, ProxyLimits, TenantBounds, TenantError, TenantFront, Upstream, Wanted, What,
    core::{CacheConfig, CacheState, Callback, Guest, Limits, NativeLru, Role, SizeClass},
};

const SLOW: &str = "native-lru";
const OTHER: &str = "rust-lru";

/// The listeners of a `House`.
fn listeners() -> Vec<(ListenerConfig, Option<TcpListener>)> {
    vec![(ListenerConfig::new((Ipv4Addr::LOCALHOST, 0).into()), None)]
}

fn native() -> Arc<dyn Guest> {
    Arc::new(NativeLru)
}

fn limits() -> Limits {
    let mut limits = Limits::new(SizeClass::Small);
    // Neither a busy machine nor the manual clock may cause a miss.
    limits.read.time = std::time::Duration::from_secs(10);
    limits.fuel_burst = 1 << 50;
    limits
}

fn cache(tenant: &str, sessions: u32) -> CacheConfig {
    CacheConfig::new(tenant, Role::Server, Limits { sessions, ..limits() })
}

/// Returns a reload's changes: another certificate for the other tenant, and the slow one as it is.
fn renew(house: &House) -> Vec<Change> {
    let front = TenantFront {
        name: OTHER.into(),
        server_names: vec![format!("{OTHER}.example")],
        tls: house.tls(SLOW),
        upstream: Upstream::plain("127.0.0.1:9"),
        bounds: TenantBounds::default(),
    };
    let wanted = vec![Wanted::Kept(SLOW.into()), Wanted::Set(Box::new(front))];
    house.block_on(house.proxy().apply(listeners(), ProxyLimits::default(), wanted)).unwrap()
}
/// Checks that others proceed while a change of the slow tenant's guest waits at a gate, and that the tenant itself
/// proceeds without its guest.
///
/// Caches alternate between two owner threads. A call at a gate blocks its thread for longer than any call may, so the
/// other tenant's caches must be on the other thread.
fn nobody_waits(house: &House) {
    assert_eq!(reconnects(house, OTHER), (1, 5), "handshakes go on");
    house.proxy().upgrade(OTHER, house.guest("rust-ttl").unwrap()).unwrap();
    assert!(
        house.proxy().set_guest(OTHER, &cache(OTHER, 500), house.guest("rust-lru").unwrap()).unwrap().moved > Some(0)
    );
    assert!(house.proxy().revoke(OTHER).unwrap() > 0);
    house.proxy().suspend(OTHER).unwrap();
    house.proxy().resume(OTHER).unwrap();
    let changes = renew(house);
    assert!(
        matches!(changes.as_slice(), [Change { tenant, what: What::Changed { .. } }] if tenant == OTHER),
        "a reload is taken over at once: {changes:?}"
    );
    house.proxy().reconfigure(SLOW, &house.tls(SLOW)).unwrap();
    house.proxy().revoke(SLOW).unwrap();
    house.proxy().suspend(SLOW).unwrap();
    house.proxy().resume(SLOW).unwrap();
    house.proxy().stats();
}

#[test]
fn a_slow_init_holds_up_nobody() {
    let house = House::open(&[SLOW, OTHER]);
    let gate = Gate::new(Callback::Init);
    let slow = gate.around(native());
    thread::scope(|scope| {
        let shut = gate.shut();
        let change = scope.spawn(|| house.proxy().set_guest(SLOW, &cache(SLOW, 500), Arc::clone(&slow)));
        gate.await_calls(1);
        nobody_waits(&house);
        // A newer change of the same tenant waits for its own tenant.
        let next = scope.spawn(|| house.proxy().set_guest(SLOW, &cache(SLOW, 600), native()));
        drop(shut);
        assert!(change.join().unwrap().unwrap().moved.is_some() && next.join().unwrap().unwrap().moved.is_some());
    });
}

#[test]
fn a_slow_upgrade_holds_up_nobody() {
    let mut house = House::open(&[SLOW, OTHER]);
    assert_eq!(reconnects(&house, SLOW), (1, 5));
    house.settled(SLOW);
    house.proxy().set_guest(SLOW, &cache(SLOW, 400), native()).unwrap();
    let gate = Gate::new(Callback::Update);
    let slow = gate.around(native());
    thread::scope(|scope| {
        let shut = gate.shut();
        let change = scope.spawn(|| house.proxy().upgrade(SLOW, Arc::clone(&slow)));
        gate.await_calls(1);
        nobody_waits(&house);
        drop(shut);
        change.join().unwrap().unwrap();
    });
}

#[test]
fn a_slow_hand_over_holds_up_nobody_and_is_revoked_at_once() {
    let mut house = House::open(&[SLOW, OTHER]);
    assert_eq!(reconnects(&house, SLOW), (1, 5));
    assert_eq!(house.settled(SLOW).cache.sessions, 1);
    let gate = Gate::new(Callback::Update);
    let slow = gate.around(native());
    thread::scope(|scope| {
        let shut = gate.shut();
        let change = scope.spawn(|| house.proxy().set_guest(SLOW, &cache(SLOW, 500), Arc::clone(&slow)));
        gate.await_calls(1);
        nobody_waits(&house);
        drop(shut);
        assert!(change.join().unwrap().unwrap().moved.is_some());
    });
    assert_eq!(house.settled(SLOW).cache.sessions, 0, "the session was revoked on its way");
}

#[test]
fn a_tenant_that_is_taken_away_while_its_guest_is_opened_is_gone() {
    let house = House::open(&[SLOW, OTHER]);
    let gate = Gate::new(Callback::Init);
    let slow = gate.around(native());
    thread::scope(|scope| {
        let shut = gate.shut();
        let change = scope.spawn(|| house.proxy().set_guest(SLOW, &cache(SLOW, 500), Arc::clone(&slow)));
        gate.await_calls(1);
        let kept = vec![Wanted::Kept(OTHER.into())];
        let changes = house.block_on(house.proxy().apply(listeners(), ProxyLimits::default(), kept)).unwrap();
        assert!(matches!(changes.as_slice(), [Change { what: What::Removed, .. }]), "{changes:?}");
        drop(shut);
        assert!(matches!(change.join().unwrap(), Err(TenantError::Unknown(_))));
    });
    assert!(matches!(house.proxy().stats_of(SLOW), Err(TenantError::Unknown(_))));
    assert_eq!(reconnects(&house, OTHER), (1, 5));
}

#[test]
fn a_tenant_without_a_guest_is_served_and_keeps_what_an_operator_has_said() {
    let house = House::open(&[SLOW]);
    let front = TenantFront {
        name: "new".into(),
        server_names: vec![format!("other.{SLOW}.example")],
        tls: house.tls(SLOW),
        upstream: house.upstream(),
        bounds: TenantBounds::default(),
    };
    let wanted = vec![Wanted::Set(Box::new(front)), Wanted::Kept(SLOW.into())];
    let changes = house.block_on(house.proxy().apply(listeners(), ProxyLimits::default(), wanted)).unwrap();
    assert!(matches!(changes.as_slice(), [Change { what: What::Added, .. }]), "{changes:?}");
    // The other tenant has the name now, and the kept tenant has its other names.
    assert_eq!(reconnects(&house, &format!("other.{SLOW}")), (6, 0));
    assert_eq!(curl(&house, &format!("other.{SLOW}.example"), 2, &[]).output, ANSWER.repeat(2));
    assert_eq!(reconnects(&house, SLOW), (1, 5));
    let stats = house.proxy().stats_of("new").unwrap();
    assert_eq!((stats.cache.state, stats.handshakes, stats.failed), (CacheState::NoGuest, 8, 0));
    assert!(!house.proxy().has_guest("new") && house.proxy().recent("new").unwrap().1.is_empty());
    assert!(matches!(house.proxy().inspect("new", "x"), Err(TenantError::NoGuest(_))));
    assert!(matches!(house.proxy().upgrade("new", native()), Err(TenantError::NoGuest(_))));
    assert_eq!(house.proxy().revoke("new").unwrap(), 0);
    house.proxy().suspend("new").unwrap();
    let change = house.proxy().set_guest("new", &cache("new", 100), native()).unwrap();
    assert!(change.is_first && change.moved.is_none());
    assert_eq!(house.proxy().stats_of("new").unwrap().cache.state, CacheState::Suspended, "it was suspended before");
    house.proxy().resume("new").unwrap();
    assert_eq!(reconnects(&house, &format!("other.{SLOW}")), (1, 5));
}
