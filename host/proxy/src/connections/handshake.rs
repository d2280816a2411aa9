//! A client's handshake, step by step. Each step takes a turn; a handshake that waits for its client has none.

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use innkeeper_rustls::Resumption;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};
use tokio_rustls::{StartHandshake, rustls::HandshakeKind, server::TlsStream};

use crate::{
    admission::shares::{PATIENCE, Permit},
    blocking::{step, woken},
    error::ConnectionError,
    peer::Peer,
    tenants::{configuration::Configuration, stores::SessionStores, tenant::Tenant},
};

/// A handshake of a client with a tenant.
pub(crate) struct Handshake<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) configuration: &'a Configuration,
    pub(crate) stores: &'a dyn SessionStores,
    pub(crate) server_name: &'a str,
    pub(crate) peer: SocketAddr,
}

impl Handshake<'_> {
    /// Does the handshake from the ClientHello on.
    pub(crate) async fn run(
        self,
        start: StartHandshake<TcpStream>,
        permit: &mut Permit,
    ) -> Result<TlsStream<TcpStream>, ConnectionError> {
        let Self { tenant, configuration, stores, server_name, peer } = self;
        let begun = Instant::now();
        let scoped = configuration.scoped(stores, server_name);
        let has_early_data = AtomicBool::new(false);
        // Creating the TLS session already asks the tenant's cache, so it belongs to the first step.
        let stream = pin!(async {
            let note = |has: bool| has_early_data.store(has, Ordering::Relaxed);
            start.into_stream_with(Arc::clone(&scoped.config), |own| note(own.early_data().is_some())).await
        });
        let stream = in_turns(stream, configuration, Peer::of(peer.ip()), permit, &has_early_data).await?;
        let (time, tls) = (begun.elapsed(), stream.get_ref().1);
        let is_resumed = tls.handshake_kind() == Some(HandshakeKind::Resumed);
        let resumption = scoped.resumption(is_resumed);
        tenant.note_handshake(resumption, time);
        let version = tls.protocol_version().and_then(|version| version.as_str()).unwrap_or("unknown");
        let span = tracing::info_span!(
            target: "innkeeper::handshake",
            "handshake",
            tenant = tenant.name,
            %peer,
            version,
            resumed = resumption == Resumption::Resumed,
            why = resumption.name(),
            took_us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
        );
        span.in_scope(|| tracing::info!(target: "innkeeper::handshake", "done"));
        Ok(stream)
    }
}

/// Drives a handshake, with a turn for each step. A handshake that waits for its client keeps only its permit, and a
/// newcomer may displace it even from that.
async fn in_turns<T>(
    mut handshake: std::pin::Pin<&mut impl Future<Output = io::Result<T>>>,
    configuration: &Configuration,
    peer: Peer,
    permit: &mut Permit,
    has_early_data: &AtomicBool,
) -> Result<T, ConnectionError> {
    let gates = &configuration.gates;
    let turns = gates.turns.of(peer);
    let mut turn = None;
    loop {
        if turn.is_none() {
            turn = Some(turns.take().await);
        }
        if let Poll::Ready(done) = step(&gates.threads, handshake.as_mut()).await {
            return done.map_err(ConnectionError::Handshake);
        }
        // Early data takes memory, which the number of turns bounds. So a handshake with early data keeps its turn.
        if !has_early_data.load(Ordering::Relaxed) {
            turn = None;
        }
        permit.wait_for_client();
        let is_patience_over = tokio::select! {
            biased;
            () = permit.displaced() => return Err(ConnectionError::Displaced),
            () = sleep(PATIENCE), if turn.is_some() => true,
            () = woken() => false,
        };
        if !permit.go_on() || (is_patience_over && gates.turns.are_taken()) {
            return Err(ConnectionError::Displaced);
        }
    }
}
