//! An operator reconfigures a server while clients are connected.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
};

use innkeeper_e2e::{ANSWER, Folder, Served, curl, openssl, reconnects};
use innkeeper_proxy::What;

/// Starts a server with some tenants whose guest is `rust-lru`.
fn served(tenants: &[&str]) -> Served {
    let mut folder = Folder::new();
    folder.component("rust-lru");
    let mut text = Folder::head();
    for name in tenants {
        folder.certify(name);
        text += &folder.tenant(name, "rust-lru.wasm", "");
    }
    folder.configure(&text);
    Served::start(folder)
}

/// Stores a session in a file, for a later connection to resume.
fn keep_session(served: &Served, server_name: &str) -> String {
    let file = served.folder.file("session").to_str().unwrap().to_owned();
    let ended = openssl(served, server_name, &["-tls1_2", "-no_ticket", "-sess_out", &file]);
    assert_eq!(ended.count("New, "), 1, "{}", ended.output);
    served.settled(server_name.strip_suffix(".example").unwrap());
    file
}

fn resumes(served: &Served, server_name: &str, session: &str) -> bool {
    let ended = openssl(served, server_name, &["-tls1_2", "-no_ticket", "-sess_in", session]);
    assert_eq!(ended.count("New, ") + ended.count("Reused, "), 1, "{}", ended.output);
    ended.count("Reused, ") == 1
}

#[test]
fn tenants_come_and_go_and_the_others_do_not_notice() {
    let served = served(&["shop"]);
    let session = keep_session(&served, "shop.example");
    assert_eq!(openssl(&served, "blog.example", &[]).count("unrecognized name"), 1);
    let mut served = served;
    served.folder.certify("blog");
    let both = Folder::head()
        + &served.folder.tenant("blog", "rust-lru.wasm", "")
        + &served.folder.tenant("shop", "rust-lru.wasm", "");
    let reloaded = served.reload(&both).unwrap();
    assert!(
        matches!(reloaded.changes.as_slice(), [change] if change.tenant == "blog" && matches!(change.what, What::Added))
    );
    assert_eq!(reconnects(&served, "blog"), (1, 5));
    assert!(resumes(&served, "shop.example", &session), "a tenant that was kept has its sessions");
    let only = Folder::head() + &served.folder.tenant("blog", "rust-lru.wasm", "");
    let reloaded = served.reload(&only).unwrap();
    assert!(
        matches!(reloaded.changes.as_slice(), [change] if change.tenant == "shop" && matches!(change.what, What::Removed))
    );
    assert_eq!(openssl(&served, "shop.example", &[]).count("unrecognized name"), 1);
    assert_eq!(served.reload(&only).unwrap().changes.len(), 0, "nothing has changed");
}

#[test]
fn a_broken_file_leaves_everything_as_it_was() {
    let served = served(&["shop"]);
    let session = keep_session(&served, "shop.example");
    let good = std::fs::read_to_string(served.folder.file("innkeeper.toml")).unwrap();
    let refusal = served.reload(&good.replace("[admin]", "[admin")).unwrap_err();
    assert!(refusal.contains("innkeeper.toml:") && refusal.contains("\nhint: "), "{refusal}");
    assert!(resumes(&served, "shop.example", &session));
    let broken = [
        good.replace("shop.pem", "missing.pem"),
        good.replace("rust-lru.wasm", "ca.pem"),
        // Everything except the last tenant is valid.
        good.clone() + &served.folder.tenant("blog", "rust-lru.wasm", ""),
    ];
    for text in broken {
        let reloaded = served.reload(&text).unwrap();
        let [(_, trouble)] = &reloaded.troubles[..] else { panic!("one tenant is in trouble: {reloaded:?}") };
        let why = trouble.problems.join("\n");
        assert!(why.contains("innkeeper.toml:") && why.contains("\nhint: "), "{why}");
        assert!(resumes(&served, "shop.example", &session));
    }
    // A taken address is detected last.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = format!("[[listeners]]\naddress = \"{}\"\n\n[admin]", taken.local_addr().unwrap());
    let refusal = served.reload(&good.replace("[admin]", &listener)).unwrap_err();
    assert!(
        refusal.contains("`listeners[1].address` is `\"127.0.0.1:") && refusal.contains("cannot listen"),
        "{refusal}"
    );
    assert!(resumes(&served, "shop.example", &session));
    assert_eq!(served.reload(&good).unwrap().changes.len(), 0);
}

