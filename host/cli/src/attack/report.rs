//! What the attacks come to: a table for people, one object for programs.

use std::sync::{PoisonError, atomic::Ordering};

use serde::Serialize;

use super::{Round, verdict};
use crate::loopback::{
    client::Visits,
    table::{self, Column},
};

/// What came of one attack.
#[derive(Serialize)]
pub(crate) struct Row {
    name: String,
    stopped_by: String,
    /// Completed, in the attack's round, of all tenants.
    handshakes: u64,
    pub(crate) failed: u64,
    /// The 99th percentile of the neighbours' handshakes in the attack's round, by that of the quiet round before.
    neighbour_p99_ratio: f64,
    what: &'static str,
    neighbour_p99_us: u64,
    quiet_p99_us: u64,
}

impl Row {
    pub(crate) fn new(name: String, what: &'static str, quiet: &Round, round: &Round) -> Self {
        let all = [&round.neighbours, &round.attackers];
        let (p99_us, quiet_us) = (p99_us(&round.neighbours), p99_us(&quiet.neighbours));
        Self {
            name,
            stopped_by: verdict::stopped_by(&round.outcome).join("+"),
            handshakes: all.iter().map(|visits| visits.handshakes.load(Ordering::Relaxed)).sum(),
            failed: all.iter().map(|visits| visits.failed.load(Ordering::Relaxed)).sum(),
            neighbour_p99_ratio: p99_us as f64 / quiet_us.max(1) as f64,
            what,
            neighbour_p99_us: p99_us,
            quiet_p99_us: quiet_us,
        }
    }

    fn cells(&self) -> Vec<String> {
        let ms = |us: u64| format!("{:.2}", us as f64 / 1_000.0);
        vec![
            self.name.clone(),
            self.what.into(),
            self.stopped_by.clone(),
            self.handshakes.to_string(),
            self.failed.to_string(),
            ms(self.neighbour_p99_us),
            ms(self.quiet_p99_us),
            format!("{:.2}", self.neighbour_p99_ratio),
        ]
    }
}

fn p99_us(visits: &Visits) -> u64 {
    visits.handshake_us.lock().unwrap_or_else(PoisonError::into_inner).0.value_at_quantile(0.99)
}

const COLUMNS: [Column; 8] = [
    ("attack", false),
    ("what it does", false),
    ("stopped by", false),
    ("handshakes", true),
    ("failed", true),
    ("neighbours p99 ms", true),
    ("quiet", true),
    ("ratio", true),
];

pub(crate) fn table(rows: &[Row]) -> String {
    let cells: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
    let sum = format!(
        "\n{} attacks, {} failed handshakes, neighbours' p99 {:.2} times quiet at the median\n",
        rows.len(),
        failed(rows),
        median(rows)
    );
    table::table(&COLUMNS, &cells) + &sum
}

pub(crate) fn json(rows: &[Row]) -> anyhow::Result<String> {
    #[derive(Serialize)]
    struct Report<'a> {
        attacks: &'a [Row],
        failed_total: u64,
        neighbour_p99_ratio_median: f64,
    }
    let (failed_total, neighbour_p99_ratio_median) = (failed(rows), median(rows));
    Ok(serde_json::to_string(&Report { attacks: rows, failed_total, neighbour_p99_ratio_median })?)
}

fn failed(rows: &[Row]) -> u64 {
    rows.iter().map(|row| row.failed).sum()
}

fn median(rows: &[Row]) -> f64 {
    let mut ratios: Vec<f64> = rows.iter().map(|row| row.neighbour_p99_ratio).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(0.0)
}
