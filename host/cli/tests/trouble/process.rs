//! A server process of which nobody has to read the log: its addresses are found in `/proc`.

use std::{
    collections::HashSet,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use innkeeper_e2e::{Ended, Folder, Reachable, TOKEN, run};

const BINARY: &str = env!("CARGO_BIN_EXE_innkeeper");

/// Whatever takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Polls until something is there.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "a deadline of the test itself")]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{what} within {PATIENCE:?}");
        std::thread::yield_now();
    }
}

/// A folder with two tenants' files, and a configuration with the first of them.
pub(crate) fn folder(head: &str) -> Folder {
    let mut folder = Folder::new();
    folder.component("rust-lru");
    ["shop", "blog"].into_iter().for_each(|name| folder.certify(name));
    folder.configure(&configuration(&folder, head, &["shop"]));
    folder
}

/// `more` goes before the tenants. Clients are listened for at 127.0.0.2, operators at 127.0.0.1.
pub(crate) fn configuration(folder: &Folder, more: &str, tenants: &[&str]) -> String {
    let head = Folder::head().replacen("127.0.0.1:0", "127.0.0.2:0", 1);
    let tenants = tenants.iter().map(|name| folder.tenant(name, "rust-lru.wasm", ""));
    format!("watch = false\n{head}{more}{}", tenants.collect::<String>())
}

/// The command that serves a folder.
pub(crate) fn serve(folder: &Folder) -> Vec<String> {
    let config = folder.file("innkeeper.toml").to_str().expect("temporary folders have plain names").to_owned();
    vec![BINARY.to_owned(), "serve".to_owned(), "--config".to_owned(), config]
}

/// A server process, ended when dropped.
pub(crate) struct Process<'a> {
    folder: &'a Folder,
    pub(crate) child: Child,
    address: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        // One that has ended needs no end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Reachable for Process<'_> {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn authorities(&self) -> PathBuf {
        self.folder.file("ca.pem")
    }
}

impl<'a> Process<'a> {
    pub(crate) fn spawn(folder: &'a Folder, command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the binary runs");
        let (address, admin) = wait_for("it listens", || {
            assert!(child.try_wait().expect("it can be waited for").is_none(), "it starts");
            let all = listening(child.id());
            let at = |ip: [u8; 4]| all.iter().copied().find(|own| own.ip() == Ipv4Addr::from(ip));
            Some((at([127, 0, 0, 2])?, at([127, 0, 0, 1])?))
        });
        let process = Self { folder, child, address, admin };
        // It listens before its guests are ready; a tenant serves full handshakes until then.
        wait_for("its guests are ready", || {
            let Ended { is_success, output } = process.try_ask("/api/tenants", &[]);
            (is_success && !output.contains("no-guest")).then_some(())
        });
        process
    }

    pub(crate) fn signal(&self, name: &str) {
        assert!(run("kill", &[&format!("-{name}"), &self.child.id().to_string()], "").is_success);
    }

    /// The number of its highest file descriptor, and one more.
    pub(crate) fn files_end(&self) -> usize {
        let files = fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs").flatten();
        let numbers = files.filter_map(|file| file.file_name().to_str()?.parse::<usize>().ok());
        numbers.max().expect("it has some") + 1
    }

    /// Waits for the end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        wait_for("it ends", || self.child.try_wait().expect("it can be waited for"))
    }

    /// Asks the admin listener, which is to answer in time.
    #[track_caller]
    pub(crate) fn ask(&self, path: &str, args: &[&str]) -> String {
        let Ended { is_success, output } = self.try_ask(path, args);
        assert!(is_success, "{path}: {output}");
        output
    }

    pub(crate) fn try_ask(&self, path: &str, args: &[&str]) -> Ended {
        let url = format!("http://{}{path}", self.admin);
        let all = [&["--silent", "--show-error", "--noproxy", "*", "--max-time", "10", &url], args].concat();
        run("curl", &all, "")
    }

    /// Has the admin listener do something.
    #[track_caller]
    pub(crate) fn act(&self, tenant: &str, action: &str) -> String {
        let token = format!("Authorization: Bearer {TOKEN}");
        self.ask(&format!("/api/tenants/{tenant}/{action}"), &["--request", "POST", "--header", &token])
    }

    /// A metric without labels.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let page = self.ask("/metrics", &[]);
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("there is {name}")).parse().expect("it is a number")
    }

    /// A connection to the admin listener on which reads do not wait for ever.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.admin).expect("the admin listener is there");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
        stream
    }
}

/// The address where a process listens.
fn listening(process: u32) -> Vec<SocketAddr> {
    let files = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let links = files.filter_map(|file| fs::read_link(file.path()).ok()?.to_str().map(str::to_owned));
    let own: HashSet<String> =
        links.filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect();
    let table = fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap_or_default();
    let listener = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (ip, port) = fields.get(1)?.split_once(':')?;
        let is_own = fields.get(3) == Some(&"0A") && own.contains(*fields.get(9)?);
        let ip = u32::from_str_radix(ip, 16).ok()?.to_le_bytes();
        is_own.then_some(SocketAddr::from((ip, u16::from_str_radix(port, 16).ok()?)))
    };
    table.lines().filter_map(listener).collect()
}
