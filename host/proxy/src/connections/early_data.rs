//! Early data: the bytes that a client sends with its ClientHello, before it can know that its session is valid.

use std::{
    io::{self, Read as _},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

/// A client's stream that yields its early data first, and then the bytes after the handshake.
///
/// A stream has early data only if the tenant allows it and the session was valid, and never more than the tenant
/// allows. It is accepted once at most, since taking its session has used the session up.
///
/// Early data is transferred like all other bytes: as fast as the upstream reads, both ways at once, and bounded by the
/// idle time.
pub(crate) struct EarlyDataFirst<'a> {
    stream: &'a mut TlsStream<TcpStream>,
    is_over: bool,
}

impl<'a> EarlyDataFirst<'a> {
    /// Wraps a stream whose handshake is done.
    pub(crate) fn new(stream: &'a mut TlsStream<TcpStream>) -> Self {
        Self { stream, is_over: false }
    }
}

impl AsyncRead for EarlyDataFirst<'_> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.is_over && into.remaining() > 0 {
            if let Some(mut early_data) = self.stream.get_mut().1.early_data() {
                let bytes = early_data.read(into.initialize_unfilled())?;
                if bytes > 0 {
                    into.advance(bytes);
                    return Poll::Ready(Ok(()));
                }
            }
            self.is_over = true;
        }
        Pin::new(&mut *self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for EarlyDataFirst<'_> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(context)
    }
}
