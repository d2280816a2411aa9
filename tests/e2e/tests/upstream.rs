//! The client role: sessions with upstreams that speak TLS. The guest picks them, and a separate vault keeps them.

use std::path::PathBuf;

use innkeeper_e2e::{Folder, Served, TlsUpstream, curl};
use innkeeper_proxy::core::{Callback, Miss};

const VISITS: u64 = 20;

/// Starts a server with a tenant for the upstream, which has the certificate of `shop.example`.
fn served(guest: &str, upstream: impl FnOnce(PathBuf, PathBuf) -> TlsUpstream) -> (Served, TlsUpstream) {
    let mut folder = Folder::new();
    folder.component(guest);
    ["shop", "back"].into_iter().for_each(|name| folder.certify(name));
    let upstream = upstream(folder.file("back.pem"), folder.file("back.key"));
    let tenant = tenant(&folder, guest, &upstream, "back.example");
    folder.configure(&(Folder::head() + &tenant));
    (Served::start(folder), upstream)
}

fn tenant(folder: &Folder, guest: &str, upstream: &TlsUpstream, server_name: &str) -> String {
    let tls = format!("tls = {{ server_name = \"{server_name}\", roots = \"ca.pem\" }}");
    let upstream = format!("upstream = {{ address = \"{}\", {tls} }}", upstream.address());
    folder.tenant("shop", &format!("{guest}.wasm"), &upstream)
}

/// Makes visits one after another, each once the sessions of the previous one are registered. Returns the number of
/// resumed upstream handshakes.
fn visit(served: &Served, visits: u64) -> u64 {
    let before = served.settled("shop").upstream;
    for _ in 0..visits {
        let ended = curl(served, "shop.example", 1, &["--http1.1"]);
        assert!(ended.is_success, "{}", ended.output);
        served.settled("shop");
    }
    let after = served.settled("shop").upstream;
    assert_eq!(after.handshakes - before.handshakes, visits);
    assert_eq!((after.failed, after.handshakes_failed), (0, 0));
    after.resumed - before.resumed
}

#[test]
fn sessions_with_nginx_resume() {
    for (name, version, more) in [
        ("TLS 1.2, ids", "TLSv1.2", "ssl_session_cache shared:s:1m; ssl_session_tickets off;"),
        ("TLS 1.2, tickets", "TLSv1.2", "ssl_session_cache off; ssl_session_tickets on;"),
        ("TLS 1.3", "TLSv1.3", "ssl_session_cache off; ssl_session_tickets on;"),
        ("TLS 1.3, ids", "TLSv1.3", "ssl_session_cache shared:s:1m; ssl_session_tickets off;"),
    ] {
        let more = format!("ssl_protocols {version}; {more}");
        let (served, _upstream) = served("rust-lru", |chain, key| TlsUpstream::nginx(&chain, &key, &more));
        assert_eq!(visit(&served, VISITS), VISITS - 1, "{name}: all but the first resume");
        let stats = served.settled("shop");
        let client = stats.client_cache.unwrap();
        assert_eq!((client.hits, client.false_claims), (VISITS - 1, 0), "{name}");
        assert_eq!(client.calls(Callback::Init), 1, "{name}: once for this role");
        assert_eq!(stats.cache.calls(Callback::Init), 1, "{name}: and once for the other");
    }
}

#[test]
fn sessions_with_openssl_resume() {
    for args in [&["-tls1_2", "-no_ticket"][..], &["-tls1_2"], &["-tls1_3"], &["-tls1_3", "-no_ticket"]] {
        for guest in ["rust-lru", "c-lru", "rust-ttl"] {
            let (served, _upstream) = served(guest, |chain, key| TlsUpstream::openssl(&chain, &key, args));
            assert_eq!(visit(&served, VISITS), VISITS - 1, "{guest} {args:?}");
        }
    }
}

#[test]
fn a_tls13_ticket_is_used_once_and_a_tls12_session_again_and_again() {
    let one =
        |args: &'static [&'static str]| served("rust-lru", move |chain, key| TlsUpstream::openssl(&chain, &key, args));
    let (tls12, _upstream) = one(&["-tls1_2"]);
    visit(&tls12, VISITS);
    assert_eq!(tls12.settled("shop").client_cache.unwrap().sessions, 1, "one session, renewed");
    let (tls13, _upstream) = one(&["-tls1_3", "-num_tickets", "1"]);
    visit(&tls13, VISITS);
    let client = tls13.settled("shop").client_cache.unwrap();
    assert_eq!((client.updates, client.sessions), (VISITS, 1), "each was taken but the last");
}

