//! Every kind of client, each with its own tenants, until the end, and their counts.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use innkeeper_proxy::rustls::{
    ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Runtime,
};
use tokio_rustls::TlsConnector;

use super::stage::{Target, server_name};
use crate::{ANSWER, REQUEST, Reachable, curl, run};

/// The counts of one kind of client.
#[derive(Debug, Default)]
pub(super) struct Counts {
    client: &'static str,
    pub(super) handshakes: u64,
    /// The number of resumed handshakes, for clients that know it.
    pub(super) resumed: Option<u64>,
    pub(super) failed: u64,
    /// The message of the first failure.
    said: String,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, handshakes, resumed, failed, said } = self;
        write!(f, "{client}: {handshakes} handshakes, {failed} failed")?;
        if let Some(resumed) = resumed {
            write!(f, ", {resumed} resumed")?;
        }
        if !said.is_empty() {
            write!(f, "\n{said}")?;
        }
        Ok(())
    }
}

impl Counts {
    fn of(client: &'static str) -> Self {
        Self { client, ..Self::default() }
    }

    fn fail(&mut self, said: &str) {
        self.failed += 1;
        if self.said.is_empty() {
            said.clone_into(&mut self.said);
        }
    }
}

/// The number before a word.
fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split(word).next().unwrap_or_default();
    before.split_whitespace().next_back().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// `openssl s_time`, which sends no server name: for the listener's default tenant, in both versions.
pub(super) fn s_times(address: SocketAddr, is_over: &AtomicBool) -> Counts {
    let mut counts = Counts { resumed: Some(0), ..Counts::of("openssl s_time") };
    let address = address.to_string();
    for version in ["-tls1_2", "-tls1_3"].into_iter().cycle() {
        if is_over.load(Ordering::Acquire) {
            break;
        }
        let args = ["s_time", "-connect", &address, "-reuse", "-www", "/", "-time", "2", version];
        let ended = run("openssl", &args, "");
        // Before the reuse it makes one more connection.
        let made: u64 = ended
            .output
            .lines()
            .filter(|line| line.contains("connections in") && line.contains("real"))
            .map(|line| number_before(line, " connections in"))
            .sum();
        if !ended.is_success || made == 0 {
            counts.fail(&ended.output);
            continue;
        }
        counts.handshakes += made + 1;
        counts.resumed = counts.resumed.map(|resumed| resumed + made);
    }
    counts
}

/// h2load over HTTP/1.1, to four tenants in turn. The upstream closes each connection after one request.
pub(super) fn h2loads(address: SocketAddr, is_over: &AtomicBool) -> Counts {
    let mut counts = Counts::of("h2load");
    let connect_to = format!("--connect-to={address}");
    for number in [1, 2, 9, 10].into_iter().cycle() {
        if is_over.load(Ordering::Acquire) {
            break;
        }
        let url = format!("https://{}:{}/", server_name(number), address.port());
        let ended = run("h2load", &["--h1", "-n", "100", "-c", "4", "-t", "1", &connect_to, &url], "");
        let line = ended.output.lines().find(|line| line.starts_with("requests: ")).unwrap_or_default();
        let succeeded = number_before(line, " succeeded");
        counts.handshakes += succeeded;
        if succeeded != 100 {
            counts.fail(&ended.output);
        }
    }
    counts
}

/// curl, several pages in one process, to tenants that are reloaded.
pub(super) fn curls(target: &Target, is_over: &AtomicBool) -> Counts {
    let mut counts = Counts::of("curl");
    let versions = [&["--tlsv1.2", "--tls-max", "1.2"][..], &["--tlsv1.3"]];
    for (round, number) in [3, 4, 5, 7].into_iter().cycle().enumerate() {
        if is_over.load(Ordering::Acquire) {
            break;
        }
        let ended = curl(target, &server_name(number), 5, versions[round / 4 % 2]);
        if ended.is_success {
            counts.handshakes += 5;
        } else {
            counts.fail(&ended.output);
        }
    }
    counts
}

/// Our own client: rustls, both versions, to all the others, the hostile one included.
pub(super) fn own(target: &Target, is_over: &Arc<AtomicBool>) -> Counts {
    let runtime = Runtime::new().expect("the runtime starts");
    let tenants = [6, 8, 11, 12, 13, 14, 15, 16, 17, 18, 19];
    let pairs = tenants.into_iter().flat_map(|number| [(number, &TLS12), (number, &TLS13)]);
    let visits: Vec<_> = pairs
        .map(|(number, version)| {
            let connector = connector(target, version);
            let name = ServerName::try_from(server_name(number)).expect("the name is good");
            runtime.spawn(visit(connector, name, target.address(), Arc::clone(is_over)))
        })
        .collect();
    let mut all = Counts { resumed: Some(0), ..Counts::of("our own client") };
    for visit in visits {
        let counts = runtime.block_on(visit).expect("no client panics");
        all.handshakes += counts.handshakes;
        all.resumed = all.resumed.zip(counts.resumed).map(|(one, other)| one + other);
        all.failed += counts.failed;
        if all.said.is_empty() {
            all.said = counts.said;
        }
    }
    all
}

fn connector(target: &Target, version: &'static SupportedProtocolVersion) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let pem = CertificateDer::pem_file_iter(target.authorities()).expect("the file is there");
    pem.for_each(|root| roots.add(root.expect("it is PEM")).expect("it is a root"));
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .expect("ring has both versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn visit(
    connector: TlsConnector,
    name: ServerName<'static>,
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
) -> Counts {
    let mut counts = Counts { resumed: Some(0), ..Counts::default() };
    while !is_over.load(Ordering::Acquire) {
        match connect(&connector, name.clone(), address).await {
            Ok(is_resumed) => {
                counts.handshakes += 1;
                counts.resumed = counts.resumed.map(|resumed| resumed + u64::from(is_resumed));
            }
            Err(error) => counts.fail(&format!("{name:?}: {error}")),
        }
    }
    counts
}

async fn connect(connector: &TlsConnector, name: ServerName<'static>, address: SocketAddr) -> std::io::Result<bool> {
    let stream = TcpStream::connect(address).await?;
    let mut tls = connector.connect(name, stream).await?;
    let is_resumed = tls.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
    tls.write_all(REQUEST.as_bytes()).await?;
    let mut answer = String::new();
    tls.read_to_string(&mut answer).await?;
    tls.shutdown().await?;
    let is_whole = answer.ends_with(ANSWER) || answer.ends_with("hello from nginx\n");
    match is_whole {
        true => Ok(is_resumed),
        false => Err(std::io::Error::other(format!("the answer is cut short: {answer}"))),
    }
}
