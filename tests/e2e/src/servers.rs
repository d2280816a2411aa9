//! Independent upstreams: nginx, and `openssl s_server`.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// A server that speaks TLS, until it is dropped.
pub struct TlsUpstream {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Drop for TlsUpstream {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl TlsUpstream {
    /// The server's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `openssl s_server` with a certificate, which answers a request with a page about the connection.
    ///
    /// # Panics
    /// If it does not start.
    pub fn openssl(chain: &Path, key: &Path, args: &[&str]) -> Self {
        let mut command = Command::new("openssl");
        command
            .args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert"])
            .arg(chain)
            .arg("-key")
            .arg(key)
            .args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("`openssl` is needed, and does not run: {error}"));
        let mut lines = BufReader::new(child.stdout.take().expect("standard output is a pipe")).lines();
        let address = lines.find_map(|line| line.ok()?.strip_prefix("ACCEPT ")?.parse().ok());
        let address = address.expect("openssl says where it listens");
        // It stops if its output is not drained.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, _folder: tempfile::tempdir().expect("there is room for a folder") }
    }

    /// nginx with a certificate, which answers any request with one line; `more` is for its configuration.
    ///
    /// # Panics
    /// If it does not start.
    pub fn nginx(chain: &Path, key: &Path, more: &str) -> Self {
        // Another process may take the port before nginx does.
        (0..10).find_map(|_| Self::try_nginx(chain, key, more)).expect("nginx starts")
    }

    fn try_nginx(chain: &Path, key: &Path, more: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("loopback has free ports");
        let (own, chain, key) = (folder.path().display(), chain.display(), key.display());
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|name| format!("{name}_temp_path {own}/{name};")).concat();
        let text = format!(
            "daemon off; master_process off; pid {own}/pid; error_log stderr crit;\nevents {{}}\nhttp {{ access_log off; \
             {temporary}\nserver {{ listen {address} ssl; ssl_certificate {chain}; ssl_certificate_key {key}; {more} \
             location / {{ return 200 \"hello from nginx\\n\"; }} }} }}\n"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, text).expect("the folder can be written");
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&file).arg("-p").arg(folder.path()).args(["-e", "stderr"]).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("`nginx` is needed, and does not run: {error}"));
        loop {
            if TcpStream::connect(address).is_ok() {
                return Some(Self { child, address, _folder: folder });
            }
            if child.try_wait().expect("a child can be waited for").is_some() {
                return None;
            }
            std::thread::yield_now();
        }
    }
}
