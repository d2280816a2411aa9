//! The server under soak, in a separate process, with its tenants, their upstreams, and its changes.

use std::{
    fmt,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::{Folder, Reachable, TOKEN, TlsUpstream, address_in};

/// Tenants; the last is hostile.
const TENANTS: usize = 20;
const HOSTILE: usize = TENANTS - 1;

/// Guests by the tenant's number: three languages.
const GUESTS: [&str; 3] = ["rust-lru", "c-lru", "js-lru"];

/// The server name of a tenant.
pub(super) fn server_name(number: usize) -> String {
    format!("t{number:02}.example")
}

/// The server, its folder and its upstream.
pub(super) struct Stage {
    folder: Folder,
    authority: CertifiedIssuer<'static, KeyPair>,
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    upstream: TlsUpstream,
    reloads: u64,
    upgrades: u64,
}

impl Drop for Stage {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address for clients, and the certificates they trust.
pub(super) struct Target {
    address: SocketAddr,
    authorities: PathBuf,
}

impl Reachable for Target {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn authorities(&self) -> PathBuf {
        self.authorities.clone()
    }
}

impl Reachable for Stage {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn authorities(&self) -> PathBuf {
        self.folder.file("ca.pem")
    }
}

impl Stage {
    /// Builds the guests, makes the certificates, and starts the upstream and the server.
    pub(super) fn set_up() -> Self {
        let folder = Folder::new();
        let authority = authority();
        folder.write("ca.pem", authority.pem());
        ["rust-lru", "c-lru", "spin", "rust-ttl"].into_iter().for_each(|guest| folder.component(guest));
        folder.write("js-lru.wasm", javascript());
        (0..TENANTS).chain([90]).for_each(|number| certify(&folder, &authority, number));
        let own = (folder.file("t00.pem"), folder.file("t00.key"));
        // The default would cut off open connections without a request.
        let session = "ssl_session_cache shared:s:10m; keepalive_timeout 0; client_header_timeout 2h;";
        let upstream = TlsUpstream::nginx(&own.0, &own.1, session);
        folder.configure(&configuration(&folder, &upstream, 0));
        let (child, address, admin) = start(&folder);
        Self { folder, authority, child, address, admin, upstream, reloads: 0, upgrades: 0 }
    }

    pub(super) fn target(&self) -> Target {
        Target { address: self.address, authorities: self.authorities() }
    }

    /// Writes another configuration, reloads it, and waits for the end of the reload.
    pub(super) fn reload(&mut self, tick: u64) {
        if tick.is_multiple_of(6) {
            certify(&self.folder, &self.authority, 7);
        }
        let before = self.metric("innkeeper_config_last_reload_timestamp_seconds");
        self.folder.configure(&configuration(&self.folder, &self.upstream, tick));
        let sent = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the server runs");
        // JavaScript takes long to compile.
        let waits = 0..1_000_000;
        let is_done = |_: &u64| self.metric("innkeeper_config_last_reload_timestamp_seconds") > before;
        assert!(waits.into_iter().any(|number| is_done(&number)), "the server reloads");
        assert!(self.metric("innkeeper_config_last_reload_successful") > 0.0, "the configuration does");
        self.reloads += 1;
    }

    /// Upgrades one tenant's guest to the component in its file, in turn for each of the honest tenants.
    pub(super) fn upgrade(&mut self, number: u64) {
        let tenant = usize::try_from(number).unwrap_or_default() % HOSTILE;
        let path = format!("/api/tenants/t{tenant:02}/upgrade");
        let answer = self.ask("POST", &path);
        assert!(answer.starts_with("HTTP/1.1 200 "), "upgraded: {answer}");
        self.upgrades += 1;
    }

    pub(super) fn changes(&self) -> (u64, u64) {
        (self.reloads, self.upgrades)
    }

    fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).expect("the admin listener is there");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n"
        );
        write!(stream, "{head}content-length: 0\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }

    /// The sum of a metric over all its labels.
    fn metric(&self, name: &str) -> f64 {
        self.sum(&self.ask("GET", "/metrics"), name, "")
    }

    fn sum(&self, text: &str, name: &str, label: &str) -> f64 {
        let own = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
        own.filter(|line| line.contains(label)).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Figures after a minute. A cache that opens anew begins its counters at zero, so sums may shrink.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts, as Prometheus has them")]
    pub(super) fn reading(&self, minute: u64) -> Reading {
        let text = self.ask("GET", "/metrics");
        let handshakes = |role: &str, result: &str| {
            let lines: String =
                text.lines().filter(|line| line.contains(role)).map(|line| format!("{line}\n")).collect();
            self.sum(&lines, "innkeeper_handshakes_total", result) as u64
        };
        let one = |name: &str| self.sum(&text, name, "") as u64;
        let (server, client) = ("role=\"server\"", "role=\"client\"");
        Reading {
            minute,
            resident_mib: one("process_resident_memory_bytes") >> 20,
            guests_mib: one("innkeeper_guest_memory_bytes") >> 20,
            vaults_kib: one("innkeeper_vault_bytes") >> 10,
            files: one("process_open_fds"),
            connections: one("innkeeper_connections"),
            handshakes: handshakes(server, "result=\"full\"") + handshakes(server, "result=\"resumed\""),
            resumed: handshakes(server, "result=\"resumed\""),
            failed: handshakes(server, "result=\"failed\"") + one("innkeeper_rejected_total"),
            upstream_handshakes: handshakes(client, "result=\"full\"") + handshakes(client, "result=\"resumed\""),
            upstream_resumed: handshakes(client, "result=\"resumed\""),
            upstream_failed: handshakes(client, "result=\"failed\"") + one("innkeeper_upstream_failed_total"),
            sessions: one("innkeeper_sessions"),
            faults: one("innkeeper_faults_total"),
        }
    }
}

/// The server's metrics.
pub(super) struct Reading {
    minute: u64,
    pub(super) resident_mib: u64,
    guests_mib: u64,
    vaults_kib: u64,
    files: u64,
    connections: u64,
    pub(super) handshakes: u64,
    pub(super) resumed: u64,
    pub(super) failed: u64,
    pub(super) upstream_handshakes: u64,
    pub(super) upstream_resumed: u64,
    pub(super) upstream_failed: u64,
    sessions: u64,
    faults: u64,
}

impl Reading {
    pub(super) const TITLE: &str = "minute  memory MiB  guests MiB  vaults KiB  files  connections  handshakes   resumed  failed  upstream   resumed  failed  sessions  faults";
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { minute, resident_mib, guests_mib, vaults_kib, files, connections, .. } = self;
        let Self { handshakes, resumed, failed, .. } = self;
        let Self { upstream_handshakes, upstream_resumed, upstream_failed, sessions, faults, .. } = self;
        write!(
            f,
            "{minute:>6}  {resident_mib:>10}  {guests_mib:>10}  {vaults_kib:>10}  {files:>5}  {connections:>11}"
        )?;
        write!(f, "  {handshakes:>10}  {resumed:>8}  {failed:>6}")?;
        write!(f, "  {upstream_handshakes:>8}  {upstream_resumed:>8}  {upstream_failed:>6}  {sessions:>8}  {faults:>6}")
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("no name is a good list of names");
    // Certificates with equal names would pass for their own issuers.
    params.distinguished_name.push(DnType::CommonName, "soak authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key can be made");
    CertifiedIssuer::self_signed(params, key).expect("a certificate can be made")
}

/// Makes a tenant's certificate, or replaces it.
fn certify(folder: &Folder, authority: &CertifiedIssuer<'static, KeyPair>, number: usize) {
    let names = vec![server_name(number), format!("*.{}", server_name(number))];
    let key = KeyPair::generate().expect("a key can be made");
    let params = CertificateParams::new(names).expect("the names are good");
    let certificate = params.signed_by(&key, authority).expect("a certificate can be made");
    folder.write(&format!("t{number:02}.key"), key.serialize_pem());
    folder.write(&format!("t{number:02}.pem"), certificate.pem());
}

/// A configuration in which every tick changes something.
fn configuration(folder: &Folder, upstream: &TlsUpstream, tick: u64) -> String {
    let head = Folder::head().replacen(
        "address = \"127.0.0.1:0\"\n",
        "address = \"127.0.0.1:0\"\ndefault_server_name = \"t00.example\"\n",
        1,
    );
    let mut text = format!("watch = false\n\n{}", head.replace("[connections]", "[connections]\nidle_s = 7200"));
    for number in 0..TENANTS {
        let guest = match number {
            HOSTILE => "spin",
            // These two change their guest by reload.
            4 | 5 if tick % 3 == 1 => "rust-ttl",
            _ => GUESTS[number % GUESTS.len()],
        };
        let mut more = String::new();
        if number % 2 == 1 {
            let tls = "tls = { server_name = \"t00.example\", roots = \"ca.pem\" }";
            more += &format!("upstream = {{ address = \"{}\", {tls} }}\n", upstream.address());
        }
        if number == 3 {
            more += &format!("lifetime_s = {}\n", 3_600 + tick % 2);
        }
        if number == 8 {
            more += &format!("connections = {{ max = {} }}\n", 1_000 + tick % 5);
        }
        let name = format!("t{number:02}");
        let tenant = folder.tenant(&name, &format!("{guest}.wasm"), &more);
        let class = if guest == "js-lru" { "size_class = \"large\"\ncomponent" } else { "component" };
        // Vaults fill up within the first minute, so any later growth has another cause.
        let tenant = tenant.replace("limits = {", "limits = { sessions = 500,");
        text += &tenant.replace("\ncomponent", &format!("\n{class}"));
    }
    if tick % 2 == 1 {
        text += &folder.tenant("t90", "rust-lru.wasm", "");
    }
    text
}

/// The JavaScript guest, built once and kept.
fn javascript() -> Vec<u8> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let built = innkeeper_build::build(&top.join("guests/js/lru"));
    built.unwrap_or_else(|error| panic!("js-lru was not built: {error}")).bytes
}

/// Starts the binary beside this one, and reads its addresses from its log.
fn start(folder: &Folder) -> (Child, SocketAddr, SocketAddr) {
    let own = std::env::current_exe().expect("this program has a path");
    let binary = own.with_file_name("innkeeper");
    let mut command = Command::new(&binary);
    command.args(["serve", "--config"]).arg(folder.file("innkeeper.toml")).stderr(Stdio::piped());
    command.args(["--log", "info,innkeeper_core=error,innkeeper::guest=off"]);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{} does not run: {error}", binary.display()));
    let mut lines =
        BufReader::new(child.stderr.take().expect("standard error is a pipe")).lines().map_while(Result::ok);
    let mut address_after = |part: &str| {
        let line = lines.find(|line| line.contains(part)).unwrap_or_else(|| panic!("the server says `{part}`"));
        address_in(&line)
    };
    let addresses = (address_after("listening"), address_after("admin page on"));
    // Shows its later warnings and errors.
    std::thread::spawn(move || lines.filter(|line| line.contains("WARN") || line.contains("ERROR")).for_each(show));
    (child, addresses.0, addresses.1)
}

#[expect(clippy::print_stderr, reason = "a program of its own")]
fn show(line: String) {
    eprintln!("{line}");
}
