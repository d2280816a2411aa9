//! The settings of a listener.

use std::net::SocketAddr;

/// An address to listen on, and the treatment of connections there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// The address. Port 0 takes a free port.
    pub address: SocketAddr,
    /// True if each connection begins with a header of the PROXY protocol, version 1 or 2. Anybody who can connect can
    /// then claim any client address, so only load balancers should be able to connect.
    pub proxy_protocol: bool,
    /// The server name, in lower case, of clients that send none. Without it the proxy turns such clients away.
    pub default_server_name: Option<String>,
}

impl ListenerConfig {
    /// Listens on an address, without the PROXY protocol. Clients have to send a server name.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, proxy_protocol: false, default_server_name: None }
    }
}
