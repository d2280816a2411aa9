//! Broken configurations, each with the message it gets.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use innkeeper_corpus::artifact;
use innkeeper_proxy::Compilation;
use innkeeper_serve::{
    config::{Overrides, Problems, TenantProblems, check},
    system::Demand,
    try_out,
};
use tempfile::TempDir;

/// A valid configuration.
const GOOD: &str = r#"watch = false

[[listeners]]
address = "127.0.0.1:8443"
default_server_name = "shop.example"

[admin]
address = "127.0.0.1:9900"
token_file = "token"

[tenants.shop]
server_names = ["shop.example", "*.shop.example"]
certificates = [{ chain = "shop.pem", key = "shop.key" }]
client_auth = { mode = "required", roots = "shop.pem" }
alpn = ["h2", "http/1.1"]
upstream = { address = "127.0.0.1:8080" }
lifetime_s = 3600

[tenants.shop.guest]
component = "lru.wasm"
size_class = "small"
properties = { note = "kept" }
limits = { sessions = 1000, read = { fuel = 200000 } }

[tenants.blog]
server_names = ["blog.example"]
certificates = [{ chain = "blog.pem", key = "blog.key" }]
upstream = { address = "app.internal:443", tls = { roots = "shop.pem" }, proxy_protocol = "v2" }
guest = { component = "lru.wasm" }
"#;

