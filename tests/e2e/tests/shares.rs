//! Silent clients take permits of connections, and keep no other client out.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{net::SocketAddr, sync::Arc};

use innkeeper_e2e::{ANSWER, ClientHello, Folder, Gate, House, Served, Waiting, openssl};
use innkeeper_proxy::{
    Compilation,
    core::Callback,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};
use innkeeper_serve::{
    config::{Overrides, check},
    system::Demand,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{Duration, Instant, sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Longer than any step here on a busy machine, and shorter than the time a silent client has.
const SOON: Duration = Duration::from_secs(30);

/// A configuration with one tenant for each name; `limits` go into the table of connections, `more` into each tenant's.
fn text(folder: &Folder, limits: &str, names: &[&str], more: &str) -> String {
    let head = Folder::head().replace("hello_ms = 60000", &format!("hello_ms = 60000\n{limits}"));
    head + &names.iter().map(|name| folder.tenant(name, "rust-lru.wasm", more)).collect::<String>()
}

fn served(limits: &str, names: &[&str], more: &str) -> Served {
    let mut folder = Folder::new();
    folder.component("rust-lru");
    names.iter().for_each(|name| folder.certify(name));
    folder.configure(&text(&folder, limits, names, more));
    // Both ends of each connection are files of this process.
    let settings = check(&folder.file("innkeeper.toml"), &Overrides::none(Compilation::Trusted)).unwrap();
    Demand::of(&settings).prepare();
    Served::start(folder)
}

/// Clients of a server, at chosen addresses.
struct Clients {
    address: SocketAddr,
    connector: TlsConnector,
}

impl Clients {
    fn of(served: &Served) -> Self {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_file_iter(served.folder.file("ca.pem")).unwrap() {
            roots.add(root.unwrap()).unwrap();
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { address: served.address(), connector: TlsConnector::from(Arc::new(config)) }
    }

    /// Connects from 127.0.0.`peer`.
    async fn connect(&self, peer: u8) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(([127, 0, 0, peer], 0).into()).unwrap();
        timeout(SOON, socket.connect(self.address)).await.expect("it is accepted").unwrap()
    }

    /// Sends a ClientHello for a tenant, reads the begin of the answer, and stays silent.
    async fn hello(&self, peer: u8, name: &str) -> TcpStream {
        let mut stream = self.connect(peer).await;
        let hello = ClientHello { server_name: format!("{name}.example"), ..ClientHello::default() };
        stream.write_all(&hello.records()).await.unwrap();
        stream
    }

    /// Makes a handshake over a connection; returns none if the server closes it before.
    async fn finish(&self, stream: TcpStream, name: &str) -> Option<TlsStream<TcpStream>> {
        let server_name = ServerName::try_from(format!("{name}.example")).unwrap();
        let done = timeout(SOON, self.connector.connect(server_name, stream)).await;
        done.expect("nobody is kept waiting").ok()
    }

    async fn visit(&self, peer: u8, name: &str) -> Option<TlsStream<TcpStream>> {
        self.finish(self.connect(peer).await, name).await
    }

    /// Visits one after another from one peer, and returns the connections that stay.
    async fn visits(&self, peer: u8, name: &str, number: usize) -> Vec<TlsStream<TcpStream>> {
        let mut all = Vec::new();
        for _ in 0..number {
            all.extend(self.visit(peer, name).await);
        }
        all
    }
}

/// Waits for the server to close a connection, and returns true if it does.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut some = [0; 4_096];
    let read = async {
        // Its answer to the ClientHello comes first.
        while stream.read(&mut some).await.unwrap_or(0) > 0 {}
    };
    timeout(SOON, read).await.is_ok()
}

/// Reads the first byte, if any.
async fn first_byte(stream: &mut TcpStream) -> Option<u8> {
    timeout(SOON, stream.read_u8()).await.expect("nobody is kept waiting").ok()
}

const REJECTED_OF_PEER: usize = 2;
const REJECTED_OF_ALL: usize = 3;

#[test]
fn greedy_tenants_leave_the_others_their_reserves() {
    // In the proportion of the defaults: of 10 000, three times 4 000.
    let names = ["one", "two", "three", "four", "five"];
    let served = served("max = 200", &names, "connections = { max = 80 }");
    let clients = Clients::of(&served);
    served.runtime.block_on(async {
        let mut open = Vec::new();
        for name in &names[..3] {
            for peer in [2, 3] {
                open.extend(clients.visits(peer, name, 40).await);
            }
        }
        // Of the 200, 50 are for connections before their ClientHello, and half of the rest is reserved for the five
        // tenants.
        assert_eq!(open.len(), 150 - 2 * 15, "all but what is kept for the two that are quiet");
        for name in &names[3..] {
            assert_eq!(clients.visits(2, name, 15).await.len(), 15, "{name} has its reserve");
        }
    });
    let stats = names.map(|name| served.settled(name));
    assert_eq!(stats.each_ref().map(|own| own.reserve), [15; 5]);
    let of_all: u64 = stats.iter().map(|own| own.rejected[REJECTED_OF_ALL]).sum();
    assert_eq!(of_all, 3 * 80 - 120);
}

#[test]
fn the_reserve_of_a_tenant_that_is_removed_is_the_others() {
    let names = ["stays", "goes"];
    let more = "connections = { max = 30, reserve = 10 }";
    let served = served("max = 40\nhello_max = 20", &names, more);
    let clients = Clients::of(&served);
    let open = served.runtime.block_on(clients.visits(2, "stays", 20));
    assert_eq!(open.len(), 10);
    served.reload(&text(&served.folder, "max = 40\nhello_max = 20", &names[..1], more)).unwrap();
    let more_open = served.runtime.block_on(clients.visits(2, "stays", 20));
    assert_eq!(more_open.len(), 10);
    served.reload(&text(&served.folder, "max = 40\nhello_max = 20", &names, more)).unwrap();
    assert_eq!(served.settled("goes").reserve, 10);
    // No connection is cut off for it: the tenant's reserve is complete once enough have ended.
    assert!(served.runtime.block_on(clients.visit(3, "goes")).is_none());
    drop((open, more_open));
    while served.settled("stays").connections > 0 {
        std::thread::yield_now();
    }
    assert_eq!(served.runtime.block_on(clients.visits(3, "goes", 10)).len(), 10);
}

#[test]
fn silent_handshakes_keep_nobody_waiting() {
    let served = served("", &["shop"], "");
    let clients = Clients::of(&served);
    served.runtime.block_on(async {
        let mut silent = Vec::new();
        for _ in 0..300 {
            let mut stream = clients.hello(2, "shop").await;
            assert_eq!(first_byte(&mut stream).await, Some(22), "each gets its answer");
            // A record that stops after its begin counts as silence.
            stream.write_all(&[22]).await.unwrap();
            silent.push(stream);
        }
        // 300 exceed the handshakes allowed at a time, from the same peer and from others.
        for peer in [2, 3] {
            assert_eq!(clients.visits(peer, "shop", 5).await.len(), 5);
        }
    });
    while served.settled("shop").handshakes < 10 {
        std::thread::yield_now();
    }
    assert_eq!(served.settled("shop").displaced, 0, "and none of them was ended for it");
}

#[test]
fn a_silent_handshake_gives_its_place_to_one_that_goes_on() {
    let served = served("", &["shop"], "connections = { max = 6, per_peer = 6 }");
    let clients = Clients::of(&served);
    let kept = Waiting::connect(&served, "shop.example");
    let silent = served.runtime.block_on(async {
        let mut silent = Vec::new();
        for _ in 0..5 {
            let mut stream = clients.hello(2, "shop").await;
            assert_eq!(first_byte(&mut stream).await, Some(22));
            silent.push(stream);
        }
        let open = clients.visits(3, "shop", 3).await;
        assert_eq!(open.len(), 3, "each gets a place");
        // Two clients that fell silent at about the same time may end in either order.
        let mut ends: JoinSet<TcpStream> = JoinSet::new();
        for mut stream in silent {
            ends.spawn(async move {
                let _ = stream.read_to_end(&mut Vec::new()).await;
                stream
            });
        }
        for _ in 0..3 {
            assert!(timeout(SOON, ends.join_next()).await.is_ok(), "those of some that were silent");
        }
        ends
    });
    let stats = served.settled("shop");
    assert_eq!((stats.displaced, stats.failed, stats.rejected), (3, 0, [0; 4]));
    drop(silent);
    assert!(kept.finish(), "a connection whose handshake is done keeps its place");
}

#[test]
fn a_peer_takes_no_place_from_others() {
    let served = served("", &["shop"], "connections = { max = 6, per_peer = 4 }");
    let clients = Clients::of(&served);
    served.runtime.block_on(async {
        let one = clients.visits(2, "shop", 6).await;
        assert_eq!(one.len(), 4);
        let mut silent = clients.hello(3, "shop").await;
        assert_eq!(first_byte(&mut silent).await, Some(22));
        let last = clients.visit(4, "shop").await.expect("there is one left");
        // Every permit is taken, and a peer at its own bound gains nothing from another's silence.
        assert!(clients.visit(2, "shop").await.is_none());
        assert!(clients.visit(5, "shop").await.is_some());
        assert!(is_closed(&mut silent).await);
        drop((one, last));
    });
    let stats = served.settled("shop");
    assert_eq!((stats.rejected[REJECTED_OF_PEER], stats.displaced), (2, 1));
}

#[test]
fn clients_before_their_hello_keep_nobody_out() {
    let served = served("max = 40", &["shop"], "");
    let clients = Clients::of(&served);
    served.runtime.block_on(async {
        let (mut silent, mut slow) = (Vec::new(), Vec::new());
        for round in 0..30 {
            silent.push(clients.connect(2).await);
            silent.push(clients.connect(3 + round).await);
            // An incomplete ClientHello.
            let mut stream = clients.connect(4).await;
            stream.write_all(&[22, 3]).await.unwrap();
            slow.push(stream);
            if round % 6 == 0 {
                assert!(clients.visit(40, "shop").await.is_some(), "round {round}");
            }
        }
        for stream in silent.iter_mut().chain(&mut slow).take(20) {
            assert!(is_closed(stream).await, "the longest there are closed");
        }
        // The system's accept queue is still served.
        let totals = || served.server.proxy().totals();
        let are_enough = async {
            while totals().displaced < 75 || totals().before_hello > 10 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(timeout(SOON, are_enough).await.is_ok(), "{:?}", totals());
    });
}

#[test]
fn a_load_balancers_clients_are_peers_of_their_own() {
    let mut folder = Folder::new();
    folder.component("rust-lru");
    folder.certify("shop");
    let more = "connections = { max = 30, per_peer = 2 }";
    let head = text(&folder, "max = 60\nhello_max = 12\nhello_per_peer = 4", &["shop"], more);
    folder.configure(&head.replacen(
        "address = \"127.0.0.1:0\"\n",
        "address = \"127.0.0.1:0\"\nproxy_protocol = true\n",
        1,
    ));
    let served = Served::start(folder);
    let clients = Clients::of(&served);
    let visit = async |peer: &str| {
        let mut stream = clients.connect(2).await;
        let family = if peer.contains(':') { "TCP6" } else { "TCP4" };
        let local = if peer.contains(':') { "2001:db8::1" } else { "192.0.2.99" };
        stream.write_all(format!("PROXY {family} {peer} {local} 50000 443\r\n").as_bytes()).await.unwrap();
        clients.finish(stream, "shop").await
    };
    served.runtime.block_on(async {
        let mut open = Vec::new();
        let peers = [
            ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"],
            ["192.0.2.2", "192.0.2.2", "::ffff:192.0.2.2"],
            ["2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:1:ffff::3"],
            ["2001:db8:0:2::1", "2001:db8:0:2::1", "2001:db8:0:2::1"],
        ];
        for peers in peers {
            for (number, peer) in peers.into_iter().enumerate() {
                let visited = visit(peer).await;
                assert_eq!(visited.is_some(), number < 2, "{peer}");
                open.extend(visited);
            }
        }
        // Missing PROXY headers are the load balancer's trouble, and keep nobody out.
        let mut silent = Vec::new();
        for _ in 0..30 {
            silent.push(clients.connect(2).await);
        }
        assert!(visit("192.0.2.3").await.is_some());
        assert!(is_closed(&mut silent[0]).await);
    });
    assert_eq!(served.settled("shop").rejected[REJECTED_OF_PEER], 4);
}

#[test]
fn a_crowd_of_honest_clients_is_served() {
    let served = served("", &["shop"], "");
    let clients = Arc::new(Clients::of(&served));
    let number = 600;
    let served_all = served.runtime.block_on(async {
        let mut streams = Vec::new();
        // All connect before the first sends anything.
        for _ in 0..number {
            streams.push(clients.connect(2).await);
        }
        let visits: Vec<_> = streams
            .into_iter()
            .map(|stream| {
                let clients = Arc::clone(&clients);
                tokio::spawn(async move { clients.finish(stream, "shop").await })
            })
            .collect();
        let mut done = Vec::new();
        for visit in visits {
            done.extend(visit.await.unwrap());
        }
        done.len()
    });
    assert_eq!(served_all, number);
    // A client finishes before the server notices.
    while served.settled("shop").handshakes < number as u64 && served.settled("shop").failed == 0 {
        std::thread::yield_now();
    }
    let (stats, totals) = (served.settled("shop"), served.server.proxy().totals());
    assert_eq!((stats.handshakes, stats.failed, stats.displaced, totals.displaced), (number as u64, 0, 0, 0));
}

/// Prints figures with `--nocapture`.
#[test]
#[expect(clippy::print_stderr, reason = "it tells people what it has measured")]
fn the_median_of_honest_clients_beside_silent_ones_is_short() {
    let served = served("", &["shop"], "");
    let clients = Clients::of(&served);
    let mut took = served.runtime.block_on(async {
        let mut silent = Vec::new();
        for _ in 0..300 {
            silent.push(clients.hello(2, "shop").await);
        }
        let mut took = Vec::new();
        for _ in 0..50 {
            let begun = Instant::now();
            assert!(clients.visit(2, "shop").await.is_some());
            took.push(begun.elapsed());
        }
        took
    });
    took.sort_unstable();
    let median = took[took.len() / 2];
    eprintln!("median {median:?}, longest {:?}", took[took.len() - 1]);
    assert!(median < Duration::from_secs(2), "{median:?}");
}

#[test]
fn a_lookup_that_takes_its_time_holds_up_no_other_tenant() {
    let gate = Gate::new(Callback::Lookup);
    // As many as the runtime's threads: on those threads they would block it.
    let visits = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    let mut house = House::open_with(&["native-lru", "rust-lru"], |tenant| {
        if tenant.name == "native-lru" {
            tenant.cache.readers = visits;
            tenant.guest = gate.around(Arc::clone(&tenant.guest));
        }
    });
    let file = house.folder().join("session.pem");
    let file = file.to_str().expect("temporary folders have plain names");
    openssl(&house, "native-lru.example", &["-tls1_2", "-no_ticket", "-ign_eof", "-sess_out", file]);
    assert_eq!(house.settled("native-lru").cache.sessions, 1);
    let back = ["-tls1_2", "-no_ticket", "-ign_eof", "-sess_in", file];
    let shut = gate.shut();
    std::thread::scope(|scope| {
        for _ in 0..visits {
            scope.spawn(|| openssl(&house, "native-lru.example", &back));
        }
        gate.await_calls(visits);
        let other = openssl(&house, "rust-lru.example", &["-ign_eof"]);
        // Fewer wait if the other tenant was served only once the gate gave up.
        let waiting = gate.waiting();
        drop(shut);
        assert_eq!((other.count(ANSWER.trim()), waiting), (1, visits), "{}", other.output);
    });
}
