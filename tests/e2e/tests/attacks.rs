//! Hostile clients and hostile guests get full handshakes, and nothing else.

use innkeeper_e2e::{ANSWER, ClientHello, HONEST, HOSTILE, House, curl, first_record, openssl};
use innkeeper_proxy::core::{CacheState, Callback, FaultKind, Miss};

/// A record of a handshake: the server goes on.
const HANDSHAKE: Option<u8> = Some(22);

#[test]
fn a_flood_of_made_up_identities_costs_no_guest_call() {
    for guest in HONEST {
        let mut house = House::open(&[guest]);
        let server_name = format!("{guest}.example");
        // A session in the cache makes a guest call possible.
        openssl(&house, &server_name, &["-tls1_3", "-ign_eof"]);
        assert_eq!(house.settled(guest).cache.sessions, 1, "{guest}");
        let floods: [Vec<Vec<u8>>; 4] = [
            (0..1_600_u32).map(|number| number.to_be_bytes().repeat(8)).collect(),
            vec![vec![1]; 7_000],
            vec![vec![2; 60_000]],
            (1..=300_u16).map(|length| vec![3; length.into()]).collect(),
        ];
        for identities in floods {
            let hello = ClientHello { server_name: server_name.clone(), identities, ..ClientHello::default() };
            assert_eq!(first_record(house.address(), &hello), HANDSHAKE, "{guest}");
        }
        let stats = house.settled(guest).cache;
        assert_eq!(stats.calls(Callback::Lookup), 0, "{guest}");
        // Only identities of the right length are looked up: 1600, and one of the 300.
        assert_eq!(stats.misses(Miss::Absent), 1_601, "{guest}");
    }
}

#[test]
fn a_flood_of_made_up_session_ids_costs_no_guest_call() {
    for guest in HONEST {
        let mut house = House::open(&[guest]);
        let server_name = format!("{guest}.example");
        for number in 0..200_u32 {
            let session_id = number.to_be_bytes().repeat(number as usize % 9);
            let hello = ClientHello { server_name: server_name.clone(), session_id, ..ClientHello::default() };
            assert_eq!(first_record(house.address(), &hello), HANDSHAKE, "{guest}");
        }
        let stats = house.settled(guest).cache;
        assert_eq!(stats.calls(Callback::Lookup), 0, "{guest}");
        assert!(stats.misses(Miss::Absent) > 0, "{guest}: some were of the right length");
    }
}

#[test]
fn hostile_guests_break_no_handshake() {
    for guest in HOSTILE {
        let mut house = House::open(&[guest]);
        let server_name = format!("{guest}.example");
        let ended = openssl(&house, &server_name, &["-tls1_2", "-no_ticket", "-reconnect"]);
        assert!(ended.is_success, "{guest}: {}", ended.output);
        assert_eq!(ended.count("New, ") + ended.count("Reused, "), 6, "{guest}: {}", ended.output);
        for version in ["1.2", "1.3"] {
            let ended = curl(&house, &server_name, 10, &["--tlsv1.2", "--tls-max", version]);
            assert!(ended.is_success, "{guest}: {}", ended.output);
            assert_eq!(ended.output, ANSWER.repeat(10), "{guest}");
        }
        let stats = house.settled(guest);
        assert_eq!((stats.handshakes, stats.failed), (26, 0), "{guest}");
        let faults = |kind| stats.cache.faults(kind);
        match guest {
            "spin" => assert!(faults(FaultKind::OutOfFuel) + faults(FaultKind::Deadline) > 0),
            "trap" => assert!(faults(FaultKind::Trap) > 0),
            _ => assert!(stats.cache.false_claims > 0 && stats.cache.faults.iter().sum::<u64>() == 0),
        }
    }
}

#[test]
fn a_guest_that_faults_again_and_again_is_suspended_and_tried_again() {
    let mut house = House::open(&["trap"]);
    for _ in 0..8 {
        let ended = openssl(&house, "trap.example", &["-tls1_2", "-no_ticket", "-reconnect"]);
        assert!(ended.is_success, "{}", ended.output);
        // Past any backoff except that of a suspended cache.
        house.clock().advance(1_000);
        wait_for(&mut house, |state| state != CacheState::Restarting);
    }
    let suspended = house.settled("trap").cache;
    assert_eq!((suspended.state, suspended.faults(FaultKind::Trap)), (CacheState::Suspended, 8));
    let ended = openssl(&house, "trap.example", &["-tls1_2", "-no_ticket", "-reconnect"]);
    assert_eq!(ended.count("New, "), 6, "{}", ended.output);
    let calls = house.settled("trap").cache.calls(Callback::Lookup);
    assert_eq!(calls, suspended.calls(Callback::Lookup), "a suspended guest is not asked");
    house.clock().advance(30_000);
    wait_for(&mut house, |state| state == CacheState::Running);
}

/// Waits until the owner thread has brought the cache into a state.
fn wait_for(house: &mut House, is_right: impl Fn(CacheState) -> bool) {
    let mut turns = 0;
    while !is_right(house.settled("trap").cache.state) {
        turns += 1;
        assert!(turns < 1_000_000, "the state does not come");
        std::thread::yield_now();
    }
}

#[test]
fn an_unknown_server_name_is_refused_with_its_alert() {
    let house = House::open(&["rust-lru"]);
    let unknown = openssl(&house, "nobody.example", &[]);
    assert_eq!(unknown.count("unrecognized name"), 1, "{}", unknown.output);
    let none = openssl(&house, "", &["-noservername", "-tls1_3"]);
    assert_eq!(none.count("alert number 109"), 1, "{}", none.output);
    let right = openssl(&house, "RUST-LRU.example", &["-ign_eof"]);
    assert_eq!(right.count(ANSWER.trim()), 1, "names are the same in any case: {}", right.output);
}

#[test]
fn a_session_of_one_tenant_is_unknown_to_another() {
    for version in ["-tls1_2", "-tls1_3"] {
        let mut house = House::open(&["rust-lru", "c-lru"]);
        let file = house.folder().join("session.pem");
        let file = file.to_str().expect("temporary folders have plain names");
        openssl(&house, "rust-lru.example", &[version, "-ign_eof", "-sess_out", file]);
        assert_eq!(house.settled("rust-lru").cache.sessions, 1);
        let ended = openssl(&house, "c-lru.example", &[version, "-ign_eof", "-sess_in", file]);
        assert_eq!((ended.count("New, "), ended.count(ANSWER.trim())), (1, 1), "{}", ended.output);
        assert_eq!(house.settled("c-lru").cache.calls(Callback::Lookup), 0);
    }
}

#[test]
fn a_shutdown_waits_for_nothing_when_nothing_goes_on() {
    let house = House::open(&["rust-lru"]);
    curl(&house, "rust-lru.example", 2, &[]);
    assert_eq!(house.close(), 0);
}
