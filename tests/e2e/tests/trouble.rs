//! One tenant's trouble is that tenant's: every other one starts, changes and serves undisturbed.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    future::{Future as _, poll_fn},
    pin::pin,
    task::Poll,
};

use innkeeper_e2e::{ANSWER, Folder, Served, TOKEN, curl, openssl, reconnects, run};
use innkeeper_proxy::{Change, What, core::CacheState};
use innkeeper_serve::{Reloaded, Standing};
use serde_json::Value;

const BOTH: [&str; 2] = ["shop", "blog"];

/// Makes a folder with two tenants, each with its own component.
fn folder() -> Folder {
    let mut folder = Folder::new();
    let mut text = "watch = false\n".to_owned() + &Folder::head();
    for name in BOTH {
        folder.certify(name);
        folder.component_as("rust-lru", &format!("{name}.wasm"));
        text += &folder.tenant(name, &format!("{name}.wasm"), "");
    }
    folder.configure(&text);
    folder
}

fn text(folder: &Folder) -> String {
    std::fs::read_to_string(folder.file("innkeeper.toml")).unwrap()
}

/// Starts a server, and waits for the guests that load.
fn start(folder: Folder) -> Served {
    let served = Served::start_at_once(folder);
    served.runtime.block_on(served.server.settled());
    served
}

fn reload(served: &Served) -> Reloaded {
    served.runtime.block_on(served.server.reload()).unwrap()
}

/// True if a tenant serves the certificate that its file has now.
fn shows_its_file(served: &Served, name: &str) -> bool {
    let pem = std::fs::read_to_string(served.folder.file(&format!("{name}.pem"))).unwrap();
    let signature = pem.lines().rev().nth(1).unwrap().trim().to_owned();
    openssl(served, &format!("{name}.example"), &[]).output.contains(&signature)
}

/// The tenants in trouble, each with its standing.
fn standings(served: &Served) -> Vec<(String, Standing)> {
    served.server.troubles().into_iter().map(|(name, trouble)| (name, trouble.standing)).collect()
}

fn is(name: &str, standing: Standing) -> Vec<(String, Standing)> {
    vec![(name.to_owned(), standing)]
}

fn get(served: &Served, path: &str) -> String {
    let url = format!("http://{}{path}", served.admin());
    run("curl", &["--silent", "--noproxy", "*", &url], "").output
}

fn post(served: &Served, path: &str) -> String {
    let url = format!("http://{}/api/tenants/{path}", served.admin());
    let token = format!("Authorization: Bearer {TOKEN}");
    run("curl", &["--silent", "--noproxy", "*", "--request", "POST", "--header", &token, &url], "").output
}

/// Checks the metrics, API and pages of a tenant in trouble.
fn check_told(served: &Served, name: &str, standing: Standing, part: &str) {
    let metrics = get(served, "/metrics");
    for own in Standing::ALL {
        let kind = own.name();
        let line =
            format!("innkeeper_tenant_trouble{{kind=\"{kind}\",tenant=\"{name}\"}} {}\n", u8::from(own == standing));
        let other =
            format!("innkeeper_tenant_trouble{{tenant=\"{name}\",kind=\"{kind}\"}} {}\n", u8::from(own == standing));
        assert!(metrics.contains(&line) || metrics.contains(&other), "{line} {metrics}");
    }
    assert!(metrics.contains("innkeeper_tenant_trouble{") && metrics.contains("{result=\"partly\"} 1"), "{metrics}");
    assert!(metrics.contains("innkeeper_config_last_reload_successful 1"));
    let told: Value = serde_json::from_str(&get(served, &format!("/api/tenants/{name}"))).unwrap();
    assert_eq!(told["trouble"]["standing"], standing.name(), "{told}");
    assert!(told["trouble"]["problems"][0].as_str().unwrap().contains(part) && told["trouble"]["since"].is_u64());
    let all: Value = serde_json::from_str(&get(served, "/api/tenants")).unwrap();
    let of = |name: &str| all.as_array().unwrap().iter().find(|own| own["name"] == name).unwrap().clone();
    assert_eq!(of(name)["trouble"]["standing"], standing.name());
    assert!(of("blog")["trouble"].is_null());
    let (overview, page) = (get(served, "/"), get(served, &format!("/tenants/{name}")));
    assert!(overview.contains("1 of 2 in trouble"), "{overview}");
    let said = match standing {
        Standing::Kept => "Not changed as the configuration says",
        Standing::WithoutGuest => "Without a guest",
        Standing::NotServed => "Not served",
    };
    let html = part.replace('"', "&quot;");
    assert!(page.contains(said) && page.contains(&html), "{page}");
}

