//! `innkeeper-attack`: every hostile guest against a live proxy with two honest neighbours, on loopback.

mod target;
mod verdict;
mod report;

use std::{io::Write as _, process::ExitCode, time::Duration};

use anyhow::bail;
use clap::Parser;
use innkeeper_corpus::{Artifact, hostile};
use innkeeper_program::{compiler, log_of_tools, progress::Progress};

use crate::{report::Row, target::Target};

/// Runs every hostile guest against a live proxy with two honest tenants, on loopback.
#[derive(Parser)]
#[command(version, about)]
struct Options {
    /// Connections of each neighbour in each round, half of them TLS 1.2 and half TLS 1.3.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(4..=100_000))]
    connections: u32,
    /// The guests or attacks to run, instead of all: such as `spin,trap in update`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// A hostile guest, and the callback it is told to strike in, if it can be told.
#[derive(Clone, Copy)]
struct Attack {
    artifact: &'static Artifact,
    strike: Option<&'static str>,
}

impl Attack {
    fn name(&self) -> String {
        self.strike
            .map_or_else(|| self.artifact.name.to_owned(), |strike| format!("{} in {strike}", self.artifact.name))
    }
}

fn main() -> ExitCode {
    innkeeper_program::main(|| {
        let options = Options::parse();
        log_of_tools();
        let runtime = compiler::runtime()?;
        let done = runtime.block_on(run(&options));
        runtime.shutdown_timeout(Duration::from_secs(1));
        done
    })
}

async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let attacks = chosen(&options.only)?;
    let target = Target::open().await?;
    let progress = Progress::new();
    let mut rows = Vec::new();
    for (number, attack) in attacks.iter().enumerate() {
        progress.say(&format!("{} of {}: {}", number + 1, attacks.len(), attack.name()));
        let Ok(component) = attack.artifact.component else { continue };
        let quiet = target.quiet_round(options.connections).await?;
        let round = target.round(component, attack.strike, options.connections).await?;
        rows.push(Row::new(*attack, &quiet, &round));
    }
    progress.clear();
    target.close().await;
    let mut out = std::io::stdout().lock();
    match options.json {
        true => writeln!(out, "{}", report::json(&rows)?)?,
        false => write!(out, "{}", report::table(&rows))?,
    }
    for attack in &attacks {
        if let (Err(why), false) = (attack.artifact.component, options.json) {
            writeln!(out, "left out: {}: {why}", attack.name())?;
        }
    }
    out.flush()?;
    let is_clean = rows.iter().all(|row| row.failed == 0);
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(only: &[String]) -> anyhow::Result<Vec<Attack>> {
    let strikes = |artifact: &'static Artifact| -> Vec<Attack> {
        match artifact.strikes {
            [] => vec![Attack { artifact, strike: None }],
            strikes => strikes.iter().map(|strike| Attack { artifact, strike: Some(strike) }).collect(),
        }
    };
    let all: Vec<Attack> = hostile().flat_map(strikes).collect();
    let is_named = |attack: &Attack, name: &str| attack.artifact.name == name || attack.name() == name;
    if let Some(unknown) = only.iter().find(|name| !all.iter().any(|attack| is_named(attack, name))) {
        let names: Vec<&str> = hostile().map(|artifact| artifact.name).collect();
        bail!("unknown hostile guest `{unknown}`; known guests: {}", names.join(", "));
    }
    let is_chosen = |attack: &Attack| only.is_empty() || only.iter().any(|name| is_named(attack, name));
    Ok(all.into_iter().filter(is_chosen).collect())
}