#[test]
fn a_hostile_guest_costs_upstream_sessions_and_no_connection() {
    for guest in
        ["liar", "spin", "trap", "forgets", "random-claims", "foreign-claims", "dead-claims", "every-hundredth"]
    {
        for version in ["-tls1_2", "-tls1_3"] {
            let (served, _upstream) = served(guest, |chain, key| TlsUpstream::openssl(&chain, &key, &[version]));
            let resumed = visit(&served, VISITS);
            assert!(resumed < VISITS, "{guest} {version}");
            let stats = served.settled("shop");
            assert_eq!((stats.handshakes, stats.failed), (VISITS, 0), "{guest} {version}");
        }
    }
}

#[test]
fn sessions_with_the_upstream_outlive_what_does_not_concern_them() {
    let (mut served, upstream) = served("rust-lru", |chain, key| TlsUpstream::openssl(&chain, &key, &["-tls1_2"]));
    served.folder.component("c-lru");
    assert_eq!(visit(&served, 3), 2);
    // Bounds, another guest, other limits: each time the session stays.
    let bounds = |text: &str| text.replace("upstream = ", "connections = { max = 10 }\nupstream = ");
    let first = tenant(&served.folder, "rust-lru", &upstream, "back.example");
    let second = tenant(&served.folder, "c-lru", &upstream, "back.example");
    for text in [bounds(&first), second.clone(), second.replace("upstream = ", "lifetime_s = 7200\nupstream = ")] {
        assert_eq!(served.reload(&(Folder::head() + &text)).unwrap().changes.len(), 1);
        assert_eq!(visit(&served, 2), 2, "{text}");
    }
    // Another name to trust is another peer.
    let other = tenant(&served.folder, "c-lru", &upstream, "other.back.example");
    served.reload(&(Folder::head() + &other)).unwrap();
    assert_eq!(visit(&served, 2), 1);
    // So is the same upstream after a revocation.
    assert!(served.server.proxy().revoke("shop").unwrap() > 0);
    assert_eq!(visit(&served, 2), 1);
    // Without TLS the tenant has no client cache.
    served.reload(&(Folder::head() + &served.folder.tenant("shop", "c-lru.wasm", ""))).unwrap();
    assert!(served.settled("shop").client_cache.is_none());
    assert!(curl(&served, "shop.example", 1, &[]).is_success);
    served.folder.certify("shop");
}

#[test]
fn an_upstream_that_is_not_who_it_should_be_is_not_talked_to() {
    let (served, upstream) = served("rust-lru", |chain, key| TlsUpstream::openssl(&chain, &key, &["-tls1_3"]));
    let wrong = tenant(&served.folder, "rust-lru", &upstream, "shop.example");
    served.reload(&(Folder::head() + &wrong)).unwrap();
    let ended = curl(&served, "shop.example", 1, &[]);
    assert!(!ended.is_success, "{}", ended.output);
    let stats = served.settled("shop");
    assert_eq!((stats.handshakes, stats.upstream.handshakes, stats.upstream.handshakes_failed), (1, 0, 1));
    assert_eq!(stats.client_cache.unwrap().misses(Miss::FalseClaim), 0);
}

#[test]
fn what_the_client_and_we_speak_is_what_the_upstream_is_offered() {
    let (served, upstream) = served("rust-lru", |chain, key| {
        TlsUpstream::nginx(&chain, &key, "http2_max_field_size 8k; ssl_protocols TLSv1.3;")
    });
    let text = tenant(&served.folder, "rust-lru", &upstream, "back.example");
    let text = text.replace("upstream = ", "alpn = [\"http/1.1\"]\nupstream = ");
    served.reload(&(Folder::head() + &text)).unwrap();
    let ended = curl(&served, "shop.example", 2, &["--http1.1", "--verbose"]);
    assert!(ended.is_success && ended.output.contains("ALPN: server accepted http/1.1"), "{}", ended.output);
}
