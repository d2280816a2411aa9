//! Upgrades and failing guests under the load of clients.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use innkeeper_corpus::hostile;
use innkeeper_e2e::{ANSWER, HONEST, House, curl, flaky, many, openssl};
use innkeeper_proxy::core::Miss;

#[test]
fn upgrades_under_load_cost_no_handshake_and_no_session() {
    let mut house = House::open(&["rust-lru"]);
    let is_done = AtomicBool::new(false);
    let guests = [house.guest("c-lru").unwrap(), house.guest("rust-ttl").unwrap(), house.guest("rust-lru").unwrap()];
    let rounds: usize = std::thread::scope(|scope| {
        let visitor = || {
            let mut rounds = 0;
            while !is_done.load(Ordering::Acquire) {
                let ended = openssl(&house, "rust-lru.example", &["-tls1_2", "-no_ticket", "-reconnect"]);
                assert_eq!((ended.count("New, "), ended.count("Reused, ")), (1, 5), "{}", ended.output);
                rounds += 1;
            }
            rounds
        };
        let visitors = [scope.spawn(visitor), scope.spawn(visitor)];
        for number in 0..150 {
            let report = house.proxy().upgrade("rust-lru", Arc::clone(&guests[number % 3])).unwrap();
            assert_eq!(report.evicted, 0);
        }
        is_done.store(true, Ordering::Release);
        visitors.into_iter().map(|visitor| visitor.join().unwrap()).sum()
    });
    let stats = house.settled("rust-lru");
    assert_eq!((stats.handshakes, stats.failed), (6 * rounds as u64, 0));
    assert_eq!((stats.cache.upgrades, stats.cache.faults.iter().sum::<u64>()), (150, 0));
}

#[test]
fn an_upgrade_to_each_hostile_guest_breaks_no_handshake() {
    let mut house = House::open(&["rust-lru"]);
    let honest = house.guest("rust-lru").unwrap();
    let (mut refused, mut made) = (0, 0);
    for artifact in hostile() {
        let name = artifact.name;
        openssl(&house, "rust-lru.example", &["-tls1_2", "-no_ticket"]);
        let before = house.settled("rust-lru").cache.sessions;
        let upgraded = house.guest(name).map(|guest| house.proxy().upgrade("rust-lru", guest));
        let is_made = matches!(upgraded, Ok(Ok(_)));
        let ended = openssl(&house, "rust-lru.example", &["-tls1_2", "-no_ticket", "-reconnect"]);
        assert_eq!(ended.count("New, ") + ended.count("Reused, "), 6, "{name}: {}", ended.output);
        if is_made {
            made += 1;
            house.clock().advance(1_000);
            house.proxy().upgrade("rust-lru", Arc::clone(&honest)).unwrap();
        } else {
            refused += 1;
            assert_eq!(ended.count("Reused, "), 5, "the old guest serves on after {name}: {}", ended.output);
            assert!(house.settled("rust-lru").cache.sessions > before, "{name}");
        }
    }
    // A flaky guest passes only if it behaves during the canary.
    assert!(refused > 90 && made > 5, "{refused} refused, {made} made");
    assert_eq!(house.settled("rust-lru").failed, 0);
}

#[test]
fn ten_thousand_sessions_outlive_a_guest_that_traps_every_hundredth_time() {
    const SESSIONS: u32 = 10_000;
    let mut house = House::open_with(&["every-hundredth"], |tenant| tenant.cache.limits.sessions = 2 * SESSIONS);
    let pause = |house: &mut House| assert_eq!(house.settled("every-hundredth").cache.sessions, u64::from(SESSIONS));
    let mut forgiven = 0;
    let come_back = |house: &mut House| {
        let traps = house.proxy().stats().remove(0).1.cache.faults.iter().sum::<u64>();
        if traps > forgiven {
            // Past any backoff, and past the minute after which faults are forgiven.
            house.clock().advance(61_000);
            forgiven = traps;
        }
        std::thread::yield_now();
    };
    let resumed = many(&mut house, "every-hundredth.example", SESSIONS, pause, come_back);
    let stats = house.settled("every-hundredth");
    assert_eq!((stats.handshakes, stats.failed), (u64::from(2 * SESSIONS), 0));
    assert_eq!((stats.resumed, stats.cache.hits), (resumed.into(), resumed.into()));
    let traps = stats.cache.faults.iter().sum::<u64>();
    assert!(traps >= u64::from(resumed) / 100 && stats.cache.restarts > 10, "{traps} traps, {}", stats.cache.restarts);
    let missed = |cause| stats.cache.misses(cause);
    let is_lost = missed(Miss::Absent) + missed(Miss::Expired) + missed(Miss::Declined) + missed(Miss::Gone);
    assert_eq!((is_lost, missed(Miss::Fault)), (0, traps), "nothing is missed but while the guest is built anew");
    // Each failed resumption created a new session beside the old one, which the vault still holds.
    assert_eq!(stats.cache.sessions, u64::from(2 * SESSIONS - resumed));
}

#[test]
fn with_faults_injected_in_every_callback_every_client_is_served() {
    for guest in HONEST {
        let mut house = House::open_with(&[guest], |tenant| {
            tenant.guest = flaky(Arc::clone(&tenant.guest), 4);
        });
        let server_name = format!("{guest}.example");
        for _ in 0..4 {
            let ended = openssl(&house, &server_name, &["-tls1_2", "-no_ticket", "-reconnect"]);
            assert_eq!(ended.count("New, ") + ended.count("Reused, "), 6, "{guest}: {}", ended.output);
            for version in ["1.2", "1.3"] {
                let ended = curl(&house, &server_name, 5, &["--tlsv1.2", "--tls-max", version]);
                assert_eq!(ended.output, ANSWER.repeat(5), "{guest}");
            }
            house.clock().advance(40_000);
            house.settled(guest);
        }
        let stats = house.settled(guest);
        assert_eq!((stats.handshakes, stats.failed), (4 * 16, 0), "{guest}");
        assert!(stats.cache.faults.iter().sum::<u64>() > 0, "{guest}");
    }
}
