//! A session never outlives or crosses the trust decision behind it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use innkeeper_e2e::{ANSWER, Ended, HONEST, House, openssl, python};
use innkeeper_proxy::{ClientAuth, TenantTls, rustls::pki_types::CertificateDer};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

const HOUR_MS: u64 = 60 * 60 * 1_000;

fn path(house: &House, name: &str) -> String {
    house.folder().join(name).to_str().expect("temporary folders have plain names").to_owned()
}

fn visit(house: &House, guest: &str, args: &[&str]) -> Ended {
    openssl(house, &format!("{guest}.example"), &[args, &["-ign_eof"]].concat())
}

#[test]
fn early_data_is_accepted_by_setting_only_and_then_once() {
    for guest in HONEST {
        let mut house = House::open_with(&[guest], |tenant| tenant.tls.early_data_bytes = 4_096);
        let (session, early) = (path(&house, "session.pem"), path(&house, "early.txt"));
        std::fs::write(&early, "GET /early HTTP/1.1\r\n\r\n").unwrap();
        visit(&house, guest, &["-tls1_3", "-sess_out", &session]);
        house.settled(guest);
        let mut accepted = Vec::new();
        for _ in 0..2 {
            let ended = visit(&house, guest, &["-tls1_3", "-sess_in", &session, "-early_data", &early]);
            assert_eq!(ended.count(ANSWER.trim()), 1, "the upstream has the request once: {}", ended.output);
            accepted.push((ended.count("Early data was accepted"), ended.count("Reused, ")));
            house.settled(guest);
        }
        assert_eq!(accepted, [(1, 1), (0, 0)], "{guest}");
        assert_eq!(house.settled(guest).failed, 0, "{guest}");
    }
}

#[test]
fn a_chain_of_resumptions_ends_with_the_first_sessions_life() {
    for guest in HONEST {
        let mut house = House::open(&[guest]);
        let session = path(&house, "session.pem");
        visit(&house, guest, &["-tls1_3", "-sess_out", &session]);
        for link in 1..=4 {
            house.settled(guest);
            house.clock().advance(6 * HOUR_MS);
            let ended = visit(&house, guest, &["-tls1_3", "-sess_in", &session, "-sess_out", &session]);
            let is_resumed = ended.count("Reused, ") == 1;
            assert_eq!(is_resumed, link < 4, "{guest}, after {} hours: {}", 6 * link, ended.output);
        }
    }
}

/// Writes a client's certificate and key to files, and returns their root.
fn client(house: &House, name: &str) -> (String, CertificateDer<'static>) {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &root).unwrap();
    let file = path(house, &format!("{name}.pem"));
    std::fs::write(&file, leaf.pem() + &key.serialize_pem()).unwrap();
    (file, root.der().clone())
}

#[test]
fn a_session_of_an_open_tenant_does_not_resume_where_a_certificate_is_required() {
    for guest in HONEST {
        for version in ["-tls1_2", "-tls1_3"] {
            let mut house = House::open(&[guest]);
            let session = path(&house, "session.pem");
            visit(&house, guest, &[version, "-sess_out", &session]);
            house.settled(guest);
            let (certificate, root) = client(&house, "client");
            let required = |house: &House| TenantTls {
                client_auth: ClientAuth::Required,
                client_roots: vec![root.clone()],
                ..house.tls(guest)
            };
            assert_eq!(house.proxy().reconfigure(guest, &required(&house)).unwrap(), 1, "{guest} {version}");
            let ended = visit(&house, guest, &[version, "-sess_in", &session]);
            assert_eq!(ended.count("Reused, ") + ended.count(ANSWER.trim()), 0, "{guest} {version}: {}", ended.output);
            // With a certificate the handshake is full, and its session resumes without another check of the
            // certificate.
            let ended = visit(&house, guest, &[version, "-sess_in", &session, "-cert", &certificate]);
            assert_eq!(
                (ended.count("New, "), ended.count(ANSWER.trim())),
                (1, 1),
                "{guest} {version}: {}",
                ended.output
            );
            visit(&house, guest, &[version, "-cert", &certificate, "-sess_out", &session]);
            house.settled(guest);
            let ended = visit(&house, guest, &[version, "-sess_in", &session, "-sess_out", &session]);
            assert_eq!(ended.count("Reused, "), 1, "{guest} {version}: {}", ended.output);
            house.settled(guest);
            // Other roots: another trust decision.
            let (_, other) = client(&house, "other");
            let other = TenantTls { client_roots: vec![other], ..required(&house) };
            assert!(house.proxy().reconfigure(guest, &other).unwrap() > 0);
            let ended = visit(&house, guest, &[version, "-sess_in", &session, "-cert", &certificate]);
            assert_eq!(ended.count("Reused, "), 0, "{guest} {version}: {}", ended.output);
        }
    }
}

#[test]
fn a_change_of_protocols_ends_sessions_and_no_change_does_not() {
    for version in ["-tls1_2", "-tls1_3"] {
        let mut house = House::open(&["rust-lru"]);
        let session = path(&house, "session.pem");
        visit(&house, "rust-lru", &[version, "-sess_out", &session]);
        house.settled("rust-lru");
        assert_eq!(house.proxy().reconfigure("rust-lru", &house.tls("rust-lru")).unwrap(), 0);
        let ended = visit(&house, "rust-lru", &[version, "-sess_in", &session, "-sess_out", &session]);
        assert_eq!(ended.count("Reused, "), 1, "{version}: {}", ended.output);
        house.settled("rust-lru");
        let alpn = TenantTls { alpn: vec![b"http/1.1".to_vec()], ..house.tls("rust-lru") };
        assert!(house.proxy().reconfigure("rust-lru", &alpn).unwrap() > 0);
        let ended = visit(&house, "rust-lru", &[version, "-sess_in", &session]);
        assert_eq!((ended.count("New, "), ended.count(ANSWER.trim())), (1, 1), "{version}: {}", ended.output);
    }
}

#[test]
fn a_revoked_tenants_sessions_are_gone_at_once() {
    for version in ["TLSv1_2", "TLSv1_3"] {
        let mut house = House::open(&["c-lru", "rust-lru"]);
        let ended = python(&mut house, "c-lru.example", version, |house| {
            house.settled("c-lru");
            assert!(house.proxy().revoke("c-lru").unwrap() > 0);
            assert_eq!(house.proxy().revoke("rust-lru").unwrap(), 0, "another tenant's are its own");
        });
        assert_eq!(ended.output, "first False\nsecond False\n", "{version}");
        assert_eq!(house.settled("c-lru").failed, 0);
    }
    let house = House::open(&["rust-lru"]);
    assert_eq!(house.proxy().revoke("nobody").unwrap_err().to_string(), "there is no tenant `nobody`");
}
