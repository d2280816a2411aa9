//! One connection to the admin listener, and its time limits.
//!
//! A request, head and body, must be complete within [`PATIENCE`] of the connection's acceptance, or of the last byte
//! of the previous answer. The same time bounds an answer of which the client reads nothing. A connection lives for
//! [`LIFE`].

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, extract::Request};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, sleep_until},
};

use super::spares::Spares;

/// The time that a client may keep the listener waiting.
const PATIENCE: Duration = Duration::from_secs(5);
/// The life of a connection. Longer than an upgrade takes, including the compilation of its guest.
const LIFE: Duration = Duration::from_secs(400);
/// The longest head of a request.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// The stage of a connection. A newcomer displaces connections in the first stage first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// The client has to send a request, or to read an answer.
    Waiting,
    /// A page is being made.
    Reading,
    /// An action is in progress.
    Acting,
}

/// The state of one connection. Its task changes the state, and the listener reads it.
pub(super) struct Visit {
    accepted: Instant,
    at: Mutex<At>,
}

#[derive(Clone, Copy)]
struct At {
    stage: Stage,
    since: Instant,
    /// The time at which the client last read a part of an answer, or `since`.
    moved: Instant,
}

impl Visit {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { accepted: now, at: Mutex::new(At { stage: Stage::Waiting, since: now, moved: now }) }
    }

    /// Notes that a complete request is being handled, until the guard is dropped.
    pub(super) fn enter(&self, stage: Stage) -> Busy<'_> {
        self.set(stage);
        Busy(self)
    }

    /// The rank of displacement: the least of several goes first. None if the connection keeps its place, or has been
    /// in its stage for less than `least`.
    pub(super) fn rank(&self, least: Duration) -> Option<(Stage, Instant)> {
        let At { stage, since, .. } = *self.at();
        (stage != Stage::Acting && since.elapsed() >= least).then_some((stage, since))
    }

    /// The time at which the connection ends unless something happens.
    fn deadline(&self) -> Instant {
        let At { stage, moved, .. } = *self.at();
        let end = self.accepted + LIFE;
        if stage == Stage::Waiting { end.min(moved + PATIENCE) } else { end }
    }

    fn set(&self, stage: Stage) {
        let now = Instant::now();
        *self.at() = At { stage, since: now, moved: now };
    }

    fn at(&self) -> MutexGuard<'_, At> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Busy<'a>(&'a Visit);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.set(Stage::Waiting);
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, spares: Arc<Spares>, router: Router, visit: Arc<Visit>) {
    let stream = Stream { stream: Some(stream), spares, visit: Arc::clone(&visit) };
    let router = TowerToHyperService::new(router);
    let own = Arc::clone(&visit);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&own));
        router.call(request)
    });
    let mut connection =
        pin!(http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).serve_connection(TokioIo::new(stream), service));
    let mut overdue = pin!(sleep_until(visit.deadline()));
    poll_fn(|context| {
        // An error affects this client alone.
        if connection.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let deadline = visit.deadline();
        if overdue.deadline() != deadline {
            overdue.as_mut().reset(deadline);
        }
        overdue.as_mut().poll(context)
    })
    .await;
}

/// A stream that notes the client's reads, and turns its descriptor into a spare one at the end if one is missing.
struct Stream {
    /// None once it is dropped.
    stream: Option<TcpStream>,
    spares: Arc<Spares>,
    visit: Arc<Visit>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.spares.take_back(stream);
        }
    }
}

impl Stream {
    fn inner(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.inner()?.poll_read(context, into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.inner()?.poll_write(context, bytes);
        if matches!(written, Poll::Ready(Ok(_))) {
            self.visit.at().moved = Instant::now();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner()?.poll_shutdown(context)
    }
}
