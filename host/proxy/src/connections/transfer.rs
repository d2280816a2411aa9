//! The transfer of bytes both ways, counted, until both ends are done or idle for too long.

use std::{
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional},
    time::sleep,
};

use crate::{error::ConnectionError, tenants::tenant::Bytes};

/// Passes bytes on both ways until both sides have ended. Ends also after a time without a byte either way, between
/// `idle` and twice as long.
pub(crate) async fn transfer(
    client: impl AsyncRead + AsyncWrite + Unpin,
    upstream: impl AsyncRead + AsyncWrite + Unpin,
    idle: Duration,
    bytes: &Bytes,
) -> Result<(), ConnectionError> {
    let moved = Arc::new(AtomicU64::new(0));
    let mut client = Counted { stream: client, total: &bytes.from_clients, moved: &moved };
    let mut upstream = Counted { stream: upstream, total: &bytes.from_upstream, moved: &moved };
    let mut copy = pin!(copy_bidirectional(&mut client, &mut upstream));
    loop {
        let before = moved.load(Ordering::Relaxed);
        tokio::select! {
            done = &mut copy => return done.map(|_| ()).map_err(ConnectionError::Transfer),
            () = sleep(idle) => {
                if moved.load(Ordering::Relaxed) == before {
                    return Err(ConnectionError::Idle(idle));
                }
            }
        }
    }
}

/// A stream that counts its reads, and whose writes count as activity.
struct Counted<'a, S> {
    stream: S,
    total: &'a AtomicU64,
    moved: &'a AtomicU64,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        let bytes = (into.filled().len() - before) as u64;
        self.total.fetch_add(bytes, Ordering::Relaxed);
        self.moved.fetch_add(bytes, Ordering::Relaxed);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(bytes)) = &written {
            self.moved.fetch_add(*bytes as u64, Ordering::Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