#[test]
fn a_component_that_is_garbage_stops_no_renewal() {
    let mut served = start(folder());
    assert_eq!(reconnects(&served, "shop"), (1, 5));
    served.folder.write("shop.wasm", "garbage");
    served.folder.certify("blog");
    let reloaded = reload(&served);
    assert!(matches!(reloaded.changes.as_slice(), [change] if change.tenant == "blog"), "{reloaded:?}");
    assert!(shows_its_file(&served, "blog"), "the other tenant's certificate is the new one");
    assert_eq!(standings(&served), is("shop", Standing::Kept));
    let why = reloaded.troubles[0].1.problems.join("\n");
    assert!(
        why.contains("innkeeper.toml:") && why.contains("not a WebAssembly file") && why.contains("\nhint: "),
        "{why}"
    );
    check_told(&served, "shop", Standing::Kept, "not a WebAssembly file");
    assert_eq!(reconnects(&served, "shop"), (1, 5), "it keeps its guest");
    // Its certificate changes in spite of the component.
    served.folder.certify("shop");
    reload(&served);
    assert!(shows_its_file(&served, "shop"));
    // A repaired file ends the trouble.
    served.folder.component_as("rust-lfu", "shop.wasm");
    assert!(reload(&served).troubles.is_empty());
    assert_eq!(served.settled("shop").cache.upgrades, 1);
    assert!(get(&served, "/metrics").contains("{result=\"all\"} 1"));
    assert!(get(&served, "/").contains("All 2 are well"));
}

#[test]
fn a_component_that_is_garbage_stops_no_start() {
    let folder = folder();
    folder.write("shop.wasm", "garbage");
    let served = start(folder);
    assert_eq!(standings(&served), is("shop", Standing::WithoutGuest));
    assert_eq!(reconnects(&served, "shop"), (6, 0), "it serves full handshakes");
    assert_eq!(curl(&served, "shop.example", 3, &["--tlsv1.3"]).output, ANSWER.repeat(3));
    assert_eq!(reconnects(&served, "blog"), (1, 5), "and the others all there is");
    check_told(&served, "shop", Standing::WithoutGuest, "not a WebAssembly file");
    let stats = served.settled("shop");
    assert_eq!((stats.cache.state, stats.failed, stats.handshakes), (CacheState::NoGuest, 0, 9));
    // An operator installs the guest once its file is right.
    assert!(post(&served, "shop/upgrade").contains("not a WebAssembly file"));
    served.folder.component_as("rust-lru", "shop.wasm");
    assert!(post(&served, "shop/upgrade").contains("\"opened\":true"));
    assert_eq!((reconnects(&served, "shop"), standings(&served)), ((1, 5), Vec::new()));
    assert_eq!(reload(&served).changes.len(), 1, "the reload sees another file, and finds its guest there");
    assert_eq!(reload(&served).changes.len(), 0);
}

