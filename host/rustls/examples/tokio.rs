//! A tokio server with rustls, in which a guest decides about the TLS sessions of each tenant.
//!
//! `cargo run --package innkeeper-rustls --example tokio -- guest.wasm chain.pem key.pem`, then
//! `openssl s_client -connect 127.0.0.1:8443 -servername NAME -tls1_2 -no_ticket -reconnect </dev/null`

use std::{error::Error, sync::Arc};

use innkeeper_core::{CacheConfig, Limits, Owners, Role, SizeClass};
use innkeeper_rustls::{ClientAuth, ServerSessions, TlsIdentity, prepare};
use innkeeper_wasm::{Checked, Compilation, Engine, EngineConfig, Wasi};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use rustls::{HandshakeKind, ServerConfig, crypto::ring, server::Acceptor};
use tokio::{io::AsyncWriteExt as _, net::TcpListener, task::block_in_place};
use tokio_rustls::LazyConfigAcceptor;

/// Serves one tenant until the listener fails.
pub(crate) async fn serve(
    listener: TcpListener,
    component: &[u8],
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    // The guest: checked, compiled, linked. An invalid guest fails here, or when its cache is opened.
    let limits = Limits::new(SizeClass::Small);
    let engine = Engine::new(EngineConfig::new(SizeClass::Small, Compilation::Trusted))?;
    let guest = block_in_place(|| Checked::new(component, &limits)?.compile(&engine)?.link(Wasi::None))?;
    // Its cache, on an owner thread. It lives as long as its owner. Clones of the reader read it.
    let owners = Owners::with_defaults();
    let (_owner, reader) = owners.open(CacheConfig::new("example", Role::Server, limits), Arc::new(guest))?;
    // Sessions are bound to the tenant's TLS settings: with another chain or client-auth mode they are unknown.
    let sessions = ServerSessions::new(reader, TlsIdentity::new(ClientAuth::None, &[], &chain, &[], b""));
    let builder = ServerConfig::builder_with_provider(ring::default_provider().into());
    let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key)?;
    prepare(&mut config, 0);
    let config = Arc::new(config);
    loop {
        let (stream, _) = listener.accept().await?;
        let (sessions, config) = (sessions.clone(), Arc::clone(&config));
        tokio::spawn(async move {
            let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
            // Here a proxy looks the tenant up, before any session is looked up.
            let server_name = start.client_hello().server_name().unwrap_or_default().to_ascii_lowercase();
            // A store for this connection, which bounds its cost. This thread asks the guest.
            let scoped = sessions.scoped(&config, &server_name);
            let mut tls = start.into_stream(Arc::clone(&scoped.config)).await?;
            let is_resumed = tls.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
            tls.write_all(format!("{}\n", scoped.resumption(is_resumed).name()).as_bytes()).await?;
            tls.shutdown().await
        });
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let [guest, chain, key] = std::env::args().skip(1).collect::<Vec<_>>().try_into().expect("GUEST CHAIN KEY");
    let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<Vec<_>, _>>()?;
    let listener = TcpListener::bind("127.0.0.1:8443").await?;
    serve(listener, &std::fs::read(guest)?, chain, PrivateKeyDer::from_pem_file(key)?).await
}
