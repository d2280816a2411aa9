//! Early data of real clients: it is accepted and forwarded whole, or leads to a full handshake and an answered
//! request. This holds for every cause and for all pieces.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod early_client;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{self, Receiver},
};

use innkeeper_e2e::{ANSWER, Ended, Folder, House, REQUEST, Served, TlsUpstream, openssl};
use innkeeper_proxy::{ClientAuth, TenantTls, Upstream};
use rustls::HandshakeKind;

use crate::early_client::{Client, Pieces};

/// The largest allowance of a configuration.
const ALLOWED_MAX: u32 = 1 << 20;

const GUEST: &str = "rust-lru";

/// The other tenant.
const OTHER: &str = "native-lru";

fn path(house: &House, name: &str) -> String {
    house.folder().join(name).to_str().expect("temporary folders have plain names").to_owned()
}

fn house(allowed: u32) -> House {
    House::open_with(&[GUEST, OTHER, "trap"], |tenant| tenant.tls.early_data_bytes = allowed)
}

fn allow(house: &House, tenant: &str, bytes: u32) {
    let tls = TenantTls { early_data_bytes: bytes, ..house.tls(tenant) };
    assert_eq!(house.proxy().reconfigure(tenant, &tls).unwrap(), 0, "nothing else has changed");
}

/// Two visits of `openssl s_client` with a change in between; the second sends early data.
struct Openssl<'a> {
    tenant: &'a str,
    allowed: u32,
    early_bytes: usize,
    again: &'a [&'a str],
}

impl Openssl<'_> {
    /// Checks the report of the second visit.
    #[track_caller]
    fn visit(&self, meanwhile: impl FnOnce(&mut House)) -> Ended {
        let mut house = house(self.allowed);
        let name = format!("{}.example", self.tenant);
        let (session, early) = (path(&house, "session.pem"), path(&house, "early.txt"));
        std::fs::write(&early, vec![b'e'; self.early_bytes]).unwrap();
        let first = openssl(&house, &name, &["-tls1_3", "-ign_eof", "-sess_out", &session]);
        assert_eq!(first.count(ANSWER.trim()), 1, "{}", first.output);
        house.settled(self.tenant);
        meanwhile(&mut house);
        let again = ["-tls1_3", "-ign_eof", "-sess_in", &session, "-early_data", &early];
        let ended = openssl(&house, &name, &[&again, self.again].concat());
        let failed: u64 = [GUEST, OTHER, "trap"].iter().map(|tenant| house.settled(tenant).failed).sum();
        assert_eq!(failed, 0, "{}", ended.output);
        ended
    }

    #[track_caller]
    fn is_full(&self, meanwhile: impl FnOnce(&mut House)) {
        let ended = self.visit(meanwhile);
        let seen = (ended.count("New, TLSv1.3"), ended.count("Early data was rejected"), ended.count(ANSWER.trim()));
        assert_eq!(seen, (1, 1, 1), "{} bytes: {}", self.early_bytes, ended.output);
    }
}

const SIZES: [usize; 6] = [1, 3_000, 4_000, 16_384, 100_000, ALLOWED_MAX as usize];

#[test]
fn openssl_gets_a_full_handshake_whose_session_was_revoked() {
    for early_bytes in SIZES {
        let visit = Openssl { tenant: GUEST, allowed: u32::try_from(early_bytes).unwrap(), early_bytes, again: &[] };
        visit.is_full(|house| assert!(house.proxy().revoke(GUEST).unwrap() > 0));
    }
}

#[test]
fn openssl_gets_a_full_handshake_whose_guest_traps() {
    for early_bytes in [4_000, 100_000] {
        let visit = Openssl { tenant: "trap", allowed: u32::try_from(early_bytes).unwrap(), early_bytes, again: &[] };
        visit.is_full(|_| {});
    }
}

#[test]
fn openssl_gets_a_full_handshake_where_early_data_is_off_by_now_and_the_session_revoked() {
    for early_bytes in SIZES {
        let visit = Openssl { tenant: GUEST, allowed: u32::try_from(early_bytes).unwrap(), early_bytes, again: &[] };
        visit.is_full(|house| {
            allow(house, GUEST, 0);
            assert!(house.proxy().revoke(GUEST).unwrap() > 0);
        });
    }
}

#[test]
fn openssl_resumes_without_early_data_where_that_is_off_by_now() {
    for early_bytes in SIZES {
        let visit = Openssl { tenant: GUEST, allowed: u32::try_from(early_bytes).unwrap(), early_bytes, again: &[] };
        let ended = visit.visit(|house| allow(house, GUEST, 0));
        let seen = (ended.count("Reused, TLSv1.3"), ended.count("Early data was rejected"), ended.count(ANSWER.trim()));
        assert_eq!(seen, (1, 1, 1), "{early_bytes} bytes: {}", ended.output);
    }
}

