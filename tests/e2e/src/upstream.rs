//! An upstream that answers each request with one line over HTTP/1.1, and closes.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
};

/// A request to the upstream.
pub const REQUEST: &str = "GET / HTTP/1.1\r\nhost: upstream\r\n\r\n";

/// The body of its answer.
pub const ANSWER: &str = "at your service\n";

/// Listens on a free port until the process ends.
pub(crate) fn start() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    let address = listener.local_addr().expect("a listener has an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that has left needs no answer.
            std::thread::spawn(move || answer(stream).ok());
        }
    });
    address
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let request = BufReader::new(stream.try_clone()?.take(16 << 10));
    for line in request.lines() {
        if line?.is_empty() {
            break;
        }
    }
    let length = ANSWER.len();
    // In one write, so that it arrives as one record and a client prints nothing in between.
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{ANSWER}");
    stream.write_all(answer.as_bytes())
}
