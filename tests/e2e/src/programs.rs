//! Clients that users have: `openssl`, `curl`, `python3`.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{House, REQUEST, Served};

/// A proxy that programs can connect to.
pub trait Reachable {
    /// The address for clients.
    fn address(&self) -> SocketAddr;
    /// A file that trusts its tenants' certificates.
    fn authorities(&self) -> PathBuf;
}

impl Reachable for House {
    fn address(&self) -> SocketAddr {
        self.address()
    }

    fn authorities(&self) -> PathBuf {
        self.authorities()
    }
}

impl Reachable for Served {
    fn address(&self) -> SocketAddr {
        self.address()
    }

    fn authorities(&self) -> PathBuf {
        self.folder.file("ca.pem")
    }
}

/// The end of a program, with the output of both streams.
#[derive(Debug)]
pub struct Ended {
    /// True if the program reports success.
    pub is_success: bool,
    /// The output.
    pub output: String,
}

impl Ended {
    /// The number of occurrences of a text in the output.
    pub fn count(&self, text: &str) -> usize {
        self.output.matches(text).count()
    }
}

/// Runs a program to its end with `input` on its standard input.
///
/// # Panics
/// If the program is missing.
pub fn run(program: &str, args: &[&str], input: &str) -> Ended {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("`{program}` is needed, and does not run: {error}"));
    // A program that ends early leaves input unread.
    let _ = child.stdin.take().expect("standard input is a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("a child can be waited for");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ended { is_success: output.status.success(), output: text }
}

/// Finds the loopback address in a line of a log.
///
/// # Panics
/// If the line has none.
pub fn address_in(line: &str) -> SocketAddr {
    let start = line.find("127.0.0.1:").unwrap_or_else(|| panic!("there is an address on loopback: {line}"));
    let rest = &line[start..];
    let end = rest.find(|own: char| !(own.is_ascii_digit() || ".:".contains(own))).unwrap_or(rest.len());
    rest[..end].parse().expect("it is an address")
}

/// A script that makes many sessions of TLS 1.2 in one process, and then resumes each.
const MANY: &str = r#"
import socket, ssl, sys
port, name, authorities, count = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
context = ssl.create_default_context(cafile=authorities)
context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
context.options |= ssl.OP_NO_TICKET
def visit(session):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        with context.wrap_socket(plain, server_hostname=name, session=session) as tls:
            return tls.session, tls.session_reused
sessions = [visit(None)[0] for _ in range(count)]
print("made", len(sessions), flush=True)
sys.stdin.readline()
print("resumed", sum(visit(session)[1] for session in sessions), flush=True)
"#;

/// Makes `count` sessions with Python and resumes each. `pause` runs in between, and `meanwhile` repeatedly until the
/// end.
///
/// # Panics
/// If Python is missing, or one of its connections fails.
pub fn many(
    house: &mut House,
    server_name: &str,
    count: u32,
    pause: impl FnOnce(&mut House),
    mut meanwhile: impl FnMut(&mut House),
) -> u32 {
    let (port, count) = (house.address().port().to_string(), count.to_string());
    let authorities = house.authorities();
    let mut command = Command::new("python3");
    command.args(["-c", MANY, &port, server_name, path(&authorities), &count]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("`python3` is needed, and does not run: {error}"));
    let mut lines = BufReader::new(child.stdout.take().expect("standard output is a pipe")).lines();
    let made = lines.next().and_then(Result::ok).unwrap_or_default();
    assert_eq!(made, format!("made {count}"), "every handshake completes");
    pause(house);
    child.stdin.take().expect("standard input is a pipe").write_all(b"go on\n").expect("the script waits for it");
    while child.try_wait().expect("a child can be waited for").is_none() {
        meanwhile(house);
    }
    let resumed = lines.next().and_then(Result::ok).unwrap_or_default();
    let resumed = resumed.strip_prefix("resumed ").expect("every handshake completes");
    resumed.parse().expect("it is a number")
}

/// Runs `openssl s_client` against a proxy, sending one request.
pub fn openssl(house: &impl Reachable, server_name: &str, args: &[&str]) -> Ended {
    let address = house.address().to_string();
    let authorities = house.authorities();
    let mut all = vec!["s_client", "-connect", &address, "-CAfile", path(&authorities)];
    if !server_name.is_empty() {
        all.extend(["-servername", server_name]);
    }
    all.extend(args);
    run("openssl", &all, REQUEST)
}

