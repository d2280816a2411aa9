//! A client's handshake: step by step, each step in its turn, and nobody's turn while it waits for the client.

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
    ConnectionError,
    blocking::{step, woken},
    peer::Peer,
    setup::Setup,
    shares::{PATIENCE, Seat},
    tenant::Tenant,
};

/// Who shakes hands with whom.
pub(crate) struct Handshake<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) setup: &'a Setup,
    pub(crate) server_name: &'a str,
    pub(crate) peer: SocketAddr,
}

impl Handshake<'_> {
    /// Does the handshake from the ClientHello on.
    pub(crate) async fn run(
        self,
        start: StartHandshake<TcpStream>,
        seat: &mut Seat,
    ) -> Result<TlsStream<TcpStream>, ConnectionError> {
        let Self { tenant, setup, server_name, peer } = self;
        let begun = Instant::now();
        let scoped = setup.scoped(server_name);
        let has_early_data = AtomicBool::new(false);
        // The tenant's cache is asked as soon as the session is made, so that belongs to the first step.
        let stream = pin!(async {
            let note = |has: bool| has_early_data.store(has, Ordering::Relaxed);
            start.into_stream_with(Arc::clone(&scoped.config), |own| note(own.early_data().is_some())).await
        });
        let stream = in_turns(stream, setup, Peer::of(peer.ip()), seat, &has_early_data).await?;
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

/// Takes a turn for each step. A handshake that waits for its client holds its place among its tenant's connections only, and
/// that too is another's if need be.
async fn in_turns<T>(
    mut handshake: std::pin::Pin<&mut impl Future<Output = io::Result<T>>>,
    setup: &Setup,
    peer: Peer,
    seat: &mut Seat,
    has_early_data: &AtomicBool,
) -> Result<T, ConnectionError> {
    let turns = setup.gates.turns.of(peer);
    let mut turn = None;
    loop {
        if turn.is_none() {
            turn = Some(turns.take().await);
        }
        if let Poll::Ready(done) = step(&setup.gates.threads, handshake.as_mut()).await {
            return done.map_err(ConnectionError::Handshake);
        }
        // Early data takes memory, which the number of turns bounds: its handshake keeps its own.
        if !has_early_data.load(Ordering::Relaxed) {
            turn = None;
        }
        seat.wait_for_client();
        let is_patience_over = tokio::select! {
            biased;
            () = seat.displaced() => return Err(ConnectionError::Displaced),
            () = sleep(PATIENCE), if turn.is_some() => true,
            () = woken() => false,
        };
        if !seat.go_on() || (is_patience_over && setup.gates.turns.are_taken()) {
            return Err(ConnectionError::Displaced);
        }
    }
}
