//! `/metrics`, read as by Prometheus, compared with the clients' view.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::TcpStream,
};

use innkeeper_e2e::{Folder, Served, TlsUpstream, curl, openssl, run};
use innkeeper_serve::metrics::METRICS;
use prometheus_parse::{Scrape, Value};

fn text(served: &Served) -> String {
    let mut stream = TcpStream::connect(served.admin()).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(!head.contains("chunked"), "{head}");
    body.to_owned()
}

fn scrape(text: &str) -> Scrape {
    Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap()
}

/// The sum of a metric over the samples with all of some labels.
fn sum(scrape: &Scrape, name: &str, labels: &[(&str, &str)]) -> f64 {
    let own = scrape.samples.iter().filter(|sample| sample.metric == name);
    let with = own.filter(|sample| labels.iter().all(|(label, value)| sample.labels.get(label) == Some(value)));
    with.map(|sample| match &sample.value {
        Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => *value,
        Value::Histogram(buckets) => buckets.last().map_or(0.0, |last| last.count),
        Value::Summary(_) => panic!("there are no summaries"),
    })
    .sum()
}

/// Tenants `shop`, with a TLS upstream, and `trap`, whose guest traps in every callback it can.
fn served(head: &str) -> (Served, TlsUpstream) {
    let mut folder = Folder::new();
    ["rust-lru", "trap"].into_iter().for_each(|guest| folder.component(guest));
    ["shop", "trap"].into_iter().for_each(|name| folder.certify(name));
    let upstream = TlsUpstream::openssl(&folder.file("shop.pem"), &folder.file("shop.key"), &["-tls1_2"]);
    let tls = "tls = { server_name = \"shop.example\", roots = \"ca.pem\" }";
    let more = format!("upstream = {{ address = \"{}\", {tls} }}", upstream.address());
    folder.configure(
        &(head.to_owned() + &folder.tenant("shop", "rust-lru.wasm", &more) + &folder.tenant("trap", "trap.wasm", "")),
    );
    (Served::start(folder), upstream)
}

#[test]
fn metrics_agree_with_what_clients_saw() {
    let (served, _upstream) = served(&Folder::head());
    for _ in 0..3 {
        let ended = openssl(&served, "shop.example", &["-tls1_2", "-no_ticket", "-reconnect"]);
        assert_eq!((ended.count("New, "), ended.count("Reused, ")), (1, 5), "{}", ended.output);
    }
    assert!(curl(&served, "trap.example", 4, &["--tls-max", "1.2"]).is_success);
    openssl(&served, "nobody.example", &[]);
    ["shop", "trap"].into_iter().for_each(|tenant| drop(served.settled(tenant)));
    let read = scrape(&text(&served));
    let shop = |name: &str, labels: &[(&str, &str)]| sum(&read, name, &[&[("tenant", "shop")], labels].concat());
    let server = ("role", "server");
    assert_eq!(shop("innkeeper_handshakes_total", &[server, ("result", "full")]), 3.0);
    assert_eq!(shop("innkeeper_handshakes_total", &[server, ("result", "resumed")]), 15.0);
    assert_eq!(shop("innkeeper_handshakes_total", &[server, ("result", "failed")]), 0.0);
    assert_eq!(shop("innkeeper_handshake_seconds", &[server, ("result", "resumed")]), 15.0);
    assert_eq!(shop("innkeeper_lookups_total", &[server]), 15.0);
    assert_eq!(shop("innkeeper_lookup_hits_total", &[server]), 15.0);
    assert_eq!(shop("innkeeper_updates_total", &[server]), 3.0);
    assert_eq!(shop("innkeeper_sessions", &[server]), 3.0);
    assert_eq!(shop("innkeeper_calls_total", &[server, ("callback", "lookup")]), 15.0);
    assert_eq!(
        shop("innkeeper_call_seconds", &[server, ("callback", "lookup")]),
        1.0,
        "one lookup in sixteen is timed"
    );
    assert_eq!(shop("innkeeper_call_seconds", &[server, ("callback", "update")]), 3.0);
    assert_eq!(shop("innkeeper_state", &[("state", "running")]), 2.0, "in both roles");
    assert!(shop("innkeeper_fuel_total", &[server, ("callback", "lookup")]) > 1_000.0);
    assert!(
        shop("innkeeper_guest_memory_bytes", &[server]) >= 65_536.0 && shop("innkeeper_vault_bytes", &[server]) > 100.0
    );
    // Each connection of a client has one to the upstream. All of those after the first resume, except while a session
    // is on its way.
    assert_eq!(
        shop("innkeeper_upstream_connections_total", &[]),
        sum(&read, "innkeeper_handshakes_total", &[("tenant", "shop"), ("role", "client")])
    );
    assert!(shop("innkeeper_handshakes_total", &[("role", "client"), ("result", "resumed")]) > 0.0);
    assert!(sum(&read, "innkeeper_faults_total", &[("tenant", "trap"), ("kind", "trap")]) > 0.0);
    assert_eq!(sum(&read, "innkeeper_connections_unknown_server_name_total", &[]), 1.0);
    assert_eq!(sum(&read, "innkeeper_tenants", &[]), 2.0);
}

#[test]
fn metrics_are_as_prometheus_wants_them() {
    let (served, _upstream) = served(&Folder::head());
    curl(&served, "shop.example", 2, &[]);
    served.settled("shop");
    let text = text(&served);
    let checked = run("promtool", &["check", "metrics"], &text);
    assert!(checked.is_success && checked.output.trim().is_empty(), "promtool says: {}", checked.output);
    let defined: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    let shown: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(shown, defined, "every metric that is defined is there, and no other");
    // Labels must be free of secrets and of values per client.
    for part in ["shop.example", "127.0.0.1", "session_id", "BEGIN"] {
        assert!(!text.contains(part), "{part} is in a metric");
    }
}

#[test]
fn there_are_no_more_series_than_the_operator_allows() {
    let (served, _upstream) = served(&Folder::head().replace("[admin]\n", "[admin]\nmetrics_tenants = 1\n"));
    let read = scrape(&text(&served));
    let tenants: BTreeSet<&str> = read.samples.iter().filter_map(|sample| sample.labels.get("tenant")).collect();
    assert_eq!(tenants, BTreeSet::from(["shop"]));
    assert_eq!(sum(&read, "innkeeper_tenants_without_metrics", &[]), 1.0);
    assert!(read.samples.len() < 400, "{} series", read.samples.len());
}
