//! Independent clients resume through every honest guest, and through native code.

use innkeeper_e2e::{ANSWER, HONEST, House, curl, openssl, python};
use innkeeper_proxy::core::Callback;

#[test]
fn openssl_reconnects_with_a_tls12_session_id() {
    for guest in HONEST {
        let mut house = House::open(&[guest]);
        let ended = openssl(&house, &format!("{guest}.example"), &["-tls1_2", "-no_ticket", "-reconnect"]);
        assert!(ended.is_success, "{guest}: {}", ended.output);
        assert_eq!((ended.count("New, TLSv1.2"), ended.count("Reused, TLSv1.2")), (1, 5), "{guest}: {}", ended.output);
        let stats = house.settled(guest);
        assert_eq!((stats.handshakes, stats.resumed, stats.failed), (6, 5, 0), "{guest}");
        // A full handshake is one update, a resumed one is one lookup.
        assert_eq!((stats.cache.updates, stats.cache.calls(Callback::Lookup), stats.cache.hits), (1, 5, 5), "{guest}");
    }
}

#[test]
fn openssl_uses_a_tls13_session_once() {
    for guest in HONEST {
        let mut house = House::open(&[guest]);
        let server_name = format!("{guest}.example");
        let file = house.folder().join("session.pem");
        let file = file.to_str().expect("temporary folders have plain names");
        let visit = |house: &mut House, args: [&str; 2]| {
            let ended = openssl(house, &server_name, &[&["-tls1_3", "-ign_eof"], args.as_slice()].concat());
            assert_eq!(ended.count(ANSWER.trim()), 1, "{guest}: {}", ended.output);
            let stats = house.settled(guest).cache;
            let takes = stats.calls(Callback::Lookup);
            (ended.count("New, TLSv1.3"), ended.count("Reused, TLSv1.3"), stats.updates, takes)
        };
        // A full handshake is one update; a resumed one is one take and one update.
        assert_eq!(visit(&mut house, ["-sess_out", file]), (1, 0, 1, 0), "{guest}");
        assert_eq!(visit(&mut house, ["-sess_in", file]), (0, 1, 2, 1), "{guest}");
        assert_eq!(visit(&mut house, ["-sess_in", file]), (1, 0, 3, 1), "{guest}: used up, so the guest is not asked");
        assert_eq!(house.settled(guest).failed, 0, "{guest}");
    }
}

#[test]
fn early_data_is_off() {
    let mut house = House::open(&["rust-lru"]);
    let file = house.folder().join("session.pem");
    let file = file.to_str().expect("temporary folders have plain names");
    openssl(&house, "rust-lru.example", &["-tls1_3", "-ign_eof", "-sess_out", file]);
    house.settled("rust-lru");
    let early = house.folder().join("early.txt");
    std::fs::write(&early, "GET /early HTTP/1.1\r\n\r\n").unwrap();
    let early = early.to_str().expect("temporary folders have plain names");
    let ended = openssl(&house, "rust-lru.example", &["-tls1_3", "-ign_eof", "-sess_in", file, "-early_data", early]);
    assert_eq!(ended.count("Early data was accepted"), 0, "{}", ended.output);
    assert_eq!(ended.count("Reused, TLSv1.3"), 1, "{}", ended.output);
}

#[test]
fn a_session_does_not_resume_under_another_server_name() {
    for guest in HONEST {
        for version in ["-tls1_2", "-tls1_3"] {
            let mut house = House::open(&[guest]);
            let file = house.folder().join("session.pem");
            let file = file.to_str().expect("temporary folders have plain names");
            let first = [version, "-no_ticket", "-ign_eof", "-sess_out", file];
            let first = first.into_iter().filter(|arg| version == "-tls1_2" || *arg != "-no_ticket");
            let ended = openssl(&house, &format!("{guest}.example"), &first.collect::<Vec<_>>());
            assert_eq!(ended.count("New, "), 1, "{guest}: {}", ended.output);
            house.settled(guest);
            let ended = openssl(&house, &format!("other.{guest}.example"), &[version, "-ign_eof", "-sess_in", file]);
            assert_eq!((ended.count("New, "), ended.count(ANSWER.trim())), (1, 1), "{guest}: {}", ended.output);
            // The session stays valid for its own name: the other name has not used it up.
            let ended = openssl(&house, &format!("{guest}.example"), &[version, "-ign_eof", "-sess_in", file]);
            assert_eq!(ended.count("Reused, "), 1, "{guest} {version}: {}", ended.output);
            assert_eq!(house.settled(guest).failed, 0);
        }
    }
}

#[test]
fn curl_resumes_between_its_connections() {
    for guest in HONEST {
        for version in ["1.2", "1.3"] {
            let mut house = House::open(&[guest]);
            let args = ["--tlsv1.2", "--tls-max", version];
            let ended = curl(&house, &format!("{guest}.example"), 6, &args);
            assert!(ended.is_success, "{guest}: {}", ended.output);
            assert_eq!(ended.output, ANSWER.repeat(6), "{guest}");
            let stats = house.settled(guest);
            assert_eq!((stats.handshakes, stats.failed), (6, 0), "{guest}");
            assert_eq!(stats.resumed, 5, "{guest}, TLS {version}");
        }
    }
}

#[test]
fn curl_without_session_ids_is_the_control() {
    let mut house = House::open(&["rust-lru"]);
    let ended = curl(&house, "rust-lru.example", 3, &["--no-sessionid"]);
    assert_eq!(ended.output, ANSWER.repeat(3));
    assert_eq!(house.settled("rust-lru").resumed, 0);
}

#[test]
fn python_resumes_with_a_stored_session() {
    for guest in HONEST {
        for version in ["TLSv1_2", "TLSv1_3"] {
            let mut house = House::open(&[guest]);
            let ended = python(&mut house, &format!("{guest}.example"), version, |house| {
                house.settled(guest);
            });
            assert!(ended.is_success, "{guest}, {version}");
            assert_eq!(ended.output, "first False\nsecond True\n", "{guest}, {version}");
        }
    }
}

#[test]
fn past_its_lifetime_a_session_is_a_full_handshake() {
    for guest in HONEST {
        let mut house = House::open(&[guest]);
        let ended = python(&mut house, &format!("{guest}.example"), "TLSv1_2", |house| {
            house.settled(guest);
            house.clock().advance(24 * 60 * 60 * 1_000);
        });
        assert_eq!(ended.output, "first False\nsecond False\n", "{guest}");
        assert_eq!(house.settled(guest).failed, 0, "{guest}");
    }
}
