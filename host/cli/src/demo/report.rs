//! The demo's output: a table for people, one object for programs.

use std::{io::Write, time::Duration};

use innkeeper_artifacts::Artifact;
use innkeeper_program::{
    loopback::client::Visits,
    table::{self, Column},
};
use innkeeper_proxy::{Proxy, TenantStats, core::Callback};
use serde::Serialize;

/// The results of one tenant.
#[derive(Serialize)]
pub(crate) struct Row {
    name: &'static str,
    guest: &'static str,
    language: &'static str,
    handshakes: u64,
    resumable: u64,
    resumed: u64,
    pub(crate) failed: u64,
    lookups: u64,
    lookup_ns_p50: u64,
    lookup_ns_p99: u64,
    fuel_per_lookup: u64,
    faults: u64,
    false_claims: u64,
    state: &'static str,
}

impl Row {
    pub(crate) fn new(artifact: &'static Artifact, visits: &Visits, stats: &TenantStats) -> Self {
        let read = |count: &std::sync::atomic::AtomicU64| count.load(std::sync::atomic::Ordering::Relaxed);
        let cache = &stats.cache;
        let lookups = cache.calls(Callback::Lookup);
        Self {
            name: artifact.name,
            guest: if artifact.is_hostile { "hostile" } else { "honest" },
            language: artifact.language,
            handshakes: read(&visits.handshakes),
            resumable: read(&visits.resumable),
            resumed: read(&visits.resumed),
            failed: read(&visits.failed),
            lookups,
            lookup_ns_p50: cache.lookup_ns.value_at_quantile(0.5),
            lookup_ns_p99: cache.lookup_ns.value_at_quantile(0.99),
            fuel_per_lookup: cache.fuel(Callback::Lookup).checked_div(lookups).unwrap_or(0),
            faults: cache.faults.iter().sum(),
            false_claims: cache.false_claims,
            state: cache.state.name(),
        }
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.into(),
            self.guest.into(),
            self.handshakes.to_string(),
            self.failed.to_string(),
            format!("{}/{}", self.resumed, self.resumable),
            us(self.lookup_ns_p50),
            us(self.lookup_ns_p99),
            self.fuel_per_lookup.to_string(),
            self.faults.to_string(),
            self.false_claims.to_string(),
            self.state.into(),
        ]
    }
}

const COLUMNS: [Column; 11] = [
    ("tenant", false),
    ("guest", false),
    ("handshakes", true),
    ("failed", true),
    ("resumed", true),
    ("lookup\np50 µs", true),
    ("lookup\np99 µs", true),
    ("lookup\nfuel", true),
    ("faults", true),
    ("false\nclaims", true),
    ("state", false),
];

/// Microseconds, with a decimal where it tells something.
fn us(ns: u64) -> String {
    let us = ns as f64 / 1_000.0;
    if us < 1_000.0 { format!("{us:.1}") } else { format!("{us:.0}") }
}

pub(crate) fn table(rows: &[Row], wall: Duration) -> String {
    let cells: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
    let failed: u64 = rows.iter().map(|row| row.failed).sum();
    table::table(&COLUMNS, &cells) + &format!("\n{failed} failed handshakes, {:.1} s\n", wall.as_secs_f64())
}

pub(crate) fn json(rows: &[Row], wall: Duration) -> anyhow::Result<String> {
    #[derive(Serialize)]
    struct Report<'a> {
        tenants: &'a [Row],
        wall_s: f64,
    }
    Ok(serde_json::to_string(&Report { tenants: rows, wall_s: wall.as_secs_f64() })?)
}

/// Names the missing tenants and the reason.
pub(crate) fn left_out(out: &mut impl Write, artifacts: &[&Artifact]) -> std::io::Result<()> {
    for artifact in artifacts {
        if let Err(why) = artifact.component {
            writeln!(out, "left out: {}: {why}", artifact.name)?;
        }
    }
    Ok(())
}

/// Prints a command that tries each tenant by hand.
pub(crate) fn commands<'a>(
    out: &mut impl Write,
    proxy: &Proxy,
    server_names: impl Iterator<Item = &'a str>,
    is_kept: bool,
) -> std::io::Result<()> {
    let address = proxy.local_address();
    match is_kept {
        true => writeln!(out, "\nTry it; end it with Ctrl-C:")?,
        false => writeln!(out, "\nTo try it by hand, start the demo with `--keep`, then:")?,
    }
    for server_name in server_names {
        writeln!(out, "  openssl s_client -tls1_2 -no_ticket -reconnect </dev/null \\")?;
        writeln!(out, "    -connect {address} -servername {server_name}")?;
    }
    Ok(())
}