/// Changes to a valid configuration: a name for the case, a text, and its replacement.
type Case = (&'static str, &'static str, &'static str);

const CASES: [Case; 67] = [
    ("no TOML", "address = \"127.0.0.1:8443\"", "address = 127.0.0.1:8443"),
    ("a text that does not end", "alpn = [\"h2\", ", "alpn = [\"h2, "),
    ("a table twice", "[tenants.blog]", "[tenants.shop]"),
    ("a field twice", "watch = false", "watch = false\nwatch = true"),
    ("a field with a typing error", "server_names = [\"blog", "servernames = [\"blog"),
    ("a field of nobody", "[admin]", "[admin]\ncolour = \"blue\""),
    ("a text where a number is wanted", "lifetime_s = 3600", "lifetime_s = \"1h\""),
    ("a number that is too small for its type", "lifetime_s = 3600", "lifetime_s = -1"),
    ("a text where a list is wanted", "server_names = [\"blog.example\"]", "server_names = \"blog.example\""),
    ("a choice with a typing error", "size_class = \"small\"", "size_class = \"smal\""),
    ("no upstream", "upstream = { address = \"127.0.0.1:8080\" }\n", ""),
    ("no address of the upstream", "{ address = \"127.0.0.1:8080\" }", "{ proxy_protocol = \"v1\" }"),
    (
        "no listener",
        "[[listeners]]\naddress = \"127.0.0.1:8443\"\ndefault_server_name = \"shop.example\"\n",
        "listeners = []\n",
    ),
    ("a host's name to listen on", "\"127.0.0.1:8443\"", "\"localhost:8443\""),
    ("a listener without a port", "\"127.0.0.1:8443\"", "\"127.0.0.1\""),
    ("a socket of systemd without a number", "\"127.0.0.1:8443\"", "\"systemd:first\""),
    ("a listener twice", "[admin]", "[[listeners]]\naddress = \"127.0.0.1:8443\"\n\n[admin]"),
    (
        "a default name that nobody serves",
        "default_server_name = \"shop.example\"",
        "default_server_name = \"ship.example\"",
    ),
    ("an admin listener for everybody", "\"127.0.0.1:9900\"", "\"0.0.0.0:9900\""),
    ("an admin listener among clients", "\"127.0.0.1:9900\"", "\"127.0.0.1:8443\""),
    ("an admin address that is none", "\"127.0.0.1:9900\"", "\"here\""),
    ("no token in the file", "token_file = \"token\"", "token_file = \"empty\""),
    ("a token for every eye", "token_file = \"token\"", "token_file = \"open\""),
    ("no such token file", "token_file = \"token\"", "token_file = \"missing\""),
    ("no connections", "[admin]", "[connections]\nmax = 0\n\n[admin]"),
    ("a hello longer than the handshake", "[admin]", "[connections]\nhello_ms = 20000\n\n[admin]"),
    ("a log filter that is none", "[admin]", "[log]\nfilter = \"info,=\"\n\n[admin]"),
    ("no owner threads", "[admin]", "[guests]\nowner_threads = 0\n\n[admin]"),
    ("too few instances", "[admin]", "[guests]\ninstances_small = 3\n\n[admin]"),
    ("a tenant's name with a space", "[tenants.blog]", "[tenants.\"my blog\"]"),
    ("no server names", "server_names = [\"blog.example\"]", "server_names = []"),
    ("a URL for a server name", "[\"blog.example\"]", "[\"https://blog.example\"]"),
    ("an address for a server name", "[\"blog.example\"]", "[\"192.0.2.1\"]"),
    ("a wildcard in the middle", "[\"blog.example\"]", "[\"www.*.example\"]"),
    ("a server name twice", "[\"blog.example\"]", "[\"blog.example\", \"BLOG.example\"]"),
    ("a server name of another tenant", "[\"blog.example\"]", "[\"blog.example\", \"shop.example\"]"),
    ("a name that no certificate is for", "[\"blog.example\"]", "[\"blog.example\", \"www.blog.example\"]"),
    ("no certificates", "[{ chain = \"blog.pem\", key = \"blog.key\" }]", "[]"),
    ("no such certificate", "chain = \"blog.pem\"", "chain = \"missing.pem\""),
    ("a certificate file without one", "chain = \"blog.pem\"", "chain = \"blog.key\""),
    ("a key file without one", "key = \"blog.key\"", "key = \"blog.pem\""),
    ("another certificate's key", "key = \"blog.key\"", "key = \"shop.key\""),
    ("a folder for a file", "key = \"blog.key\"", "key = \".\""),
    ("client certificates without roots", ", roots = \"shop.pem\" }\nalpn", " }\nalpn"),
    ("roots without client certificates", "mode = \"required\"", "mode = \"none\""),
    ("a protocol without a name", "[\"h2\", \"http/1.1\"]", "[\"h2\", \"\"]"),
    ("an upstream without a port", "\"127.0.0.1:8080\"", "\"127.0.0.1\""),
    ("a URL for an upstream", "\"127.0.0.1:8080\"", "\"http://127.0.0.1:8080\""),
    ("no name for the upstream's certificate", "tls = { roots", "tls = { server_name = \"no name\", roots"),
    ("no such component", "guest = { component = \"lru.wasm\" }", "guest = { component = \"missing.wasm\" }"),
    ("more fuel for a call than there is", "read = { fuel = 200000 }", "fuel_burst = 1000"),
    ("a limit out of its range", "sessions = 1000", "sessions = 0"),
    ("a limit above the maximum", "[admin]", "[maxima.small]\nsessions = 100\n\n[admin]"),
    ("a life longer than a week", "lifetime_s = 3600", "lifetime_s = 864000"),
    ("more early data than there is room for", "lifetime_s = 3600", "early_data_bytes = 100000000"),
    ("a maximum out of its range", "[admin]", "[maxima.large]\nmemory_bytes = 8589934592\n\n[admin]"),
    ("a host of the admin listener with a port", "[admin]", "[admin]\nhosts = [\"proxy.example:9900\"]"),
    ("one connection for one listener", "[admin]", "[connections]\nmax = 1\n\n[admin]"),
    (
        "a listener twice, written otherwise",
        "[admin]",
        "[[listeners]]\naddress = \"[::1]:1\"\n\n[[listeners]]\naddress = \"[0:0:0:0:0:0:0:1]:1\"\n\n[admin]",
    ),
    ("too many instances", "[admin]", "[guests]\ninstances_small = 100000\n\n[admin]"),
    ("no readers", "size_class = \"small\"", "readers = 0"),
    ("no handshakes", "[tenants.blog]", "[tenants.shop.connections]\nhandshakes_per_s = 0\n\n[tenants.blog]"),
    ("a reserve above the bound", "[tenants.blog]", "[tenants.shop.connections]\nreserve = 4001\n\n[tenants.blog]"),
    ("no connections of a peer", "[tenants.blog]", "[tenants.shop.connections]\nper_peer = 0\n\n[tenants.blog]"),
    (
        "a peer with more handshakes than there are",
        "[tenants.blog]",
        "[tenants.shop.connections]\nhandshakes = 10\nhandshakes_per_peer = 11\n\n[tenants.blog]",
    ),
    ("no connections before their hello", "[admin]", "[connections]\nhello_max = 0\n\n[admin]"),
    ("all connections before their hello", "[admin]", "[connections]\nhello_max = 10000\n\n[admin]"),
];

/// Changes that fail only in a try, where the component is read, compiled, linked and opened.
const TRIED: [Case; 6] = [
    ("a file that is no WebAssembly", "component = \"lru.wasm\"", "component = \"shop.pem\""),
    ("a core module", "component = \"lru.wasm\"", "component = \"core.wasm\""),
    ("an import that guests may not have", "component = \"lru.wasm\"", "component = \"imports-sockets.wasm\""),
    ("a guest of another version", "component = \"lru.wasm\"", "component = \"other-version.wasm\""),
    ("a guest that refuses", "component = \"lru.wasm\"", "component = \"refuse.wasm\""),
    ("a guest that never opens", "component = \"lru.wasm\"", "component = \"init-spins.wasm\""),
];

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    for (name, server_names) in [("shop", &["shop.example", "*.shop.example"][..]), ("blog", &["blog.example"])] {
        let names: Vec<String> = server_names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        write(&format!("{name}.pem"), made.cert.pem().as_bytes());
        write(&format!("{name}.key"), made.signing_key.serialize_pem().as_bytes());
    }
    for (name, mode, text) in
        [("token", 0o600, "0123456789abcdef"), ("empty", 0o600, ""), ("open", 0o644, "0123456789abcdef")]
    {
        write(name, text.as_bytes());
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    write("lru.wasm", artifact("rust-lru").unwrap().component.unwrap());
    for name in ["imports-sockets", "other-version", "refuse", "init-spins"] {
        write(&format!("{name}.wasm"), artifact(name).unwrap().component.unwrap());
    }
    write("core.wasm", b"\0asm\x01\0\0\0");
    folder
}

/// The messages about a configuration, without the file's folder, so they are the same on every machine. Each tenant
/// with problems is named behind its messages.
fn said(folder: &Path, text: &str) -> Result<(), String> {
    let path: PathBuf = folder.join("innkeeper.toml");
    fs::write(&path, text).unwrap();
    let tell = |problems: &Problems| problems.to_string().replace(&format!("{}/", folder.display()), "");
    let settings = check(&path, &Overrides::none(Compilation::Trusted)).map_err(|problems| tell(&problems))?;
    let troubled = try_out(&settings).unwrap_or_else(|error| panic!("the engine does not start: {error}"));
    let mut all = String::new();
    for TenantProblems { tenant, part, problems } in troubled {
        writeln!(all, "{}\n({tenant} alone: {part:?})", tell(&problems)).unwrap();
    }
    if all.is_empty() { Ok(()) } else { Err(all.trim_end().to_owned()) }
}

#[test]
fn a_good_configuration_does() {
    let folder = folder();
    assert_eq!(said(folder.path(), GOOD), Ok(()));
}

#[test]
fn each_broken_configuration_gets_its_message() {
    let folder = folder();
    let mut all = String::new();
    for (name, before, after) in CASES.iter().chain(&TRIED) {
        assert!(GOOD.contains(before), "{name}: the good configuration has no `{before}`");
        let message = said(folder.path(), &GOOD.replacen(before, after, 1)).expect_err(name);
        // A value as the file has it, and the file, the line, the field and what to do.
        assert!(message.starts_with("innkeeper.toml:") && message.contains("\nhint: "), "{name}: {message}");
        writeln!(all, "{name}\n{message}\n").unwrap();
    }
    insta::assert_snapshot!("broken", all);
}

#[test]
fn shares_that_add_up_to_more_than_there_is_are_told() {
    let folder = folder();
    let path = folder.path().join("innkeeper.toml");
    let warnings = |connections: &str| {
        let text = GOOD.replacen("[tenants.blog]", &format!("{connections}\n\n[tenants.blog]"), 1);
        fs::write(&path, text).unwrap();
        let demand = Demand::of(&check(&path, &Overrides::none(Compilation::Trusted)).unwrap());
        let warnings: String = demand.prepare().into_iter().filter(|warning| warning.contains("`reserve`")).collect();
        (demand, warnings)
    };
    let (demand, said) = warnings("[connections]\nmax = 1000");
    assert_eq!((demand.connections, demand.connections_there, demand.reserve_least), (8_000, 750, 187));
    assert_eq!(said, "");
    let (demand, said) = warnings("[connections]\nmax = 1000\n[tenants.shop.connections]\nreserve = 700");
    assert_eq!((demand.reserved, demand.reserve_least), (887, 158));
    assert!(
        said.contains("add up to 887 connections, but the tenants have 750") && said.contains("\nhint: "),
        "{said}"
    );
    let (_, said) = warnings("[tenants.shop.connections]\nreserve = 0");
    assert!(said.contains("some tenant has no reserve"), "{said}");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let folder = folder();
    let text = GOOD
        .replace("\"127.0.0.1:8080\"", "\"127.0.0.1\"")
        .replace("chain = \"blog.pem\"", "chain = \"missing.pem\"")
        .replace("lifetime_s = 3600", "lifetime_s = 0");
    let message = said(folder.path(), &text).unwrap_err();
    assert_eq!(message.matches("\nhint: ").count(), 3, "{message}");
    let lines: Vec<usize> = message.lines().filter_map(|line| line.split(':').nth(1)?.parse().ok()).collect();
    assert!(lines.is_sorted() && lines.len() == 3, "in the order of the file: {message}");
}

#[test]
fn a_file_that_cannot_be_read_is_told_too() {
    let folder = folder();
    let path = folder.path().join("missing.toml");
    let problem = check(&path, &Overrides::none(Compilation::Trusted)).unwrap_err().to_string();
    assert!(problem.contains("cannot read") && problem.contains("\nhint: "), "{problem}");
    fs::write(&path, b"\xff\xfe").unwrap();
    let problem = check(&path, &Overrides::none(Compilation::Trusted)).unwrap_err().to_string();
    assert!(problem.contains("it is not UTF-8"), "{problem}");
}
