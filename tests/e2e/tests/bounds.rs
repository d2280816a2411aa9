//! Bounds of connections, and the addresses that clients are said to have.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
};

use innkeeper_e2e::{ANSWER, ClientHello, Folder, Served, Waiting, curl, openssl};

fn served(head: &str, more: &str) -> Served {
    let mut folder = Folder::new();
    folder.component("rust-lru");
    folder.certify("shop");
    folder.configure(&(head.to_owned() + &folder.tenant("shop", "rust-lru.wasm", more)));
    Served::start(folder)
}

/// The answer to a ClientHello for the shop.
fn hello(stream: &mut TcpStream, before: &[u8]) -> Vec<u8> {
    let hello = ClientHello { server_name: "shop.example".into(), ..Default::default() };
    stream.write_all(&[before, &hello.records()].concat()).unwrap();
    let mut first = vec![0; 1];
    match stream.read(&mut first) {
        Ok(bytes) => first[..bytes].to_vec(),
        // The server closed with unread input.
        Err(_) => Vec::new(),
    }
}

const HANDSHAKE: &[u8] = &[22];

/// Waits until the server has counted a number of connections without a ClientHello: a client may see the end earlier.
fn no_hello(served: &Served, number: u64) {
    while served.server.proxy().totals().no_hello < number {
        std::thread::yield_now();
    }
    assert_eq!(served.server.proxy().totals().no_hello, number);
}

#[test]
fn a_tenants_connections_are_bounded() {
    let served = served(&Folder::head(), "connections = { max = 2 }");
    let both = [Waiting::connect(&served, "shop.example"), Waiting::connect(&served, "shop.example")];
    assert_eq!(openssl(&served, "shop.example", &[]).count("Cipher is (NONE)"), 1, "the third is closed");
    let stats = served.settled("shop");
    assert_eq!((stats.connections, stats.handshakes, stats.rejected), (2, 2, [1, 0, 0, 0]));
    assert!(both.into_iter().all(Waiting::finish));
    while served.settled("shop").connections > 0 {
        std::thread::yield_now();
    }
    assert_eq!(curl(&served, "shop.example", 1, &[]).output, ANSWER, "there is room again");
}

#[test]
fn a_tenants_handshakes_are_bounded_by_the_second() {
    let served = served(&Folder::head(), "connections = { handshakes_per_s = 1, handshakes_burst = 3 }");
    let visits = 24;
    // All at once, so that a busy machine does not spread them out.
    let done: u64 = std::thread::scope(|scope| {
        let visits: Vec<_> =
            (0..visits).map(|_| scope.spawn(|| curl(&served, "shop.example", 1, &[]).is_success)).collect();
        visits.into_iter().map(|visit| u64::from(visit.join().unwrap())).sum()
    });
    let stats = served.settled("shop");
    assert_eq!((stats.handshakes, stats.rejected[1]), (done, visits - done));
    assert!(done >= 3 && stats.rejected[1] > 0, "{done} of {visits}");
}

#[test]
fn silent_and_slow_clients_are_let_go() {
    let hasty = served(&Folder::head().replace("hello_ms = 60000", "hello_ms = 300"), "");
    let mut silent = TcpStream::connect(hasty.address()).unwrap();
    assert_eq!(silent.read(&mut [0; 1]).unwrap(), 0, "it is closed");
    // A ClientHello in single bytes is too slow as well.
    let mut slow = TcpStream::connect(hasty.address()).unwrap();
    let records = ClientHello { server_name: "shop.example".into(), ..Default::default() }.records();
    slow.write_all(&records[..5]).unwrap();
    assert_eq!(slow.read(&mut [0; 1]).unwrap_or(0), 0, "it is closed");
    no_hello(&hasty, 2);
    let served = served(&Folder::head().replace("hello_ms = 60000", "hello_ms = 60000\nidle_s = 1"), "");
    // Silent after the handshake.
    let waiting = Waiting::connect(&served, "shop.example");
    while served.settled("shop").connections > 0 {
        std::thread::yield_now();
    }
    assert!(!waiting.finish() || served.settled("shop").bytes_from_clients == 0);
}

/// Starts an upstream that reports the bytes of one connection up to the first pause.
fn listener() -> (SocketAddr, mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = Vec::new();
            while !bytes.windows(4).any(|four| four == b"\r\n\r\n") || bytes.len() < 40 {
                let mut some = [0; 1_024];
                match stream.read(&mut some) {
                    Ok(0) | Err(_) => break,
                    Ok(number) => bytes.extend(&some[..number]),
                }
            }
            // A client that has left needs no answer.
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{ANSWER}").as_bytes());
            if send.send(bytes).is_err() {
                return;
            }
        }
    });
    (address, receive)
}

#[test]
fn the_upstream_is_told_who_the_client_is() {
    for (version, beginning) in [
        ("v1", b"PROXY TCP4 127.0.0.1 127.0.0.1 ".as_slice()),
        ("v2", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".as_slice()),
    ] {
        let (address, told) = listener();
        let upstream = format!("upstream = {{ address = \"{address}\", proxy_protocol = \"{version}\" }}");
        let served = served(&Folder::head(), &upstream);
        assert_eq!(curl(&served, "shop.example", 1, &[]).output, ANSWER);
        let bytes = told.recv().unwrap();
        assert!(bytes.starts_with(beginning), "{version}: {:?}", String::from_utf8_lossy(&bytes));
        assert!(bytes.windows(5).any(|five| five == b"GET /"), "{version}: the request follows");
    }
}

#[test]
fn a_load_balancer_says_who_the_client_is_and_others_are_turned_away() {
    let head =
        Folder::head().replacen("address = \"127.0.0.1:0\"\n", "address = \"127.0.0.1:0\"\nproxy_protocol = true\n", 1);
    let (address, told) = listener();
    let served = served(&head, &format!("upstream = {{ address = \"{address}\", proxy_protocol = \"v1\" }}"));
    let connect = || TcpStream::connect(served.address()).unwrap();
    let v1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 443\r\n";
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\xc3\x50\x01\xbb";
    for header in [v1.as_slice(), v2, b"PROXY UNKNOWN\r\n"] {
        assert_eq!(hello(&mut connect(), header), HANDSHAKE, "{:?}", String::from_utf8_lossy(header));
    }
    for header in [b"".as_slice(), b"PROXY TCP4 here there 1 2\r\n", b"GET / HTTP/1.1\r\n\r\n"] {
        assert_eq!(hello(&mut connect(), header), b"", "{:?}", String::from_utf8_lossy(header));
    }
    no_hello(&served, 3);
    let ended = curl(&served, "shop.example", 1, &["--haproxy-protocol"]);
    assert_eq!(ended.output, ANSWER);
    assert!(told.recv().unwrap().starts_with(b"PROXY TCP4 127.0.0.1 127.0.0.1 "));
}

#[test]
fn clients_without_a_server_name_get_the_listeners_default() {
    let with = |more: &str| {
        Folder::head().replacen("address = \"127.0.0.1:0\"\n", &format!("address = \"127.0.0.1:0\"\n{more}"), 1)
    };
    let named = served(&with("default_server_name = \"Shop.Example\"\n"), "");
    let ended = openssl(&named, "", &["-noservername", "-tls1_2", "-no_ticket", "-reconnect"]);
    assert_eq!((ended.count("New, "), ended.count("Reused, ")), (1, 5), "{}", ended.output);
    let bare = served(&with(""), "");
    assert_eq!(openssl(&bare, "", &["-noservername"]).count("missing extension"), 1);
    assert_eq!(bare.server.proxy().totals().unknown_server_names, 1);
}
