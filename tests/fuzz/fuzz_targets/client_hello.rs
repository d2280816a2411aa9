//! Attacks the way from a ClientHello to the guest. The input is any bytes, or ClientHellos that offer held ids,
//! similar ids and made-up ones, thousands at a time. The target is a rustls server whose sessions lie in a cache.
//!
//! Oracle: no panic. One connection asks the guest twice at most, and never for ids that the vault lacks under this
//! server name and TLS configuration. A session that was never offered stays. No handshake completes, since the input
//! has no key.

#![no_main]

use innkeeper_fuzz::hello::{Client, run};

libfuzzer_sys::fuzz_target!(|client: Client| run(&client));