#[test]
fn a_guest_that_traps_in_init_stops_no_start_and_is_tried_again() {
    let folder = folder();
    folder.component_as("init-traps", "shop.wasm");
    let served = start(folder);
    assert_eq!(standings(&served), is("shop", Standing::WithoutGuest));
    check_told(&served, "shop", Standing::WithoutGuest, "does not open");
    assert_eq!((reconnects(&served, "shop"), reconnects(&served, "blog")), ((6, 0), (1, 5)));
    // The cause is gone without a notice; the server tries again after half a minute.
    served.folder.component_as("rust-lru", "shop.wasm");
    served.server.tick();
    served.runtime.block_on(served.server.settled());
    assert_eq!(standings(&served), is("shop", Standing::WithoutGuest), "not at once");
    served.clock.advance(30_000);
    served.server.tick();
    served.runtime.block_on(served.server.settled());
    assert_eq!((standings(&served), reconnects(&served, "shop")), (Vec::new(), (1, 5)));
}

#[test]
fn a_certificate_that_is_cut_in_half_stops_nobody_else() {
    let mut served = start(folder());
    let whole = std::fs::read(served.folder.file("shop.pem")).unwrap();
    for half in [&whole[..whole.len() / 2], b""] {
        served.folder.write("shop.pem", half);
        served.folder.certify("blog");
        let reloaded = reload(&served);
        assert!(matches!(reloaded.changes.as_slice(), [change] if change.tenant == "blog"), "{reloaded:?}");
        assert!(shows_its_file(&served, "blog"));
        assert_eq!(standings(&served), is("shop", Standing::Kept));
        assert_eq!(reconnects(&served, "shop"), (1, 5), "it keeps the certificate that it had");
    }
    check_told(&served, "shop", Standing::Kept, "tenants.shop.certificates[0].chain");
    let Served { folder, server, runtime, .. } = served;
    drop((server, runtime));
    let served = start(folder);
    assert_eq!(standings(&served), is("shop", Standing::NotServed));
    assert_eq!(openssl(&served, "shop.example", &[]).count("unrecognized name"), 1, "it is refused by name");
    assert_eq!(reconnects(&served, "blog"), (1, 5));
    check_told(&served, "shop", Standing::NotServed, "tenants.shop.certificates[0].chain");
    served.folder.write("shop.pem", &whole);
    let reloaded = reload(&served);
    assert!(
        matches!(&reloaded.changes[..], [change] if matches!(change.what, What::Added)) && reloaded.troubles.is_empty()
    );
    assert_eq!(reconnects(&served, "shop"), (1, 5));
}

/// Changes to the tenant `shop`: a text, its replacement, the field that is then wrong, and the tenant's standing after
/// a start.
const WRONG: [(&str, &str, &str, Option<Standing>); 10] = [
    ("limits = {", "limits = { sessions = 0,", "sessions", Some(Standing::WithoutGuest)),
    // A start sizes the pool for the written limits.
    ("limits = {", "limits = { memory_bytes = 1073741824,", "memory_bytes", None),
    ("limits = {", "readers = 65\nlimits = {", "readers", Some(Standing::WithoutGuest)),
    ("limits = {", "readers = 64\nlimits = {", "instances_small", Some(Standing::WithoutGuest)),
    ("shop.wasm", "missing.wasm", "component", Some(Standing::WithoutGuest)),
    ("shop.key", "blog.key", "certificates[0].key", Some(Standing::NotServed)),
    ("shop.key", "missing.key", "certificates[0].key", Some(Standing::NotServed)),
    ("\"*.shop.example\"", "\"a b\"", "server_names[1]", Some(Standing::NotServed)),
    ("upstream = {", "connections = { max = 0 }\nupstream = {", "connections.max", Some(Standing::NotServed)),
    ("upstream = { address = \"", "upstream = { address = \"x/", "upstream.address", Some(Standing::NotServed)),
];

