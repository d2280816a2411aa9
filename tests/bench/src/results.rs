//! Measured figures and their limits, as JSON and as a table.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) work: String,
    pub(crate) subject: String,
    pub(crate) sessions: u32,
    pub(crate) threads: u32,
    /// The median of the rounds, each of many calls timed together.
    pub(crate) ns_p50: f64,
    /// The 99th percentile of calls timed singly, or of the rounds if calls cannot be.
    pub(crate) ns_p99: f64,
    /// The distance between the first and the third quartile of the rounds, as a share of the median.
    pub(crate) spread: f64,
}

/// A target figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) limit: f64,
    pub(crate) holds: bool,
}

/// The machine of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) system: String,
}

/// Everything of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) is_quick: bool,
    pub(crate) rows: Vec<Row>,
    pub(crate) targets: Vec<Target>,
    /// Figures without a limit, by name.
    pub(crate) notes: BTreeMap<String, f64>,
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

impl Row {
    /// Makes a row from the rounds' times, and those of single calls if present.
    pub(crate) fn new(
        work: &str,
        subject: &str,
        sessions: u32,
        threads: u32,
        mut ns: Vec<f64>,
        singles_ns: Vec<u64>,
    ) -> Self {
        ns.sort_by(f64::total_cmp);
        let mut singles: Vec<f64> = singles_ns.into_iter().map(|ns| ns as f64).collect();
        singles.sort_by(f64::total_cmp);
        let ns_p50 = quantile(&ns, 0.5);
        let ns_p99 = quantile(if singles.is_empty() { &ns } else { &singles }, 0.99);
        let spread = (quantile(&ns, 0.75) - quantile(&ns, 0.25)) / ns_p50;
        let (work, subject) = (work.to_owned(), subject.to_owned());
        Self {
            work,
            subject,
            sessions,
            threads,
            ns_p50: tenth(ns_p50),
            ns_p99: tenth(ns_p99),
            spread: tenth(100.0 * spread) / 100.0,
        }
    }
}

/// Rounds to the significant digits.
fn tenth(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

impl Results {
    pub(crate) fn new(is_quick: bool) -> Self {
        Self { machine: Machine::here(), is_quick, rows: Vec::new(), targets: Vec::new(), notes: BTreeMap::new() }
    }

    /// The median of one figure, if it has been measured.
    pub(crate) fn ns(&self, work: &str, subject: &str, sessions: u32, threads: u32) -> Option<f64> {
        let is_it = |row: &&Row| {
            (row.work.as_str(), row.subject.as_str(), row.sessions, row.threads) == (work, subject, sessions, threads)
        };
        self.rows.iter().find(is_it).map(|row| row.ns_p50)
    }

    /// Notes a figure with its limit, an upper or a lower one.
    pub(crate) fn target(&mut self, name: &str, value: Option<f64>, bound: Bound) {
        let Some(value) = value else { return };
        let (limit, holds) = match bound {
            Bound::AtMost(limit) => (limit, value <= limit),
            Bound::AtLeast(limit) => (limit, value >= limit),
        };
        let value = (value * 1_000.0).round() / 1_000.0;
        self.targets.push(Target { name: name.to_owned(), value, limit, holds });
    }

    /// Notes a figure without a limit.
    pub(crate) fn note(&mut self, name: &str, value: f64) {
        self.notes.insert(name.to_owned(), tenth(value));
    }

    /// The figures that are ratios of rows.
    pub(crate) fn judge_calls(&mut self) {
        const GUEST: &str = "rust-lru";
        let one = |work: &str, subject: &str| self.ns(work, subject, 1_000, 1);
        let ratio = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a / b);
        let hit = one("lookup-hit", GUEST);
        let against = |subject: &str| ratio(hit, one("lookup-hit", subject));
        let readers = |threads| self.ns("lookup-hit", "rust-lru, 2 readers", 1_000, threads);
        let of_million = |subject: &str| self.ns("lookup-hit", subject, 1_000_000, 1);
        let dearer = hit.zip(of_million(GUEST)).zip(one("lookup-hit", "locked-map").zip(of_million("locked-map")));
        let judged = [
            ("lookup hit / empty component call", against("empty-call"), Bound::AtMost(2.0)),
            ("lookup hit / moka get", against("moka"), Bound::AtMost(1.0)),
            ("lookup hit / OTP's ETS lookup", against("otp-ets"), Bound::AtMost(0.5)),
            ("lookup hit / Extism", against("extism"), Bound::AtMost(0.2)),
            ("lookup hit / Redis", against("redis"), Bound::AtMost(0.02)),
            ("lookup miss / lookup hit", ratio(one("lookup-miss", GUEST), hit), Bound::AtMost(0.3)),
            ("update / lookup hit", ratio(one("update", GUEST), hit), Bound::AtMost(5.0)),
            (
                "lookups on 2 threads / on 1, 2 readers",
                ratio(readers(1), readers(2)).map(|ratio| 2.0 * ratio),
                Bound::AtLeast(1.8),
            ),
            (
                "lookup hit among 1 000 000 less what the map pays more / among 1 000",
                dearer.map(|((few, many), (map_few, map_many))| (many - (map_many - map_few)) / few),
                Bound::AtMost(2.0),
            ),
        ];
        for (name, value, bound) in judged {
            self.target(name, value, bound);
        }
    }

    /// Formats everything as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        let Machine { processor, cores, system } = &self.machine;
        let _ = writeln!(text, "{processor}, {cores} cores, {system}.\n");
        let _ = writeln!(text, "| figure | value | limit | holds |\n|---|--:|--:|---|");
        for Target { name, value, limit, holds } in &self.targets {
            let _ = writeln!(text, "| {name} | {value} | {limit} | {} |", if *holds { "yes" } else { "no" });
        }
        for (name, value) in &self.notes {
            let _ = writeln!(text, "| {name} | {value} | | |");
        }
        let _ = writeln!(text, "\n| work | subject | sessions | threads | p50 ns | p99 ns | spread |");
        let _ = writeln!(text, "|---|---|--:|--:|--:|--:|--:|");
        for Row { work, subject, sessions, threads, ns_p50, ns_p99, spread } in &self.rows {
            let spread = spread * 100.0;
            let _ = writeln!(
                text,
                "| {work} | {subject} | {sessions} | {threads} | {ns_p50:.0} | {ns_p99:.0} | {spread:.0} % |"
            );
        }
        text
    }
}

/// The side of its limit on which a figure must lie.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Machine {
    fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let info = read("/proc/cpuinfo");
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let release = read("/proc/sys/kernel/osrelease");
        let system = release.split('.').take(2).collect::<Vec<_>>().join(".");
        Self {
            processor: model.map_or("an unknown processor", |(_, name)| name).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            system: format!("Linux {system}"),
        }
    }
}