#[test]
fn openssl_gets_a_full_handshake_where_less_is_allowed_than_it_was_promised() {
    for (promised, lowered, early_bytes) in
        [(16_384, vec![100], 2_000), (16_384, vec![0, 100], 2_000), (16_384, vec![16_383], 16_384), (4_096, vec![1], 1)]
    {
        let visit = Openssl { tenant: GUEST, allowed: promised, early_bytes, again: &[] };
        visit.is_full(|house| lowered.iter().for_each(|bytes| allow(house, GUEST, *bytes)));
    }
}

#[test]
fn openssl_keeps_its_session_where_more_is_allowed_than_it_was_promised() {
    let visit = Openssl { tenant: GUEST, allowed: 4_096, early_bytes: REQUEST.len(), again: &[] };
    let ended = visit.visit(|house| {
        std::fs::write(path(house, "early.txt"), REQUEST).unwrap();
        allow(house, GUEST, 16_384);
    });
    let seen = (ended.count("Reused, TLSv1.3"), ended.count("Early data was accepted"), ended.count(ANSWER.trim()));
    assert_eq!(seen, (1, 1, 1), "{}", ended.output);
}

#[test]
fn openssl_resumes_without_early_data_after_a_hello_retry_request() {
    for early_bytes in SIZES {
        let allowed = u32::try_from(early_bytes).unwrap();
        let visit = Openssl { tenant: GUEST, allowed, early_bytes, again: &["-groups", "P-521:P-256"] };
        let ended = visit.visit(|_| {});
        let seen = (ended.count("Reused, TLSv1.3"), ended.count("Early data was rejected"), ended.count(ANSWER.trim()));
        assert_eq!(seen, (1, 1, 1), "{early_bytes} bytes: {}", ended.output);
        visit.is_full(|house| assert!(house.proxy().revoke(GUEST).unwrap() > 0));
    }
}

#[test]
fn openssl_gets_a_full_handshake_whose_session_is_used_up() {
    let visit = Openssl { tenant: GUEST, allowed: 16_384, early_bytes: 16_384, again: &[] };
    visit.is_full(|house| {
        let session = path(house, "session.pem");
        let ended = openssl(house, "rust-lru.example", &["-tls1_3", "-ign_eof", "-sess_in", &session]);
        assert_eq!(ended.count("Reused, TLSv1.3"), 1, "{}", ended.output);
    });
}

/// A change between the two visits of a client of our own, or in its second visit.
#[derive(Clone, Copy, Debug)]
enum Cause {
    Revoked,
    RevokedAndOff,
    Off,
    Lowered,
    CertificateRequired,
    OtherProtocol,
    OtherTenant,
    OtherTenantWithoutEarlyData,
}

const CAUSES: [Cause; 8] = [
    Cause::Revoked,
    Cause::RevokedAndOff,
    Cause::Off,
    Cause::Lowered,
    Cause::CertificateRequired,
    Cause::OtherProtocol,
    Cause::OtherTenant,
    Cause::OtherTenantWithoutEarlyData,
];

impl Cause {
    fn happen(self, house: &House, client: &mut Client, tls: &TenantTls) {
        let revoke = || assert!(house.proxy().revoke(GUEST).unwrap() > 0);
        let reconfigure = |tls| house.proxy().reconfigure(GUEST, &tls).unwrap();
        let without = TenantTls { early_data_bytes: 0, ..tls.clone() };
        match self {
            Self::Revoked => revoke(),
            Self::RevokedAndOff => {
                reconfigure(without);
                revoke();
            }
            Self::Off => assert_eq!(reconfigure(without), 0),
            Self::Lowered => assert_eq!(reconfigure(TenantTls { early_data_bytes: 100, ..tls.clone() }), 0),
            Self::CertificateRequired => {
                let client_roots = vec![client.root.clone()];
                reconfigure(TenantTls { client_auth: ClientAuth::Required, client_roots, ..tls.clone() });
            }
            Self::OtherProtocol => client.offer("two"),
            Self::OtherTenant => {}
            Self::OtherTenantWithoutEarlyData => allow(house, OTHER, 0),
        }
    }

    fn server_name(self) -> &'static str {
        match self {
            Self::OtherTenant | Self::OtherTenantWithoutEarlyData => "native-lru.example",
            _ => "rust-lru.example",
        }
    }

    fn expected(self) -> HandshakeKind {
        match self {
            Self::Off | Self::OtherProtocol => HandshakeKind::Resumed,
            _ => HandshakeKind::Full,
        }
    }
}