/// Makes six handshakes with `NAME.example` by `openssl s_client`, and returns the numbers of new and of resumed ones.
pub fn reconnects(at: &impl Reachable, name: &str) -> (usize, usize) {
    let ended = openssl(at, &format!("{name}.example"), &["-tls1_2", "-no_ticket", "-reconnect"]);
    (ended.count("New, "), ended.count("Reused, "))
}

/// A silent connection: `openssl s_client`, which waits for its input.
pub struct Waiting(Child);

impl Waiting {
    /// Connects and makes the handshake, without a request.
    ///
    /// # Panics
    /// If openssl is missing, or the handshake fails.
    pub fn connect(at: &impl Reachable, server_name: &str) -> Self {
        let (address, authorities) = (at.address().to_string(), at.authorities());
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &address, "-CAfile", path(&authorities), "-servername", server_name]);
        command.args(["-tls1_2", "-ign_eof"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("`openssl` is needed, and does not run: {error}"));
        let mut lines = BufReader::new(child.stdout.take().expect("standard output is a pipe")).lines();
        let verified = lines.by_ref().map_while(Result::ok).find(|line| line.contains("Verify return code:"));
        let is_good = verified.as_ref().is_some_and(|line| line.contains("code: 0 (ok)"));
        assert!(is_good, "the handshake with {server_name} completes: {verified:?}");
        // Drains the rest of the output.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }

    /// Sends the request, and returns true if the connection then ends well.
    ///
    /// # Panics
    /// If waiting for the program fails.
    pub fn finish(mut self) -> bool {
        let mut input = self.0.stdin.take().expect("standard input is a pipe");
        let is_sent = input.write_all(REQUEST.as_bytes()).is_ok();
        is_sent && self.0.wait().expect("a child can be waited for").success()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `curl` for the same page several times in one process.
pub fn curl(house: &impl Reachable, server_name: &str, times: usize, args: &[&str]) -> Ended {
    let port = house.address().port();
    let url = format!("https://{server_name}:{port}/");
    let resolve = format!("{server_name}:{port}:{}", house.address().ip());
    let authorities = house.authorities();
    let mut all = vec!["--silent", "--show-error", "--noproxy", "*", "--max-time", "30", "--resolve", &resolve];
    all.extend(["--cacert", path(&authorities)]);
    all.extend(args);
    all.extend(std::iter::repeat_n(url.as_str(), times));
    run("curl", &all, "")
}

/// A client over Python's `ssl`: a connection, a pause, and another with the session of the first.
const PYTHON: &str = r#"
import socket, ssl, sys
port, name, authorities, version = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
context = ssl.create_default_context(cafile=authorities)
context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
context.options |= ssl.OP_NO_TICKET if version == "TLSv1_2" else 0
def visit(session):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        with context.wrap_socket(plain, server_hostname=name, session=session) as tls:
            tls.sendall(b"GET / HTTP/1.1\r\n\r\n")
            while tls.recv(4096):
                pass
            return tls.session, tls.session_reused
session, first = visit(None)
print("first", first, flush=True)
sys.stdin.readline()
_, second = visit(session)
print("second", second, flush=True)
"#;

/// Runs Python's `ssl` with a stored session. `pause` runs between the two connections.
///
/// # Panics
/// If Python is missing.
pub fn python(house: &mut House, server_name: &str, version: &str, pause: impl FnOnce(&mut House)) -> Ended {
    let port = house.address().port().to_string();
    let authorities = house.authorities();
    let mut command = Command::new("python3");
    command.args(["-c", PYTHON, &port, server_name, path(&authorities), version]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("`python3` is needed, and does not run: {error}"));
    let mut lines = BufReader::new(child.stdout.take().expect("standard output is a pipe")).lines();
    let mut line = || lines.next().and_then(Result::ok).unwrap_or_default();
    let first = line();
    pause(house);
    // A failed script leaves it unread.
    let _ = child.stdin.take().expect("standard input is a pipe").write_all(b"go on\n");
    let second = line();
    let status = child.wait().expect("a child can be waited for");
    Ended { is_success: status.success(), output: format!("{first}\n{second}\n") }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}
