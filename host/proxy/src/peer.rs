//! The peer that a connection counts for.

use std::net::{IpAddr, Ipv4Addr};

/// One client, as far as an address tells: an IPv4 address, or an IPv6 prefix of 64 bits. A client that has one address
/// of such a prefix has all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    V4(Ipv4Addr),
    /// The first 64 bits.
    V6(u64),
}

impl Peer {
    /// The peer that has an address. An IPv4-mapped address is its IPv4 one.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(own) => Self::V4(own),
            IpAddr::V6(own) => Self::V6((own.to_bits() >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(one: &str, other: &str, is_same: bool) {
        let of = |address: &str| Peer::of(address.parse().unwrap());
        assert_eq!(of(one) == of(other), is_same, "{one} and {other}");
    }

    #[test]
    fn a_prefix_of_64_bits_is_one_peer_and_an_ipv4_address_is() {
        check("192.0.2.1", "192.0.2.1", true);
        check("192.0.2.1", "192.0.2.2", false);
        check("::ffff:192.0.2.1", "192.0.2.1", true);
        check("::ffff:192.0.2.1", "::ffff:192.0.2.2", false);
        check("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true);
        check("2001:db8::1", "2001:db8:0:1::1", false);
        check("::1", "0.0.0.0", false);
    }
}
