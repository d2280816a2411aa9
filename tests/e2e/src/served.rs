//! A server set up as by an operator: a folder with a configuration file, certificates and components, and the running
//! server.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use innkeeper_corpus::artifact;
use innkeeper_proxy::{Compilation, core::Clock};
use innkeeper_serve::{
    Server, ServerConfig,
    config::{Overrides, check},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::upstream;

/// A folder with the files of a configuration. Each tenant has `NAME.pem` and `NAME.key` for `NAME.example` and all
/// names one label below. `ca.pem` trusts all of them. Components have their names, and `token` has the token.
pub struct Folder {
    folder: TempDir,
    authorities: String,
    upstream: SocketAddr,
}

/// The token for actions.
pub const TOKEN: &str = "a-token-for-tests-only";

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Folder {
    /// Makes an empty folder, and starts an upstream that answers one line.
    ///
    /// # Panics
    /// If no folder can be made.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let own = Self { folder, authorities: String::new(), upstream: upstream::start() };
        own.write("token", TOKEN);
        own.limit("token");
        own
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The upstream's address.
    pub fn upstream(&self) -> SocketAddr {
        self.upstream
    }

    /// Writes a file atomically: a reader sees the old one or this one.
    ///
    /// # Panics
    /// If the folder is not writable.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let new = self.file(&format!("{name}.new"));
        fs::write(&new, bytes).expect("the folder can be written");
        fs::rename(new, self.file(name)).expect("the folder can be written");
    }

    /// Makes a file private.
    fn limit(&self, name: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(self.file(name), mode).expect("the folder is ours");
    }

    /// Makes a tenant's certificate and key, or replaces them.
    ///
    /// # Panics
    /// If the folder is not writable.
    pub fn certify(&mut self, name: &str) {
        let server_names = vec![format!("{name}.example"), format!("*.{name}.example")];
        let made = rcgen::generate_simple_self_signed(server_names).expect("a certificate can be made");
        self.write(&format!("{name}.pem"), made.cert.pem());
        self.write(&format!("{name}.key"), made.signing_key.serialize_pem());
        self.authorities.push_str(&made.cert.pem());
        self.write("ca.pem", &self.authorities);
    }

    /// Puts an example guest's component into the folder, as `NAME.wasm`.
    ///
    /// # Panics
    /// If the guest is unknown, or was left out of the build.
    pub fn component(&self, guest: &str) {
        self.component_as(guest, &format!("{guest}.wasm"));
    }

    /// Puts an example guest's component into a file.
    ///
    /// # Panics
    /// If the guest is unknown, or was left out of the build.
    pub fn component_as(&self, guest: &str, file: &str) {
        let artifact = artifact(guest).unwrap_or_else(|| panic!("there is no guest {guest}"));
        let component = artifact.component.unwrap_or_else(|why| panic!("{guest} was not built: {why}"));
        self.write(file, component);
    }

    /// Returns the head of the file: one listener and the admin listener on free ports, and limits that tolerate a busy
    /// machine.
    pub fn head() -> String {
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n\n[admin]\naddress = \"127.0.0.1:0\"\ntoken_file = \"token\"\n\n\
         [connections]\nhello_ms = 60000\nhandshake_ms = 60000\nupstream_connect_ms = 60000\n\n"
            .into()
    }

    /// Returns a tenant's part of the file: its own certificate, the upstream of this folder, and a guest whose
    /// component is `NAME.wasm`. `more` are lines of the tenant's own table.
    pub fn tenant(&self, name: &str, component: &str, more: &str) -> String {
        let mut text = String::new();
        let upstream = match more.contains("upstream") {
            true => String::new(),
            false => format!("upstream = {{ address = \"{}\" }}\n", self.upstream),
        };
        write!(
            text,
            "[tenants.{name}]\nserver_names = [\"{name}.example\", \"*.{name}.example\"]\n\
             certificates = [{{ chain = \"{name}.pem\", key = \"{name}.key\" }}]\n{upstream}{more}\n\
             [tenants.{name}.guest]\ncomponent = \"{component}\"\n\
             limits = {{ read = {{ time_ms = 10000 }}, compile_ms = 120000, fuel_burst = 1000000000000, time_ms_burst = 3600000 }}\n\n"
        )
        .expect("a string takes any text");
        text
    }

    /// Writes the configuration.
    pub fn configure(&self, text: &str) {
        self.write("innkeeper.toml", text);
    }
}

/// A running server, and its runtime.
pub struct Served {
    /// The folder it runs from.
    pub folder: Folder,
    /// The server.
    pub server: Server,
    /// The runtime that it runs in.
    pub runtime: Runtime,
    /// The clock of every cache.
    pub clock: Clock,
}

impl Served {
    /// Starts a server on a folder's configuration, and waits for every guest.
    ///
    /// # Panics
    /// If the server does not start, with the reason, or a tenant is in trouble.
    pub fn start(folder: Folder) -> Self {
        let served = Self::start_at_once(folder);
        served.runtime.block_on(served.server.settled());
        let troubles = served.server.troubles();
        assert!(troubles.is_empty(), "every tenant is as it is to be: {troubles:#?}");
        served
    }

    /// Starts a server on a folder's configuration, without waiting for guests.
    ///
    /// # Panics
    /// If the server does not start, with the reason.
    pub fn start_at_once(folder: Folder) -> Self {
        let runtime = Runtime::new().expect("the runtime starts");
        let clock = Clock::manual();
        let config = ServerConfig {
            path: folder.file("innkeeper.toml"),
            overrides: Overrides::none(Compilation::Trusted),
            clock: clock.clone(),
        };
        let settings = check(&config.path, &config.overrides).unwrap_or_else(|problems| panic!("{problems}"));
        let started = runtime.block_on(Server::start(config, settings, Vec::new()));
        let server = started.unwrap_or_else(|error| panic!("it does not start: {error}"));
        Self { folder, server, runtime, clock }
    }

    /// The address for clients.
    ///
    /// # Panics
    /// If the server has no listener.
    pub fn address(&self) -> SocketAddr {
        *self.server.addresses().first().expect("there is a listener")
    }

    /// The address of the admin listener.
    ///
    /// # Panics
    /// If the server has none.
    pub fn admin(&self) -> SocketAddr {
        self.server.admin_address().expect("there is an admin listener")
    }

    /// Writes another configuration and reloads it.
    ///
    /// # Errors
    /// The problems of the configuration.
    pub fn reload(&self, text: &str) -> Result<innkeeper_serve::Reloaded, String> {
        self.folder.configure(text);
        self.runtime.block_on(self.server.reload()).map_err(|problems| problems.to_string())
    }

    /// A tenant's counters, once every session that has been stored so far has reached its guest.
    ///
    /// # Panics
    /// If the tenant is unknown.
    pub fn settled(&self, tenant: &str) -> innkeeper_proxy::TenantStats {
        self.server.proxy().settle();
        self.server.proxy().stats_of(tenant).unwrap_or_else(|error| panic!("{error}"))
    }
}