/// Makes two visits. The second one's early data is `records` of `bytes` each, in pieces.
fn comes_again(house: &mut House, cause: Cause, (records, bytes): (usize, usize), pieces: Pieces) {
    let shape = format!("{cause:?}, {records} records of {bytes} bytes, {pieces:?}");
    let protocols = ["one", "two"].map(|name| name.as_bytes().to_vec()).to_vec();
    let tls = TenantTls { early_data_bytes: ALLOWED_MAX, alpn: protocols, ..house.tls(GUEST) };
    house.proxy().reconfigure(GUEST, &tls).unwrap();
    let mut client = Client::new(house);
    client.offer("one");
    let first = client.visit(house, "rust-lru.example", Pieces::Whole, &[]).finish(REQUEST).unwrap();
    assert_eq!(first.kind, HandshakeKind::Full, "{shape}");
    house.settled(GUEST);
    cause.happen(house, &mut client, &tls);
    let record = vec![b'e'; bytes];
    let visit = client.visit(house, cause.server_name(), pieces, &vec![record.as_slice(); records]);
    let seen = visit.finish(REQUEST).unwrap_or_else(|error| panic!("{shape}: {error}"));
    assert_eq!((seen.kind, seen.is_accepted), (cause.expected(), false), "{shape}");
    assert!(seen.answer.ends_with(ANSWER.as_bytes()), "{shape}: {}", String::from_utf8_lossy(&seen.answer));
    assert_eq!(house.settled(GUEST).failed + house.settled(OTHER).failed, 0, "{shape}");
}

#[test]
fn early_data_that_is_not_accepted_breaks_no_handshake_however_it_arrives() {
    let shapes = [
        ((5, 1_000), Pieces::Whole),
        ((5, 1_000), Pieces::Records),
        ((4, 1_000), Pieces::Bytes),
        ((100, 1_000), Pieces::Records),
        ((2_000, 1), Pieces::Records),
        ((64, 16_384), Pieces::Whole),
        ((64, 16_384), Pieces::Records),
    ];
    for cause in CAUSES {
        let mut house = house(ALLOWED_MAX);
        for (records, pieces) in shapes {
            comes_again(&mut house, cause, records, pieces);
        }
    }
}

/// Starts an upstream that writes a long answer first, then reads up to the request and reports it.
fn answers_before_it_reads(answer: usize) -> (SocketAddr, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            stream.write_all(&vec![b'a'; answer]).unwrap();
            let (mut bytes, mut some) = (Vec::new(), vec![0; 64 << 10]);
            while !bytes.ends_with(REQUEST.as_bytes()) {
                let read = stream.read(&mut some).unwrap();
                assert!(read > 0, "the request comes");
                bytes.extend_from_slice(&some[..read]);
            }
            tell.send(bytes).unwrap();
        }
    });
    (address, told)
}

#[test]
fn early_data_is_passed_on_while_the_upstream_answers() {
    const ANSWERED: usize = 16 << 20;
    let early_data = vec![b'e'; ALLOWED_MAX as usize];
    let asked = early_data.len() + REQUEST.len();
    let (upstream, told) = answers_before_it_reads(ANSWERED);
    let mut house = House::open_with(&[GUEST], |tenant| {
        tenant.tls.early_data_bytes = ALLOWED_MAX;
        tenant.upstream = Upstream::plain(upstream);
    });
    let client = Client::new(&house);
    drop(client.visit(&house, "rust-lru.example", Pieces::Whole, &[]).finish_after(ANSWERED, REQUEST).unwrap());
    assert_eq!(told.recv().unwrap(), REQUEST.as_bytes());
    house.settled(GUEST);
    let records: Vec<&[u8]> = early_data.chunks(16_384).collect();
    let visit = client.visit(&house, "rust-lru.example", Pieces::Whole, &records);
    let seen = visit.finish_after(ANSWERED, REQUEST).unwrap();
    assert_eq!((seen.kind, seen.is_accepted), (HandshakeKind::Resumed, true));
    let read = told.recv().unwrap();
    assert!(read == [early_data.as_slice(), REQUEST.as_bytes()].concat(), "the upstream has {} bytes", read.len());
    assert_eq!(house.settled(GUEST).bytes_from_clients, (asked + REQUEST.len()) as u64);
}

