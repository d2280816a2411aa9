//! The results: a table for people, one object for programs.

use std::sync::atomic::Ordering;

use innkeeper_program::{
    loopback::client::Visits,
    table::{self, Column, Row as TableRow},
};
use serde::Serialize;

use crate::{Attack, target::Round, verdict};

/// The result of one attack.
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
    /// The percentage of the neighbours' connections that resumed, of those for which the client had a session to
    /// offer.
    neighbours_resumed: f64,
    /// The same in the quiet round before.
    neighbours_resumed_quiet: f64,
    #[serde(skip)]
    guest: &'static str,
    #[serde(skip)]
    strike: Option<&'static str>,
}

impl Row {
    pub(crate) fn new(attack: Attack, quiet: &Round, round: &Round) -> Self {
        let all = [&round.neighbours, &round.attackers];
        let (p99_us, quiet_us) = (round.neighbours.p99_us(), quiet.neighbours.p99_us());
        Self {
            name: attack.name(),
            stopped_by: verdict::stopped_by(&round.outcome).join("+"),
            handshakes: all.iter().map(|visits| visits.handshakes.load(Ordering::Relaxed)).sum(),
            failed: all.iter().map(|visits| visits.failed.load(Ordering::Relaxed)).sum(),
            neighbour_p99_ratio: p99_us as f64 / quiet_us.max(1) as f64,
            what: attack.artifact.what,
            neighbour_p99_us: p99_us,
            quiet_p99_us: quiet_us,
            neighbours_resumed: resumed(&round.neighbours),
            neighbours_resumed_quiet: resumed(&quiet.neighbours),
            guest: attack.artifact.name,
            strike: attack.strike,
        }
    }

    /// Percentage points that the neighbours resumed less than in the quiet round; below zero when they resumed more.
    fn resumed_less(&self) -> f64 {
        self.neighbours_resumed_quiet - self.neighbours_resumed
    }

    fn cells(&self) -> Vec<String> {
        let strike = self.strike.map_or_else(|| "  always".to_owned(), |strike| format!("  in {strike}"));
        vec![
            strike,
            shortened(&self.stopped_by),
            self.handshakes.to_string(),
            self.failed.to_string(),
            format!("{:.2}", self.neighbour_p99_us as f64 / 1_000.0),
            format!("{:.2}", self.neighbour_p99_ratio),
            format!("{:.1} %", self.neighbours_resumed),
            format!("{:.1} %", self.neighbours_resumed_quiet),
        ]
    }
}

/// The most characters of the names of what stopped an attack, so that a line stays under 100.
const STOPPED_BY_MAX: usize = 28;

/// The first names that fit, and the number of the others.
fn shortened(stopped_by: &str) -> String {
    let names: Vec<&str> = stopped_by.split('+').collect();
    let shown = |count: usize| match names.len() - count {
        0 => stopped_by.to_owned(),
        others => format!("{} +{others}", names[..count].join("+")),
    };
    let fits = |count: &usize| shown(*count).len() <= STOPPED_BY_MAX;
    shown((1..=names.len()).rev().find(fits).unwrap_or(1))
}

/// The percentage of resumed connections among those that could resume. Where none could, none was kept from it.
fn resumed(visits: &Visits) -> f64 {
    match visits.resumable.load(Ordering::Relaxed) {
        0 => 100.0,
        resumable => visits.resumed.load(Ordering::Relaxed) as f64 * 100.0 / resumable as f64,
    }
}

const COLUMNS: [Column; 8] = [
    ("attack", false),
    ("stopped by", false),
    ("hand-\nshakes", true),
    ("failed", true),
    ("others\np99 ms", true),
    ("times\nquiet", true),
    ("others\nresumed", true),
    ("in\nquiet", true),
];

/// The rows, below a heading for each guest.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut lines = Vec::new();
    let mut guest = "";
    for row in rows {
        if row.guest != guest {
            guest = row.guest;
            lines.push(TableRow::Heading(format!("{guest}: {}", row.what)));
        }
        lines.push(TableRow::Cells(row.cells()));
    }
    let sums = Sums::of(rows);
    let line = format!(
        "\n{} attacks, {} failed handshakes\n\
         neighbours' p99: {:.2} times that of a quiet round at the median, {:.2} at most\n\
         neighbours resumed: {:.1} % at the median, {:.1} % in a quiet round, {:.1} points less at most\n",
        rows.len(),
        sums.failed_total,
        sums.neighbour_p99_ratio_median,
        sums.neighbour_p99_ratio_max,
        sums.neighbours_resumed_median,
        sums.neighbours_resumed_quiet_median,
        sums.neighbours_resumed_less_max,
    );
    table::table_with_headings(&COLUMNS, &lines) + &line
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

/// The sums over all attacks.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_column_are_counted() {
        assert_eq!(shortened("fuel"), "fuel");
        assert_eq!(shortened("fuel+claim-check"), "fuel+claim-check");
        assert_eq!(shortened("deadline+claim-check+time-budget+log-rate"), "deadline+claim-check +2");
    }
}