#[test]
fn each_thing_that_is_wrong_with_one_tenant_is_that_tenants() {
    let mut served = start(folder());
    let good = text(&served.folder).replace("[admin]", "[guests]\ninstances_small = 40\n\n[admin]");
    for (before, after, field, at_start) in WRONG {
        let text = good.replacen(before, after, 1);
        served.folder.certify("blog");
        served.reload(&text).unwrap();
        assert_eq!(standings(&served), is("shop", Standing::Kept), "{after}");
        let why = served.server.troubles().remove(0).1.problems.join("\n");
        assert!(why.contains(field) && why.contains("\nhint: "), "{after}: {why}");
        assert!(shows_its_file(&served, "blog"), "{after}");
        assert_eq!(reconnects(&served, "shop"), (1, 5), "{after}");
        served.reload(&good).unwrap();
        assert_eq!(standings(&served), Vec::new(), "{after}");
        let Some(at_start) = at_start else { continue };
        let other = folder();
        other.configure(&text.replace(&served.folder.upstream().to_string(), &other.upstream().to_string()));
        let other = start(other);
        assert_eq!(standings(&other), is("shop", at_start), "{after}");
        assert_eq!(reconnects(&other, "blog"), (1, 5), "{after}");
    }
}

#[test]
fn a_name_that_two_tenants_want_changes_hands_by_no_reload_and_no_start() {
    let mut served = start(folder());
    served.folder.certify("more");
    let good = text(&served.folder) + &served.folder.tenant("more", "shop.wasm", "");
    assert!(served.reload(&good).unwrap().troubles.is_empty());
    // The tenant `shop` comes before `blog`, and claims its name.
    let twice = good.replacen("\"*.shop.example\"", "\"blog.example\"", 1);
    served.folder.certify("more");
    served.reload(&twice).unwrap();
    let both = |standing| vec![("blog".to_owned(), standing), ("shop".to_owned(), standing)];
    assert_eq!(standings(&served), both(Standing::Kept));
    assert!(shows_its_file(&served, "blog") && shows_its_file(&served, "more"));
    let Served { folder, server, runtime, .. } = served;
    drop((server, runtime));
    let served = start(folder);
    assert_eq!(standings(&served), both(Standing::NotServed));
    assert_eq!(openssl(&served, "blog.example", &[]).count("unrecognized name"), 1);
    assert_eq!(reconnects(&served, "more"), (1, 5));
}

#[test]
fn where_there_is_little_room_changes_go_in_steps_that_fit() {
    let mut folder = Folder::new();
    folder.component("rust-lru");
    // One instance for each, and two for a change.
    let mut text = Folder::head().replace("[admin]", "[guests]\ninstances_small = 10\n\n[admin]");
    for number in 0..8 {
        let name = format!("tenant-{number}");
        folder.certify(&name);
        text += &folder.tenant(&name, "rust-lru.wasm", "lifetime_s = 3600");
    }
    folder.configure(&text);
    let served = Served::start(folder);
    let reloaded = served.reload(&text.replace("lifetime_s = 3600", "lifetime_s = 7200")).unwrap();
    let is_moved = |change: &Change| matches!(change.what, What::Changed { moved: Some(_), .. });
    assert!(reloaded.troubles.is_empty() && reloaded.changes.len() == 8, "{reloaded:?}");
    assert!(reloaded.changes.iter().all(is_moved), "{reloaded:?}");
    let none_left = served.reload(&(text + &served.folder.tenant("one-more", "rust-lru.wasm", ""))).unwrap();
    assert!(none_left.troubles[0].1.problems[0].contains("cannot read"), "it has no certificate: {none_left:?}");
}

#[test]
fn what_concerns_all_refuses_all() {
    let mut served = start(folder());
    let good = text(&served.folder);
    served.folder.certify("blog");
    for (before, after) in
        [("[admin]", "[admin"), ("\"127.0.0.1:0\"", "\"nowhere\""), ("shop.key", "shop.key\", no = \"")]
    {
        let refusal = served.reload(&good.replacen(before, after, 1)).unwrap_err();
        assert!(refusal.contains("innkeeper.toml:") && refusal.contains("\nhint: "), "{refusal}");
        assert!(!shows_its_file(&served, "blog"), "nothing was taken over");
    }
    assert!(get(&served, "/metrics").contains("{result=\"refused\"} 1"));
}

