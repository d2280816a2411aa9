//! `innkeeper serve` as an operator runs it: flags, signals, systemd, logs.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Output, Stdio},
    time::Duration,
};

use innkeeper_e2e::{ANSWER, Folder, Reachable, Waiting, address_in, curl, openssl};

const BINARY: &str = env!("CARGO_BIN_EXE_innkeeper");

fn folder() -> Folder {
    let mut folder = Folder::new();
    folder.component("rust-lru");
    folder.certify("shop");
    folder.configure(&(Folder::head() + &folder.tenant("shop", "rust-lru.wasm", "")));
    folder
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A server process, ended when dropped.
struct Running<'a> {
    folder: &'a Folder,
    child: Child,
    log: std::io::Lines<BufReader<ChildStderr>>,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // One that has ended needs no end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Reachable for Running<'_> {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn authorities(&self) -> PathBuf {
        self.folder.file("ca.pem")
    }
}

impl<'a> Running<'a> {
    fn start(folder: &'a Folder, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(BINARY);
        command.arg("serve").arg("--config").arg(folder.file("innkeeper.toml")).args(args).envs(env.iter().copied());
        Self::spawn(folder, &mut command)
    }

    fn spawn(folder: &'a Folder, command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary runs");
        let log = BufReader::new(child.stderr.take().expect("standard error is a pipe")).lines();
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut running = Self { folder, child, log, address: nowhere, admin: nowhere };
        running.address = running.address_after("listening");
        running.admin = running.address_after("admin page on http://");
        running.line("guests are ready");
        running
    }

    /// The next line of the log with a text in it.
    fn line(&mut self, part: &str) -> String {
        let found = self.log.by_ref().map_while(Result::ok).find(|line| line.contains(part));
        found.unwrap_or_else(|| panic!("it logs `{part}` before it ends"))
    }

    fn address_after(&mut self, part: &str) -> SocketAddr {
        address_in(&self.line(part))
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()));
    }

    /// The status line and the body of an answer of the admin listener.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).expect("the admin listener is there");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }
}

fn serve(folder: &Path, args: &[&str]) -> Output {
    let config = folder.join("innkeeper.toml");
    Command::new(BINARY).arg("serve").arg("--config").arg(config).args(args).output().expect("the binary runs")
}

