//! One connection to the admin listener, and what it may take.
//!
//! A request, head and body, must be complete within [`PATIENCE`] of the connection's acceptance, or of the last byte of the
//! answer before. The same time applies to an answer of which the client takes nothing. A connection lives for [`LIFE`].

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

/// A client may keep the listener waiting for so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longer than an upgrade takes, the compilation of its guest included.
const LIFE: Duration = Duration::from_secs(400);
/// A request's head is at most so long.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// What a connection is at. Those that come first give way first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// The client is to send a request, or to take an answer.
    Waiting,
    /// A page is made.
    Reading,
    /// An action is under way.
    Acting,
}

/// One connection's state, which its task changes and the listener reads.
pub(super) struct Visit {
    accepted: Instant,
    at: Mutex<At>,
}

#[derive(Clone, Copy)]
struct At {
    stage: Stage,
    since: Instant,
    /// When the client last took a part of an answer, or `since`.
    moved: Instant,
}

impl Visit {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { accepted: now, at: Mutex::new(At { stage: Stage::Waiting, since: now, moved: now }) }
    }

    /// Notes that a complete request is dealt with, until that is dropped.
    pub(super) fn enter(&self, stage: Stage) -> Busy<'_> {
        self.set(stage);
        Busy(self)
    }

    /// The least of several gives way first. None if it does not, or has not been at it for so long.
    pub(super) fn gives_way(&self, least: Duration) -> Option<(Stage, Instant)> {
        let At { stage, since, .. } = *self.at();
        (stage != Stage::Acting && since.elapsed() >= least).then_some((stage, since))
    }

    /// When it ends, if nothing happens.
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
        // What goes wrong is the client's own.
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

/// A stream that notes what the client takes, and keeps its descriptor where one is missing.
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
