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
    /// The percentage of the neighbours' connections that resumed, of those for which the client had a session to offer.
    neighbours_resumed: f64,
    /// The same in the quiet round before.
    neighbours_resumed_quiet: f64,
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
            neighbours_resumed: resumed(&round.neighbours),
            neighbours_resumed_quiet: resumed(&quiet.neighbours),
        }
    }

    /// How many percentage points fewer the neighbours resumed than in the quiet round; below zero when they resumed more.
    fn resumed_less(&self) -> f64 {
        self.neighbours_resumed_quiet - self.neighbours_resumed
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
            format!("{:.1} %", self.neighbours_resumed),
            format!("{:.1} %", self.neighbours_resumed_quiet),
        ]
    }
}

fn p99_us(visits: &Visits) -> u64 {
    visits.handshake_us.lock().unwrap_or_else(PoisonError::into_inner).0.value_at_quantile(0.99)
}

/// The percentage of resumed connections among those that could resume. Where none could, none was kept from it.
fn resumed(visits: &Visits) -> f64 {
    match visits.resumable.load(Ordering::Relaxed) {
        0 => 100.0,
        resumable => visits.resumed.load(Ordering::Relaxed) as f64 * 100.0 / resumable as f64,
    }
}

const COLUMNS: [Column; 10] = [
    ("attack", false),
    ("what it does", false),
    ("stopped by", false),
    ("handshakes", true),
    ("failed", true),
    ("neighbours p99 ms", true),
    ("quiet", true),
    ("ratio", true),
    ("neighbours resumed", true),
    ("quiet", true),
];

pub(crate) fn table(rows: &[Row]) -> String {
    let cells: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
    let sums = Sums::of(rows);
    let line = format!(
        "\n{} attacks, {} failed handshakes; neighbours' p99 {:.2} times quiet at the median, {:.2} at most; neighbours \
         resumed {:.1} % at the median, {:.1} % in quiet, {:.1} points less at most\n",
        rows.len(),
        sums.failed_total,
        sums.neighbour_p99_ratio_median,
        sums.neighbour_p99_ratio_max,
        sums.neighbours_resumed_median,
        sums.neighbours_resumed_quiet_median,
        sums.neighbours_resumed_less_max,
    );
    table::table(&COLUMNS, &cells) + &line
}

pub(crate) fn json(rows: &[Row]) -> anyhow::Result<String> {
    #[derive(Serialize)]
    struct Report<'a> {
        attacks: &'a [Row],
        #[serde(flatten)]
        sums: Sums,
    }
    Ok(serde_json::to_string(&Report { attacks: rows, sums: Sums::of(rows) })?)
}

/// What all attacks come to.
#[derive(Serialize)]
struct Sums {
    failed_total: u64,
    neighbour_p99_ratio_median: f64,
    neighbour_p99_ratio_max: f64,
    neighbours_resumed_median: f64,
    neighbours_resumed_quiet_median: f64,
    /// The most percentage points that the neighbours resumed less beside one attack than in the quiet round before it.
    neighbours_resumed_less_max: f64,
}

impl Sums {
    fn of(rows: &[Row]) -> Self {
        let max = |of: fn(&Row) -> f64| rows.iter().map(of).fold(0.0, f64::max);
        Self {
            failed_total: rows.iter().map(|row| row.failed).sum(),
            neighbour_p99_ratio_median: median(rows, |row| row.neighbour_p99_ratio),
            neighbour_p99_ratio_max: max(|row| row.neighbour_p99_ratio),
            neighbours_resumed_median: median(rows, |row| row.neighbours_resumed),
            neighbours_resumed_quiet_median: median(rows, |row| row.neighbours_resumed_quiet),
            neighbours_resumed_less_max: max(Row::resumed_less),
        }
    }
}

fn median(rows: &[Row], of: impl Fn(&Row) -> f64) -> f64 {
    let mut numbers: Vec<f64> = rows.iter().map(of).collect();
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
}
