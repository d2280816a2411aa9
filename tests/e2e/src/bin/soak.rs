//! `cargo xtask soak [SECONDS]`: a server under every kind of client at once, while everything about it changes.
//!
//! Twenty tenants have guests in Rust, C and JavaScript, one of them hostile. Half of them have an upstream that speaks
//! TLS. h2load, `openssl s_time`, curl and a client of our own connect without a pause. Twenty connections stay open
//! from the first second to the last. The configuration changes every 5 s, and a guest is upgraded every 10 s. At the
//! end the server's metrics must agree with the clients' counts. No handshake may fail, and no connection may drop.

use std::{process::ExitCode, time::Duration};

use innkeeper_e2e::soak;

fn main() -> ExitCode {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(600);
    soak::run(Duration::from_secs(seconds))
}