#[test]
fn each_change_of_a_tenant_keeps_the_sessions_that_may_live() {
    let mut served = served(&["shop"]);
    served.folder.component("c-lru");
    let tenant =
        |served: &Served, component: &str, more: &str| Folder::head() + &served.folder.tenant("shop", component, more);
    let changed = |served: &Served, text: &str| {
        let reloaded = served.reload(text).unwrap();
        let [change] = reloaded.changes.as_slice() else { panic!("one tenant has changed: {reloaded:?}") };
        let What::Changed { wiped, moved, upgrade } = &change.what else { panic!("it has changed: {change:?}") };
        (*wiped, *moved, upgrade.as_ref().map(Result::is_ok))
    };
    let session = keep_session(&served, "shop.example");
    // Another guest is an upgrade.
    assert_eq!(changed(&served, &tenant(&served, "c-lru.wasm", "")), (0, None, Some(true)));
    assert!(resumes(&served, "shop.example", &session));
    // Other limits open the caches anew, with a handover of the sessions.
    assert_eq!(changed(&served, &tenant(&served, "c-lru.wasm", "lifetime_s = 7200")), (0, Some(1), None));
    assert!(resumes(&served, "shop.example", &session));
    // Other bounds change nothing about sessions.
    let bounds = "lifetime_s = 7200\nconnections = { max = 10 }";
    assert_eq!(changed(&served, &tenant(&served, "c-lru.wasm", bounds)), (0, None, None));
    assert!(resumes(&served, "shop.example", &session));
    // Client certificates are another trust.
    let strict = "lifetime_s = 7200\nclient_auth = { mode = \"optional\", roots = \"ca.pem\" }";
    assert_eq!(changed(&served, &tenant(&served, "c-lru.wasm", strict)), (1, None, None));
    assert!(!resumes(&served, "shop.example", &session));
    // So is another certificate, in the same file.
    let session = keep_session(&served, "shop.example");
    served.folder.certify("shop");
    let (wiped, moved, upgrade) = changed(&served, &tenant(&served, "c-lru.wasm", "lifetime_s = 7200"));
    assert!(wiped > 0 && moved.is_none() && upgrade.is_none());
    assert!(!resumes(&served, "shop.example", &session));
}

#[test]
fn a_guest_that_fails_its_upgrade_gives_way_to_the_old_one() {
    let served = served(&["shop"]);
    let session = keep_session(&served, "shop.example");
    let reload = || served.runtime.block_on(served.server.reload()).map_err(|problems| problems.to_string());
    // The canary detects the guest that forgets, and `init` the one that traps; in both cases the old guest goes on
    // serving.
    for bad in ["forgets", "init-traps"] {
        served.folder.component_as(bad, "rust-lru.wasm");
        for _ in 0..2 {
            let reloaded = reload().unwrap();
            let [change] = reloaded.changes.as_slice() else { panic!("{bad} is tried each time: {reloaded:?}") };
            assert!(matches!(&change.what, What::Changed { upgrade: Some(Err(_)), .. }), "{bad}: {change:?}");
            assert!(resumes(&served, "shop.example", &session), "{bad}");
        }
    }
    assert_eq!(served.settled("shop").cache.upgrades_refused, 4);
    served.folder.component("rust-lru");
    let reloaded = reload().unwrap();
    assert!(
        matches!(reloaded.changes.as_slice(), [change] if matches!(change.what, What::Changed { upgrade: None, .. }))
    );
    assert_eq!(reload().unwrap().changes.len(), 0);
    // Other properties open the caches anew; a guest that does not open is refused like any other problem.
    served.folder.component_as("init-traps", "rust-lru.wasm");
    let text = std::fs::read_to_string(served.folder.file("innkeeper.toml")).unwrap();
    let reloaded = served.reload(&text.replace("limits = {", "properties = { note = \"new\" }\nlimits = {")).unwrap();
    let why = reloaded.troubles[0].1.problems.join("\n");
    assert!(why.contains("`tenants.shop.guest.component` is `\"rust-lru.wasm\"`") && why.contains("does not open"));
    assert!(resumes(&served, "shop.example", &session));
}

#[test]
fn a_connection_outlives_every_reload_and_no_handshake_fails() {
    let mut served = served(&["shop", "blog"]);
    served.folder.component("c-lru");
    served.folder.certify("more");
    let texts: Vec<String> = (0..6)
        .map(|number| {
            let guest = if number % 2 == 0 { "c-lru.wasm" } else { "rust-lru.wasm" };
            let lifetime = format!("lifetime_s = {}", 3_600 + number / 3);
            let more = if number % 3 == 0 { served.folder.tenant("more", guest, "") } else { String::new() };
            Folder::head()
                + &served.folder.tenant("shop", guest, &lifetime)
                + &served.folder.tenant("blog", guest, "")
                + &more
        })
        .collect();
    let early = TcpStream::connect(served.address()).unwrap();
    let waiting = innkeeper_e2e::Waiting::connect(&served, "shop.example");
    let is_done = AtomicBool::new(false);
    let (mut reloads, mut handshakes) = (0, 0);
    std::thread::scope(|scope| {
        let visitors = ["shop", "blog"].map(|name| {
            let (served, is_done) = (&served, &is_done);
            scope.spawn(move || {
                let mut visits = 0;
                while !is_done.load(Ordering::Acquire) {
                    let (new, reused) = reconnects(served, name);
                    assert_eq!(new + reused, 6, "{name}");
                    visits += 6;
                }
                visits
            })
        });
        for _ in 0..5 {
            for text in &texts {
                served.reload(text).unwrap();
                reloads += 1;
            }
        }
        is_done.store(true, Ordering::Release);
        handshakes = visitors.into_iter().map(|visitor| visitor.join().unwrap()).sum();
    });
    assert_eq!(reloads, 30);
    let failed: u64 = served.server.proxy().stats().iter().map(|(_, stats)| stats.failed).sum();
    let counted: u64 = ["shop", "blog"].iter().map(|name| served.settled(name).handshakes).sum();
    assert_eq!((failed, counted), (0, handshakes + 1));
    assert!(waiting.finish(), "a connection from before the first reload is served to its end");
    // This connection was accepted before the first reload, and sends its ClientHello only now.
    assert_eq!(hello_to(early, "nobody.example").last(), Some(&112), "it is told that nobody has the name");
}