/// The output of a future that is ready at once.
macro_rules! poll {
    ($future:ident) => {
        poll_fn(|context| {
            Poll::Ready(match $future.as_mut().poll(context) {
                Poll::Ready(done) => Some(done),
                Poll::Pending => None,
            })
        })
        .await
    };
}

/// Changes a configuration so that the first tenant's guest may take some seconds for `init`.
fn patient(text: &str) -> String {
    text.replacen("limits = {", "limits = { init = { fuel = 1000000000000, time_ms = 6000 },", 1).replacen(
        "[admin]",
        "[guests]\nowner_threads = 8\n\n[admin]",
        1,
    )
}

#[test]
fn a_start_does_not_wait_for_guests_and_a_slow_one_holds_up_nobody() {
    let folder = folder();
    folder.component_as("init-spins", "shop.wasm");
    folder.configure(&patient(&text(&folder)));
    let mut served = Served::start_at_once(folder);
    assert_eq!(curl(&served, "shop.example", 1, &[]).output, ANSWER, "it is served at once");
    // The other tenant's guest opens meanwhile.
    let is_there = (0..10_000).any(|_| get(&served, "/api/tenants/blog").contains("\"state\":\"running\""));
    assert!(is_there && reconnects(&served, "blog") == (1, 5));
    for _ in 0..2 {
        served.folder.certify("blog");
        let reloaded = reload(&served);
        assert!(matches!(reloaded.changes.as_slice(), [change] if change.tenant == "blog"), "{reloaded:?}");
        assert!(shows_its_file(&served, "blog"));
    }
    served.folder.component_as("rust-lfu", "blog.wasm");
    let upgraded = reload(&served);
    assert!(
        matches!(&upgraded.changes[..], [change] if matches!(change.what, What::Changed { upgrade: Some(Ok(_)), .. }))
    );
    assert!(post(&served, "blog/upgrade").contains("\"sessions\""));
    assert!(post(&served, "blog/revoke").contains("\"revoked\""));
    assert!(post(&served, "shop/suspend").contains("true") && post(&served, "shop/resume").contains("false"));
    let page = get(&served, "/tenants/shop");
    assert!(page.contains("its guest is being opened"), "nothing of that has waited for the slow guest: {page}");
    served.runtime.block_on(served.server.settled());
    assert_eq!(standings(&served), is("shop", Standing::WithoutGuest));
}

#[test]
fn of_the_changes_that_wait_the_newest_is_made() {
    let served = start(folder());
    let good = text(&served.folder);
    ["init-spins", "rust-lfu", "rust-ttl"].iter().for_each(|guest| served.folder.component(guest));
    let configure =
        |guest: &str| served.folder.configure(&patient(&good.replacen("shop.wasm", &format!("{guest}.wasm"), 1)));
    let reloaded = served.runtime.block_on(async {
        // Each change applies at once, except to the guests.
        configure("init-spins");
        let mut first = pin!(served.server.reload());
        assert!(poll!(first).is_none(), "the first has to wait for its guest");
        configure("rust-lfu");
        let mut second = pin!(served.server.reload());
        assert!(poll!(second).is_none(), "and the second for the first");
        configure("rust-ttl");
        let third = served.server.reload().await;
        [first.await, second.await, third].map(Result::unwrap)
    });
    let moved = reloaded.map(|reloaded| match &reloaded.changes[..] {
        [Change { what: What::Changed { moved, .. }, .. }] => moved.is_some(),
        other => panic!("one tenant has changed: {other:?}"),
    });
    assert_eq!(moved, [false, false, true], "the first was refused, the second skipped");
    assert_eq!(standings(&served), Vec::new());
    let told: Value = serde_json::from_str(&get(&served, "/api/tenants/shop")).unwrap();
    assert!(told["guest"]["component"].as_str().unwrap().ends_with("rust-ttl.wasm"), "{told}");
}