#[test]
fn check_shows_what_would_run_and_starts_nothing() {
    let folder = folder();
    let output = serve(folder.path(), &["--check"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(
        lines[0].starts_with("tenant  server names ") && lines[2].starts_with("shop    shop.example, *.shop.example ")
    );
    assert!(shown.contains("\nlistens on 127.0.0.1:0\n") && shown.ends_with("\nconfiguration OK\n"), "{shown}");
    folder.configure("listeners = []\ntenants = 1\n");
    let output = serve(folder.path(), &["--check"]);
    assert!(!output.status.success() && output.stdout.is_empty());
    let said = text(&output.stderr);
    assert!(said.starts_with("error: ") && said.contains("innkeeper.toml:2: `tenants` is `1`: it should be"), "{said}");
}

#[test]
fn check_ends_as_what_would_become_of_it() {
    let mut folder = folder();
    folder.certify("blog");
    let good = Folder::head() + &folder.tenant("shop", "rust-lru.wasm", "") + &folder.tenant("blog", "blog.wasm", "");
    folder.configure(&good);
    let check = || {
        let output = serve(folder.path(), &["--check"]);
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    folder.write("blog.wasm", "garbage");
    let (code, said) = check();
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("tenant `blog`: served without a guest at a start; a running server keeps its guest\n"),
        "{said}"
    );
    assert!(said.contains("error: ") && said.contains("not a WebAssembly file"), "{said}");
    let count = "\nconfiguration not OK: 1 of 2 tenants have errors\n";
    assert!(said.contains(count), "{said}");
    folder.configure(&good.replace("blog.key", "shop.key"));
    let (code, said) = check();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("tenant `blog`: not served at a start; a running server keeps it as it was\n"), "{said}");
    assert!(said.contains(count), "{said}");
    folder.configure(&good.replace("[admin]", "[admin"));
    assert_eq!(check().0, Some(1));
    folder.component_as("rust-lru", "blog.wasm");
    folder.configure(&good);
    assert_eq!(check().0, Some(0));
}

#[test]
fn the_schema_and_the_references_are_printed() {
    let printed = |args: &[&str]| text(&Command::new(BINARY).arg("serve").args(args).output().expect("it runs").stdout);
    let schema: serde_json::Value = serde_json::from_str(&printed(&["--schema"])).expect("the schema is JSON");
    assert_eq!(schema["type"], "object");
    assert!(printed(&["--reference", "configuration"]).starts_with("# Configuration reference\n"));
    assert!(printed(&["--reference", "metrics"]).contains("- `innkeeper_handshakes_total` (counter, `tenant`"));
}

#[test]
fn a_flag_goes_before_the_environment_and_that_before_the_file() {
    let folder = folder();
    let broken = [("INNKEEPER_ADMIN", "nowhere")];
    let running = Running::start(&folder, &["--admin", "127.0.0.1:0"], &broken);
    assert!(running.get("/healthz").ends_with("\r\n\r\nok\n"));
    drop(running);
    let mut command = Command::new(BINARY);
    command.args(["serve", "--check"]).env("INNKEEPER_CONFIG", folder.file("innkeeper.toml")).envs(broken);
    let output = command.output().expect("the binary runs");
    assert!(text(&output.stderr).contains("`nowhere` is not an IP address with a port"), "{}", text(&output.stderr));
}

#[test]
fn sighup_reloads_and_a_broken_file_is_told_of() {
    let mut folder = folder();
    folder.certify("blog");
    let both =
        Folder::head() + &folder.tenant("shop", "rust-lru.wasm", "") + &folder.tenant("blog", "rust-lru.wasm", "");
    folder.configure(&("watch = false\n".to_owned() + &both.replace("[tenants.blog]", "[tenants.shop]")));
    // Broken from the start: nothing starts.
    let output = serve(folder.path(), &[]);
    assert!(!output.status.success() && text(&output.stderr).contains("the field is there twice"));
    let one = "watch = false\n".to_owned() + &Folder::head() + &folder.tenant("shop", "rust-lru.wasm", "");
    folder.configure(&one);
    let mut running = Running::start(&folder, &[], &[]);
    folder.configure(&("watch = false\n".to_owned() + &both));
    running.signal("HUP");
    running.line("configuration reloaded");
    assert_eq!(curl(&running, "blog.example", 1, &[]).output, ANSWER);
    folder.configure("listeners = 1");
    running.signal("HUP");
    let line = running.line("not reloaded");
    assert!(line.contains("innkeeper.toml:1: `listeners` is `1`"), "{line}");
    assert_eq!(curl(&running, "blog.example", 1, &[]).output, ANSWER);
    assert!(running.get("/metrics").contains("\ninnkeeper_config_last_reload_successful 0\n"));
}

#[test]
fn a_refused_guest_is_tried_again_when_it_has_changed_or_on_sighup() {
    let mut folder = folder();
    folder.certify("blog");
    let tenants = folder.tenant("shop", "shop.wasm", "") + &folder.tenant("blog", "rust-lru.wasm", "");
    folder.write("shop.wasm", "garbage");
    folder.configure(&(Folder::head() + &tenants));
    let mut running = Running::start(&folder, &[], &[]);
    assert_eq!(curl(&running, "shop.example", 2, &[]).output, ANSWER.repeat(2), "it is served without a guest");
    // A file that another tenant has.
    folder.write("blog.pem", std::fs::read(folder.file("blog.pem")).expect("it is there"));
    let line = running.line("configuration reloaded");
    assert!(line.contains("guests=0") && line.contains("in_trouble=1"), "{line}");
    running.signal("HUP");
    let line = running.line("configuration reloaded");
    assert!(line.contains("guests=1"), "{line}");
    assert!(running.get("/api/tenants/shop").contains("not a WebAssembly file"));
    folder.component_as("rust-lru", "shop.wasm");
    let line = running.line("configuration reloaded");
    assert!(line.contains("guests=1"), "{line}");
    assert!((0..10_000).any(|_| running.get("/api/tenants/shop").contains("\"trouble\":null")), "it has its guest");
}

#[test]
fn sigterm_drains_and_a_connection_ends_by_itself() {
    let folder = folder();
    let text = std::fs::read_to_string(folder.file("innkeeper.toml")).expect("it is there");
    folder.configure(&text.replace("[connections]", "[connections]\ndrain_s = 60"));
    let mut running = Running::start(&folder, &[], &[]);
    let waiting = Waiting::connect(&running, "shop.example");
    assert!(running.get("/readyz").contains("200 OK"));
    running.signal("TERM");
    running.line("draining");
    while TcpStream::connect(running.address).is_ok() {
        std::thread::yield_now();
    }
    assert!(running.get("/readyz").contains("503 Service Unavailable"));
    assert!(waiting.finish(), "a connection from before is served to its end");
    assert!(running.line("ended").contains("cut_off=0"));
    assert!(running.child.wait().expect("it can be waited for").success());
}

#[test]
fn a_second_signal_does_not_wait() {
    let folder = folder();
    let mut running = Running::start(&folder, &[], &[]);
    let _waiting = Waiting::connect(&running, "shop.example");
    running.signal("TERM");
    running.line("draining");
    running.signal("INT");
    assert!(running.child.wait().expect("it can be waited for").success());
}

#[test]
fn systemd_is_told_and_hands_over_sockets() {
    const START: &str = r#"
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
if listener.fileno() != 3:
    os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"] = "1", str(os.getpid())
os.execv(sys.argv[1], sys.argv[1:])
"#;
    let folder = folder();
    let text = std::fs::read_to_string(folder.file("innkeeper.toml")).expect("it is there");
    folder.configure(&text.replacen("\"127.0.0.1:0\"", "\"systemd:0\"", 1));
    let path = folder.file("notify");
    let told = UnixDatagram::bind(&path).expect("the folder can be written");
    told.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out can be set");
    let next = || {
        let mut bytes = [0; 1_024];
        let length = told.recv(&mut bytes).expect("systemd is told in time");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let mut command = Command::new("python3");
    command.args(["-c", START, BINARY, "serve", "--config"]).arg(folder.file("innkeeper.toml"));
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    let running = Running::spawn(&folder, &mut command);
    assert_eq!(curl(&running, "shop.example", 1, &[]).output, ANSWER);
    let mut seen = vec![next()];
    running.signal("HUP");
    while !seen.iter().any(|own| own.contains("RELOADING=1")) || !seen.last().is_some_and(|own| own.contains("READY=1"))
    {
        seen.push(next());
    }
    running.signal("TERM");
    while !seen.last().is_some_and(|own| own.contains("STOPPING=1")) {
        seen.push(next());
    }
    assert!(seen.iter().any(|own| own.contains("READY=1") && own.contains("STATUS=serving 1 tenants")), "{seen:?}");
    assert!(seen.iter().any(|own| own.contains("RELOADING=1") && own.contains("MONOTONIC_USEC=")), "{seen:?}");
    assert!(seen.iter().any(|own| own.contains("WATCHDOG=1")), "{seen:?}");
    // Without it, no such socket is there.
    let output = serve(folder.path(), &[]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("no such socket was handed over at start"));
}

#[test]
fn a_handshake_is_logged_with_tenant_version_and_why() {
    let folder = folder();
    let text = std::fs::read_to_string(folder.file("innkeeper.toml")).expect("it is there");
    folder.configure(&text.replace("[admin]", "[log]\nhandshakes = true\n\n[admin]"));
    let mut running = Running::start(&folder, &[], &[("INNKEEPER_LOG_FORMAT", "json")]);
    openssl(&running, "shop.example", &["-tls1_2", "-no_ticket", "-reconnect"]);
    curl(&running, "shop.example", 2, &["--tlsv1.3"]);
    let mut seen = Vec::new();
    for _ in 0..8 {
        let event: serde_json::Value = serde_json::from_str(&running.line("\"handshake\"")).expect("each line is JSON");
        let span = &event["span"];
        assert_eq!((&span["name"], &span["tenant"]), (&"handshake".into(), &"shop".into()), "{event}");
        let peer = span["peer"].as_str().unwrap_or_default();
        assert!(peer.starts_with("127.0.0.1:") && span["took_us"].is_u64(), "{event}");
        seen.push(format!("{} {} {}", span["version"], span["resumed"], span["why"]));
    }
    let mut expected = vec!["\"TLSv1_2\" false \"not-offered\""];
    expected.extend(["\"TLSv1_2\" true \"resumed\""; 5]);
    expected.extend(["\"TLSv1_3\" false \"not-offered\"", "\"TLSv1_3\" true \"resumed\""]);
    assert_eq!(seen, expected);
}
