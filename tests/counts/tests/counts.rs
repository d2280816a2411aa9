//! The cost of a lookup in instructions of the host and in fuel of the guests. These counts are equal on every machine,
//! so they can gate, unlike times.
//!
//! A limit is a little above the count when it was set. A change that makes a lookup dearer raises its limit,
//! knowingly; a change that makes it cheaper lowers the limit.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::process::Command;

use innkeeper_artifacts::artifact;
use innkeeper_core::{Key, Limits, PartialKey, Role, SessionId, SizeClass, Solo};
use innkeeper_wasm::{Checked, Compilation, Engine, EngineConfig, Wasi};

/// Instructions of a whole run, as callgrind counts them.
fn instructions(work: &str, lookups: u32) -> u64 {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", env!("CARGO_BIN_EXE_innkeeper-counts")])
        .args([work, &lookups.to_string()])
        .output()
        .expect("valgrind is installed");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{work} fails: {said}");
    let count =
        said.lines().find_map(|line| line.split("Collected : ").nth(1)).expect("callgrind tells what it counted");
    count.trim().parse().unwrap()
}

/// Instructions of one lookup, from the difference between two runs.
#[track_caller]
fn check_instructions(work: &str, limit: u64) {
    let few = instructions(work, 1_000);
    let many = instructions(work, 11_000);
    let each = (many - few) / 10_000;
    assert!(each <= limit, "a lookup takes {each} instructions of the host, more than {limit}");
    assert!(each * 2 > limit, "a lookup takes {each} instructions of the host: lower the limit of {limit}");
}

#[test]
fn a_lookup_of_a_session_takes_no_more_instructions_than_it_did() {
    check_instructions("hit", 2_500);
}

#[test]
fn a_lookup_of_what_nobody_has_takes_no_more_instructions_than_it_did() {
    check_instructions("miss", 1_000);
}

#[test]
fn a_guests_lookup_takes_no_more_fuel_than_it_did_however_many_sessions_there_are() {
    let engine = Engine::new(EngineConfig::new(SizeClass::Small, Compilation::Trusted)).unwrap();
    for (guest, lookup, update) in [("rust-lru", 340, 1_600), ("c-lru", 220, 700)] {
        for sessions in [100, 9_000] {
            let limits = Limits::new(SizeClass::Small);
            let component = artifact(guest).unwrap().component.unwrap();
            let linked = Checked::new(component, &limits).unwrap().compile(&engine).unwrap().link(Wasi::None).unwrap();
            let (mut solo, _) = Solo::open(&linked, &limits, Role::Server, Vec::new(), 1).ok().unwrap();
            // Far apart in both halves, like fingerprints.
            let number = |of: u64| (of.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11).max(1);
            let keys: Vec<Key> = (1..=sessions)
                .map(|of| Key { partial: PartialKey(number(of / 4)), id: SessionId(number(of)) })
                .collect();
            let mean = |fuel: u64| fuel / sessions;
            let updated = keys.iter().zip(1..).map(|(key, session)| solo.update(*key, session).fuel).sum();
            let looked_up = keys.iter().map(|key| solo.lookup(*key).fuel).sum();
            let (updated, looked_up) = (mean(updated), mean(looked_up));
            assert!(looked_up <= lookup, "{guest} burns {looked_up} in a lookup among {sessions}, more than {lookup}");
            assert!(updated <= update, "{guest} burns {updated} in an update among {sessions}, more than {update}");
        }
    }
}
