//! The program as a user runs it.

use std::process::{Command, Output};

fn attack(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_innkeeper-attack")).args(args).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Guests of every kind, few enough for a test, and a part of what stops them.
const ATTACKS: [(&str, &str); 12] = [
    ("spin in lookup", "fuel"),
    ("spin in init", "fuel"),
    ("trap in update", "sandbox"),
    ("recurse in lookup", "stack"),
    ("balloon in lookup", "memory"),
    ("evict-anywhere in lookup", "host-interface"),
    ("log-flood in lookup", "log-rate"),
    ("liar", "claim-check"),
    ("later", "fuel"),
    ("imports-files", "imports"),
    ("other-shape", "world"),
    ("truncated", "validation"),
];

#[test]
fn attack_names_what_stopped_each_and_breaks_no_handshake() {
    let names = ATTACKS.map(|(name, _)| name).join(",");
    let output = attack(&["--json", "--connections", "24", "--only", &names]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("the report is one JSON object");
    assert_eq!(report["failed_total"], 0, "{report}");
    let attacks = report["attacks"].as_array().expect("there is a list of attacks");
    assert_eq!(attacks.len(), ATTACKS.len());
    for row in attacks {
        let number = |field: &str| row[field].as_u64().unwrap_or_else(|| panic!("{field} is a number: {row}"));
        assert!(number("failed") == 0 && number("handshakes") >= 48, "{row}");
        assert!(row["neighbour_p99_ratio"].as_f64().is_some_and(|ratio| ratio > 0.0), "{row}");
        for field in ["neighbours_resumed", "neighbours_resumed_quiet"] {
            assert!(row[field].as_f64().is_some_and(|share| (0.0..=100.0).contains(&share)), "{field}: {row}");
        }
    }
    let sum = |field: &str| report[field].as_f64().unwrap_or_else(|| panic!("{field} is a number: {report}"));
    assert!(sum("neighbour_p99_ratio_max") >= sum("neighbour_p99_ratio_median"), "{report}");
    assert!(sum("neighbours_resumed_quiet_median") > 90.0 && sum("neighbours_resumed_median") > 0.0, "{report}");
    assert!((0.0..=100.0).contains(&sum("neighbours_resumed_less_max")), "{report}");
    for (name, by) in ATTACKS {
        let row = attacks.iter().find(|row| row["name"] == name);
        let stopped_by = row.and_then(|row| row["stopped_by"].as_str()).unwrap_or_default();
        assert!(stopped_by.split('+').any(|own| own == by), "{name} is stopped by {stopped_by}");
    }
}

#[test]
fn attack_prints_a_table_and_names_what_there_is() {
    let output = attack(&["--connections", "4", "--only", "plain-text"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[1].starts_with("attack") && lines[1].ends_with("quiet"), "{shown}");
    assert!(lines[3] == "plain-text: is a text" && lines[4].contains("file-format"), "{shown}");
    assert!(shown.contains("\n1 attacks, 0 failed handshakes\n"), "{shown}");
    assert!(lines.iter().all(|line| line.chars().count() < 100), "{shown}");
    let unknown = attack(&["--only", "nobody"]);
    assert!(!unknown.status.success());
    assert!(text(&unknown.stderr).starts_with("error: unknown hostile guest `nobody`; known guests: "));
}
