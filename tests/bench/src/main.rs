//! The cost of the sandbox. `cargo xtask bench` runs this program for all sections, and it writes
//! `results/results.json`, `results/results.md` and the plots. A partial run writes to `results/last`, out of git.
//!
//! Arguments: the folder of the peers' build; `--quick` for fewer rounds and sessions; names of sections, for a part.

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a benchmark tells what it does")]

mod subject;
mod floors;
mod cache;
mod bytes;
mod calls;
mod readers;
mod handshakes;
mod proxied;
mod density;
mod results;
mod plots;

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::{calls::Plan, results::Results, subject::Peers};

const HELP: &str = "the folder of the peers' build is wanted, and at most `--quick` and the names of sections: readers, calls, \
                    handshakes, proxied, density\nhint: cargo xtask bench";

/// The sections, in the order in which they are measured.
const SECTIONS: [&str; 5] = ["readers", "calls", "handshakes", "proxied", "density"];

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if let ["--part", name, count, folder] = args[..] {
        return density::run_part(name, count.parse()?, Path::new(folder));
    }
    let [peers, ref options @ ..] = args[..] else { bail!("{HELP}") };
    let is_quick = options.contains(&"--quick");
    let only: Vec<&str> = options.iter().copied().filter(|option| SECTIONS.contains(option)).collect();
    if options.len() != only.len() + usize::from(is_quick) {
        bail!("{HELP}");
    }
    let mut results = Results::new(is_quick);
    for section in SECTIONS.into_iter().filter(|section| only.is_empty() || only.contains(section)) {
        measure(section, is_quick, &peers_in(Path::new(peers)), &mut results)?;
    }
    results.judge_calls();
    // Only a whole run is published.
    let is_whole = !is_quick && only.is_empty();
    let folder = here().join(if is_whole { "results" } else { "results/last" });
    println!("{}\nwritten to {}", results.markdown(), folder.display());
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("results.json"), serde_json::to_string_pretty(&results)? + "\n")?;
    plots::draw(&results, &folder)?;
    std::fs::write(folder.join("results.md"), results.markdown())?;
    Ok(())
}

fn measure(section: &str, is_quick: bool, peers: &Peers, results: &mut Results) -> anyhow::Result<()> {
    let rounds = |all: usize| if is_quick { all / 5 } else { all };
    match section {
        "readers" => readers::measure(&[1, 2, 4, 8], rounds(101), results),
        "calls" => {
            let sessions = if is_quick { vec![1_000, 100_000] } else { vec![1_000, 100_000, 1_000_000] };
            calls::measure(&Plan { sessions, rounds: rounds(101) }, peers, results)
        }
        "handshakes" => handshakes::measure(rounds(101), results),
        "proxied" => proxied::measure(rounds(301), results),
        _ => density::measure(if is_quick { 1_000 } else { 10_000 }, results),
    }
}

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn peers_in(build: &Path) -> Peers {
    let modules = build.join("wasm32-unknown-unknown/release");
    Peers {
        program: build.join("release/innkeeper-peers"),
        plugin: modules.join("innkeeper_peers_plugin.wasm"),
        bytes: modules.join("innkeeper_peers_bytes.wasm"),
        ets: here().join("peers/src/ets.escript"),
    }
}
