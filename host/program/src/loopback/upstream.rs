//! An upstream that answers any request with one line over HTTP/1.1, and closes.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// The most that is read of a request, in bytes.
const REQUEST_MAX: u64 = 16 << 10;

const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 21\r\nconnection: close\r\n\r\nhello from upstream!\n";

/// Listens on a free port until the runtime ends.
///
/// # Errors
/// When loopback has no free port.
pub async fn start() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on loopback")?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that breaks off has no use for an answer.
            tokio::spawn(async move { answer(stream).await.ok() });
        }
    });
    Ok(address)
}

async fn answer(stream: TcpStream) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(REQUEST_MAX)).lines();
    while let Some(line) = lines.next_line().await? {
        if line.is_empty() {
            break;
        }
    }
    write.write_all(RESPONSE).await?;
    write.shutdown().await
}
