//! Handmade ClientHellos, with contents that no honest client sends.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// The contents of a made-up ClientHello.
#[derive(Clone, Debug, Default)]
pub struct ClientHello {
    /// The server name.
    pub server_name: String,
    /// The session id, at most 32 bytes.
    pub session_id: Vec<u8>,
    /// Identities of pre-shared keys. With any it offers TLS 1.3, otherwise only TLS 1.2.
    pub identities: Vec<Vec<u8>>,
}

impl ClientHello {
    /// Encodes the ClientHello as TLS records.
    pub fn records(&self) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend(short(&self.session_id));
        // Suites of both versions, for ECDSA and RSA.
        body.extend(long(&[0x13, 0x01, 0xc0, 0x2b, 0xc0, 0x2f]));
        body.extend([1, 0]);
        body.extend(long(&self.extensions()));
        let mut message = vec![1];
        message.extend(&u32::try_from(body.len()).expect("a ClientHello is short").to_be_bytes()[1..]);
        message.extend(body);
        message.chunks(16_000).flat_map(|chunk| [&[22, 3, 1], long(chunk).as_slice()].concat()).collect()
    }

    fn extensions(&self) -> Vec<u8> {
        let server_name = [&[0], long(self.server_name.as_bytes()).as_slice()].concat();
        let mut extensions = Vec::new();
        let mut add = |number: u16, contents: Vec<u8>| {
            extensions.extend(number.to_be_bytes());
            extensions.extend(long(&contents));
        };
        add(0, long(&server_name));
        // x25519; ECDSA with P-256 and SHA-256, RSA-PSS and RSA with SHA-256; uncompressed points; extended secret.
        add(10, long(&[0, 29]));
        add(13, long(&[4, 3, 8, 4, 4, 1]));
        add(11, short(&[0]));
        add(23, Vec::new());
        if !self.identities.is_empty() {
            add(43, short(&[3, 4]));
            // Any 32 bytes are a point on the curve.
            add(51, long(&[&[0, 29], long(&[9; 32]).as_slice()].concat()));
            add(45, short(&[1]));
            let identity = |identity: &Vec<u8>| [long(identity), vec![0; 4]].concat();
            let identities: Vec<u8> = self.identities.iter().flat_map(identity).collect();
            let binders = [1, 0].repeat(self.identities.len());
            add(41, [long(&identities), long(&binders)].concat());
        }
        extensions
    }
}

/// Sends a ClientHello, and returns the type of the first record of the answer: 22 is a handshake, 21 an alert. Returns
/// none if the connection ends first.
///
/// # Panics
/// If no answer comes for half a minute.
pub fn first_record(address: SocketAddr, hello: &ClientHello) -> Option<u8> {
    let mut stream = TcpStream::connect(address).expect("the proxy listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out can be set");
    // The proxy may answer, and close, before it has read everything.
    let _ = stream.write_all(&hello.records());
    let mut record = [0; 1];
    match stream.read_exact(&mut record) {
        Ok(()) => Some(record[0]),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no answer for half a minute"),
        Err(_) => None,
    }
}

/// Encodes a vector after its length in one byte.
fn short(bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("a short vector is short");
    [&[length], bytes].concat()
}

/// Encodes a vector after its length in two bytes.
fn long(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a vector has at most 65535 bytes");
    [length.to_be_bytes().as_slice(), bytes].concat()
}
