//! The generated files are fresh.

use std::{fs, path::Path};

use innkeeper_serve::{config::reference, metrics};

/// Checks that a file of this crate has the generated text. With `INNKEEPER_BLESS` set it writes the file instead.
#[track_caller]
fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if option_env!("INNKEEPER_BLESS").is_some() {
        fs::write(&path, text).expect("the crate's folder can be written");
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(there == text, "{name} is out of date\nhint: INNKEEPER_BLESS=1 cargo test --package innkeeper-serve");
}

#[test]
fn the_schema_is_fresh() {
    check("innkeeper.schema.json", &reference::schema());
}

#[test]
fn the_reference_of_the_configuration_is_fresh_and_whole() {
    let text = reference::markdown();
    check("CONFIGURATION.md", &text);
    // One field of each depth.
    for field in [
        "## The file",
        "`tenants.NAME.guest.limits.read`",
        "`listeners[]`",
        "\n- `lifetime_s` (",
        "`maxima.large.init`",
    ] {
        assert!(text.contains(field), "{field} is not in the reference");
    }
}

#[test]
fn the_reference_of_the_metrics_is_fresh() {
    check("METRICS.md", &metrics::markdown());
}