/// The answer to a ClientHello.
fn hello_to(mut stream: TcpStream, server_name: &str) -> Vec<u8> {
    let hello = innkeeper_e2e::ClientHello { server_name: server_name.into(), ..Default::default() };
    stream.write_all(&hello.records()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

#[test]
fn wildcards_serve_one_label_and_a_whole_name_goes_before_them() {
    let mut folder = Folder::new();
    folder.component("rust-lru");
    ["shop", "own"].into_iter().for_each(|name| folder.certify(name));
    let own = folder
        .tenant("own", "rust-lru.wasm", "")
        .replace("[\"own.example\", \"*.own.example\"]", "[\"own.shop.example\", \"own.example\"]");
    // A certificate for its name below the other tenant's.
    let own = own.replace(
        "{ chain = \"own.pem\", key = \"own.key\" }",
        "{ chain = \"own.pem\", key = \"own.key\" }, { chain = \"shop.pem\", key = \"shop.key\" }",
    );
    folder.configure(&(Folder::head() + &folder.tenant("shop", "rust-lru.wasm", "") + &own));
    let served = Served::start(folder);
    for name in ["shop.example", "a.shop.example", "A.Shop.Example", "own.shop.example"] {
        assert_eq!(curl(&served, name, 1, &[]).output, ANSWER, "{name}");
    }
    for name in ["a.b.shop.example", "example", "shop.example.org", "x.own.example"] {
        assert_eq!(openssl(&served, name, &[]).count("unrecognized name"), 1, "{name}");
    }
    assert_eq!(served.settled("shop").handshakes, 3);
    assert_eq!(served.settled("own").handshakes, 1);
}

#[test]
fn a_client_gets_a_certificate_whose_key_it_can_verify() {
    let mut folder = Folder::new();
    folder.component("rust-lru");
    folder.certify("shop");
    let (chain, key) = (folder.file("rsa.pem"), folder.file("rsa.key"));
    let made = innkeeper_e2e::run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=shop.example",
            "-addext",
            "subjectAltName=DNS:shop.example",
            "-keyout",
            key.to_str().unwrap(),
            "-out",
            chain.to_str().unwrap(),
        ],
        "",
    );
    assert!(made.is_success, "{}", made.output);
    let both = "{ chain = \"shop.pem\", key = \"shop.key\" }, { chain = \"rsa.pem\", key = \"rsa.key\" }";
    let tenant =
        folder.tenant("shop", "rust-lru.wasm", "").replace("{ chain = \"shop.pem\", key = \"shop.key\" }", both);
    folder.configure(&(Folder::head() + &tenant));
    let served = Served::start(folder);
    for (algorithms, kind) in [("ECDSA+SHA256", "ECDSA"), ("RSA-PSS+SHA256", "RSA-PSS")] {
        let ended = openssl(&served, "shop.example", &["-tls1_3", "-sigalgs", algorithms]);
        assert!(ended.output.contains(&format!("Peer signature type: {kind}")), "{}", ended.output);
    }
}

#[test]
fn changed_files_are_taken_over_by_themselves_and_sighup_is_not_needed() {
    let mut served = served(&["shop"]);
    served.folder.certify("blog");
    let both = Folder::head()
        + &served.folder.tenant("shop", "rust-lru.wasm", "")
        + &served.folder.tenant("blog", "rust-lru.wasm", "");
    let Served { folder, server, runtime, .. } = served;
    let address = server.addresses()[0];
    let admin = server.admin_address().unwrap();
    let running = runtime.spawn(async move {
        let mut life = innkeeper_serve::Life::new().unwrap();
        server.run(&mut life).await
    });
    folder.configure(&both);
    // The change applies later; the page shows it.
    let body = || {
        innkeeper_e2e::run("curl", &["--silent", "--noproxy", "*", &format!("http://{admin}/api/tenants")], "").output
    };
    let looks = (0..10_000).find(|_| body().contains("\"blog\""));
    assert!(looks.is_some() && !running.is_finished(), "it takes over what has changed, and runs on");
    assert!(TcpStream::connect(address).is_ok());
    running.abort();
}
