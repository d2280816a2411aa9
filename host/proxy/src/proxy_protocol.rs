//! The PROXY protocol, versions 1 and 2. It tells the client's address: a load balancer to the proxy, and the proxy to
//! the upstream.

use std::{io, net::SocketAddr};

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// The line of text.
    V1,
    /// The binary header.
    V2,
}

/// The longest header of version 1, its line's end included.
const V1_BYTES_MAX: usize = 107;
/// The bytes to read before the version is known: no header of version 1 is shorter, nor is the signature of version 2.
const HEAD_BYTES: usize = 12;
const V2_HEAD_BYTES: usize = 16;
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest body of version 2: addresses, and extensions that the proxy ignores. More than any load balancer sends.
const V2_BODY_BYTES_MAX: usize = 4_096;

/// Reads a header, and nothing beyond it. Returns the client's address; None if the load balancer speaks for itself, as
/// in a health check.
///
/// # Errors
/// When the header is invalid or too long, or the stream ends or fails.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; HEAD_BYTES];
    stream.read_exact(&mut header).await?;
    match header == V2_SIGNATURE {
        true => read_v2(stream, header).await,
        false => read_v1(stream, header).await,
    }
}

async fn read_v1(stream: &mut (impl AsyncRead + Unpin), mut header: Vec<u8>) -> io::Result<Option<SocketAddr>> {
    if !header.starts_with(b"PROXY ") {
        return Err(invalid("it begins with neither signature"));
    }
    while !header.ends_with(b"\r\n") {
        if header.len() >= V1_BYTES_MAX {
            return Err(invalid("the line does not end"));
        }
        header.push(stream.read_u8().await?);
    }
    let parsed = v1::Header::try_from(header.as_slice()).map_err(|error| invalid(&error.to_string()))?;
    Ok(match parsed.addresses {
        v1::Addresses::Tcp4(own) => Some((own.source_address, own.source_port).into()),
        v1::Addresses::Tcp6(own) => Some((own.source_address, own.source_port).into()),
        v1::Addresses::Unknown => None,
    })
}

async fn read_v2(stream: &mut (impl AsyncRead + Unpin), mut header: Vec<u8>) -> io::Result<Option<SocketAddr>> {
    header.resize(V2_HEAD_BYTES, 0);
    stream.read_exact(&mut header[HEAD_BYTES..]).await?;
    let body_bytes = usize::from(u16::from_be_bytes([header[14], header[15]]));
    if body_bytes > V2_BODY_BYTES_MAX {
        return Err(invalid("it is too long"));
    }
    header.resize(V2_HEAD_BYTES + body_bytes, 0);
    stream.read_exact(&mut header[V2_HEAD_BYTES..]).await?;
    let parsed = v2::Header::try_from(header.as_slice()).map_err(|error| invalid(&error.to_string()))?;
    Ok(match (parsed.command, parsed.addresses) {
        (v2::Command::Proxy, v2::Addresses::IPv4(own)) => Some((own.source_address, own.source_port).into()),
        (v2::Command::Proxy, v2::Addresses::IPv6(own)) => Some((own.source_address, own.source_port).into()),
        _ => None,
    })
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no header of the PROXY protocol: {what}"))
}

impl ProxyProtocol {
    /// The header for a connection from `client` to `local`.
    ///
    /// # Errors
    /// Only when memory runs out: the addresses are short.
    pub(crate) fn header(self, client: SocketAddr, local: SocketAddr) -> io::Result<Vec<u8>> {
        let (client, local) = match (client, local) {
            (SocketAddr::V4(_), SocketAddr::V4(_)) | (SocketAddr::V6(_), SocketAddr::V6(_)) => (client, local),
            // Both addresses of a header are of one family.
            _ => (as_v6(client), as_v6(local)),
        };
        match self {
            Self::V1 => Ok(v1::Addresses::from((client, local)).to_string().into_bytes()),
            Self::V2 => {
                let command = v2::Version::Two | v2::Command::Proxy;
                v2::Builder::with_addresses(command, v2::Protocol::Stream, (client, local)).build()
            }
        }
    }
}

fn as_v6(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(own) => (own.ip().to_ipv6_mapped(), own.port()).into(),
        SocketAddr::V6(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a header, and checks that it was read to its end and no further.
    fn read_all(bytes: &[u8]) -> Result<Option<SocketAddr>, String> {
        let stream = [bytes, b"rest"].concat();
        let mut unread = stream.as_slice();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let address = runtime.block_on(read(&mut unread)).map_err(|error| error.to_string())?;
        assert_eq!(unread, b"rest");
        Ok(address)
    }

    #[test]
    fn what_is_written_is_read_in_both_versions_and_families() {
        let addresses = [("192.0.2.1:50000", "192.0.2.9:443"), ("[2001:db8::1]:50000", "[2001:db8::9]:443")];
        for (client, local) in addresses {
            let (client, local): (SocketAddr, SocketAddr) = (client.parse().unwrap(), local.parse().unwrap());
            for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
                assert_eq!(read_all(&version.header(client, local).unwrap()), Ok(Some(client)));
            }
        }
        let mixed = ProxyProtocol::V2.header("192.0.2.1:5".parse().unwrap(), "[::1]:443".parse().unwrap()).unwrap();
        assert_eq!(read_all(&mixed), Ok(Some("[::ffff:192.0.2.1]:5".parse().unwrap())));
    }

    #[test]
    fn a_load_balancer_that_speaks_for_itself_names_no_client() {
        assert_eq!(read_all(b"PROXY UNKNOWN\r\n"), Ok(None));
        assert_eq!(read_all(&[V2_SIGNATURE.as_slice(), &[0x20, 0, 0, 0]].concat()), Ok(None));
    }

    #[test]
    fn what_is_no_header_is_refused_and_never_read_for_ever() {
        let long_line = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        let long_body = [V2_SIGNATURE.as_slice(), &[0x21, 0x11, 0xff, 0xff]].concat();
        let short_body = [V2_SIGNATURE.as_slice(), &[0x21, 0x11, 0, 4, 1, 2, 3, 4]].concat();
        let bad: [&[u8]; 6] = [
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00",
            b"PROXY TCP4 here there 1 2\r\n",
            &long_line,
            &long_body,
            &short_body,
        ];
        for bytes in bad {
            let refusal = read_all(bytes).unwrap_err();
            assert!(refusal.starts_with("no header of the PROXY protocol: "), "{refusal}");
        }
        assert!(read_all(b"PROXY TCP").is_err(), "it ends early");
    }
}
