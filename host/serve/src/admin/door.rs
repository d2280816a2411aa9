//! The admin listener's connections: bounded in number and in life, so that silent ones keep nobody out for long.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};

const CONNECTIONS_MAX: usize = 64;
/// A connection that says nothing ends after so long.
const SILENCE: Duration = Duration::from_secs(10);
/// Any ends after so long: longer than an upgrade takes, the compilation of its guest included.
const LIFE: Duration = Duration::from_secs(400);

pub(super) struct Door {
    listener: TcpListener,
    left: Arc<Semaphore>,
}

impl Door {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, left: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }
}

impl Listener for Door {
    type Io = Visit;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visit, SocketAddr) {
        let permit = Arc::clone(&self.left).acquire_owned().await.expect("nobody closes it");
        // axum's own way for a listener: what goes wrong is waited out.
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        (Visit { stream, end: Box::pin(sleep(SILENCE)), is_silent: true, _permit: permit }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection.
pub(super) struct Visit {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    is_silent: bool,
    _permit: OwnedSemaphorePermit,
}

impl Visit {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.end.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Visit {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        if self.is_silent && read.is_ready() {
            self.is_silent = false;
            let end = self.end.deadline() + LIFE;
            self.end.as_mut().reset(end);
        }
        read
    }
}

impl AsyncWrite for Visit {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
