//! Early data: what a client has sent with its ClientHello, before it could know whether its session is good.

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

/// A client's stream that gives its early data first, and then what came after the handshake.
///
/// Early data is there only where the tenant allows that and the session was good, at most as much as the tenant allows. It was
/// accepted once at most, since taking its session has used the session up.
///
/// It goes the way of all other bytes: as fast as the upstream reads them, while the upstream's are read, and not longer than
/// a connection may be idle.
pub(crate) struct EarlyDataFirst<'a> {
    stream: &'a mut TlsStream<TcpStream>,
    is_over: bool,
}

impl<'a> EarlyDataFirst<'a> {
    /// A stream whose handshake is done.
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
