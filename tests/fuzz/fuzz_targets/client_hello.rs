//! Attacks the way from a ClientHello to the guest: any bytes, and ClientHellos that offer ids which the cache holds, ids
//! near them and made-up ones, thousands at a time, into a rustls server whose sessions lie in a cache.
//!
//! Oracle: no panic; one connection has the guest asked twice at most, and not at all for ids that the vault does not hold
//! under this server name and TLS configuration; a session that nobody offered stays; no handshake ends, since nobody
//! here has a key.

#![no_main]

use innkeeper_fuzz::hello::{Client, run};

libfuzzer_sys::fuzz_target!(|client: Client| run(&client));