#[test]
fn early_data_goes_to_an_upstream_that_speaks_tls() {
    let mut folder = Folder::new();
    folder.component(GUEST);
    ["shop", "back"].into_iter().for_each(|name| folder.certify(name));
    let upstream = TlsUpstream::openssl(&folder.file("back.pem"), &folder.file("back.key"), &[]);
    let tls = "tls = { server_name = \"back.example\", roots = \"ca.pem\" }";
    let more = format!("early_data_bytes = 4096\nupstream = {{ address = \"{}\", {tls} }}", upstream.address());
    folder.configure(&(Folder::head() + &folder.tenant("shop", "rust-lru.wasm", &more)));
    let served = Served::start(folder);
    let (session, early) = (served.folder.file("session.pem"), served.folder.file("early.txt"));
    std::fs::write(&early, REQUEST).unwrap();
    let (session, early) = (session.to_str().unwrap(), early.to_str().unwrap());
    openssl(&served, "shop.example", &["-tls1_3", "-ign_eof", "-sess_out", session]);
    served.settled("shop");
    let ended = openssl(&served, "shop.example", &["-tls1_3", "-ign_eof", "-sess_in", session, "-early_data", early]);
    let seen = (ended.count("Early data was accepted"), ended.count("HTTP/1.0 200 ok"));
    assert_eq!(seen, (1, 1), "{}", ended.output);
}

#[test]
fn a_reload_that_lowers_what_is_allowed_and_moves_the_sessions_breaks_no_client() {
    let mut folder = Folder::new();
    folder.component(GUEST);
    folder.certify("shop");
    let text = |folder: &Folder, more: &str| Folder::head() + &folder.tenant("shop", "rust-lru.wasm", more);
    folder.configure(&text(&folder, "early_data_bytes = 16384"));
    let served = Served::start(folder);
    let early = served.folder.file("early.txt");
    std::fs::write(&early, [b'e'; 2_000]).unwrap();
    let early = early.to_str().unwrap();
    for more in ["early_data_bytes = 100", "early_data_bytes = 100\nlifetime_s = 43200"] {
        served.reload(&text(&served.folder, "early_data_bytes = 16384")).unwrap();
        let session = served.folder.file("session.pem");
        let session = session.to_str().unwrap();
        openssl(&served, "shop.example", &["-tls1_3", "-ign_eof", "-sess_out", session]);
        served.settled("shop");
        served.reload(&text(&served.folder, more)).unwrap();
        let again = ["-tls1_3", "-ign_eof", "-sess_in", session, "-early_data", early];
        let ended = openssl(&served, "shop.example", &again);
        let seen = (ended.count("New, TLSv1.3"), ended.count("Early data was rejected"), ended.count(ANSWER.trim()));
        assert_eq!(seen, (1, 1, 1), "{more}: {}", ended.output);
    }
    assert_eq!(served.settled("shop").failed, 0);
}

#[test]
fn an_upstream_that_cannot_be_reached_ends_the_connection_after_the_handshake() {
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let mut house = House::open_with(&[GUEST], |tenant| {
        tenant.tls.early_data_bytes = ALLOWED_MAX;
        tenant.upstream = Upstream::plain(nobody);
    });
    let client = Client::new(&house);
    for (early_data, kind) in [(&[][..], HandshakeKind::Full), (&[&[b'e'; 16_384][..]; 64], HandshakeKind::Resumed)] {
        let visit = client.visit(&house, "rust-lru.example", Pieces::Whole, early_data);
        let seen = visit.finish(REQUEST).unwrap();
        assert_eq!((seen.kind, seen.is_accepted), (kind, !early_data.is_empty()));
        assert!(seen.answer.is_empty() && seen.is_closed, "the client is told that nothing was cut short");
        assert_eq!(house.settled(GUEST).failed, 0);
    }
}

#[test]
fn early_data_of_a_client_that_does_not_finish_its_handshake_goes_nowhere() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let upstream = listener.local_addr().unwrap();
    let mut house = House::open_with(&[GUEST], |tenant| {
        tenant.tls.early_data_bytes = ALLOWED_MAX;
        tenant.upstream = Upstream::plain(upstream);
    });
    let client = Client::new(&house);
    let served = |stream: TcpStream| {
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line
    };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| client.visit(&house, "rust-lru.example", Pieces::Whole, &[]).finish(REQUEST));
        assert_eq!(served(listener.accept().unwrap().0), "GET / HTTP/1.1\r\n");
        first.join().unwrap().unwrap();
    });
    house.settled(GUEST);
    client.visit(&house, "rust-lru.example", Pieces::Whole, &[b"GET /early HTTP/1.1\r\n\r\n"]).break_off().unwrap();
    let looks = (0..1_000_000).find(|_| house.settled(GUEST).failed == 1);
    assert!(looks.is_some(), "the handshake is over");
    std::thread::scope(|scope| {
        let last = scope.spawn(|| client.visit(&house, "rust-lru.example", Pieces::Whole, &[]).finish(REQUEST));
        assert_eq!(served(listener.accept().unwrap().0), "GET / HTTP/1.1\r\n", "nothing came in between");
        assert_eq!(last.join().unwrap().unwrap().kind, HandshakeKind::Full, "the session was used up");
    });
}
