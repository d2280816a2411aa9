//! `innkeeper bench`: the price of a component's calls, compared with an older price.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use innkeeper_check::cost::{self, Item, Population, Price, PriceOptions, Prices};
use innkeeper_program::{
    progress::Progress,
    table::{self, Column},
};

use crate::guest_file::{GuestFile, LoadOptions, empty_call};

/// Prices a guest: fuel and time of each callback by number of sessions, memory, growth, replay.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    load: LoadOptions,
    /// The numbers of sessions, separated by commas.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NUMBER",
        default_value = "100,10000,100000",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    sessions: Vec<u32>,
    /// The output of an older run with `--json`: fail where the median fuel of a call has grown.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// The growth that is allowed, in percent.
    #[arg(long, default_value_t = 5.0, value_parser = parse_percent, allow_negative_numbers = true)]
    percent: f64,
    /// Draw fuel against the number of sessions into this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let percent: Option<f64> = text.parse().ok();
    percent.filter(|percent| percent.is_finite() && *percent >= 0.0).ok_or_else(|| "write a number of 0 or more".into())
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    // First, since the pricing may take a minute.
    let baseline = options.baseline.as_deref().map(read_baseline).transpose()?;
    let file = GuestFile::load(&options.load)?;
    let mut empty_call = empty_call()?;
    let price_options = PriceOptions {
        sessions: options.sessions.clone(),
        properties: options.load.properties(),
        progress: |sessions| Progress::new().say(&format!("pricing {sessions} sessions")),
        ..PriceOptions::default()
    };
    let prices = cost::price(&*file.guest, &file.limits, &price_options, Some(&mut empty_call));
    Progress::new().clear();
    let prices = prices?;
    if let Some(svg) = &options.svg {
        std::fs::write(svg, cost::svg(&prices)).with_context(|| format!("cannot write {}", svg.display()))?;
    }
    let mut out = std::io::stdout().lock();
    if options.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&prices)?)?;
    } else {
        let component = options.load.component.display();
        writeln!(out, "{component}: {} bytes, size class {}", file.bytes.len(), file.class.name())?;
        write!(out, "{}", text(&prices))?;
    }
    out.flush()?;
    match baseline {
        Some(baseline) => held_against(&prices, &baseline, options.percent),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn read_baseline(path: &Path) -> anyhow::Result<Prices> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Prices::from_json(&text).with_context(|| format!("invalid baseline {}", path.display()))
}

fn held_against(prices: &Prices, baseline: &Prices, percent: f64) -> anyhow::Result<ExitCode> {
    let is_asked = |sessions: u32| prices.populations.iter().any(|population| population.sessions == sessions);
    let growths = cost::compare(prices, baseline, percent).into_iter().filter(|growth| is_asked(growth.sessions));
    let lines: Vec<String> = growths.map(|growth| format!("\n  {growth}")).collect();
    if !lines.is_empty() {
        bail!("more than {percent} % above the baseline:{}", lines.concat());
    }
    Ok(ExitCode::SUCCESS)
}

fn text(prices: &Prices) -> String {
    let empty =
        prices.empty_call_ns.map_or_else(String::new, |spread| format!("empty call {} µs, ", us(spread.median)));
    let mut text = format!(
        "{empty}instantiation {} µs; the {} ns of reading the clock are subtracted\n",
        us(prices.instantiation_ns.median),
        prices.clock_ns
    );
    prices.populations.iter().for_each(|population| text += &population_text(population));
    text
}

const COLUMNS: [Column; 9] = [
    ("call", false),
    ("calls", true),
    ("fuel p50", true),
    ("p99", true),
    ("max", true),
    ("of grant", true),
    ("µs p50", true),
    ("p99", true),
    ("native p50", true),
];

fn population_text(population: &Population) -> String {
    let sessions = population.sessions;
    if let Some(fault) = &population.fault {
        return format!("\n{sessions} sessions: not priced: {fault}\n");
    }
    let mut text = match population.held {
        held if held == sessions => format!("\n{sessions} sessions\n\n"),
        held => format!("\n{sessions} sessions, {held} of them kept by the guest\n\n"),
    };
    let priced = population.prices.iter().filter(|price| price.calls > 0);
    text += &table::table(&COLUMNS, &priced.map(cells).collect::<Vec<_>>());
    for price in &population.prices {
        if let Some(fault) = &price.fault {
            text += &format!("  {}: {fault}\n", price.item);
        }
        if price.wrong > 0 {
            text += &format!("  {}: {} wrong answers\n", price.item, price.wrong);
        }
    }
    text + &whole_text(population)
}

fn cells(price: &Price) -> Vec<String> {
    vec![
        price.item.name().into(),
        price.calls.to_string(),
        price.fuel.median.to_string(),
        price.fuel.p99.to_string(),
        price.fuel.max.to_string(),
        format!("{:.1} %", price.fuel.max as f64 / price.fuel_grant.max(1) as f64 * 100.0),
        us(price.ns.median),
        us(price.ns.p99),
        price.native_ns.map_or_else(String::new, us),
    ]
}

/// The lines about all the sessions together.
fn whole_text(population: &Population) -> String {
    let mut text = String::new();
    if let Some(fuel) = population.foldl_fuel_per_session {
        text += &format!("  {}: {fuel} fuel a session\n", Item::Foldl);
    }
    if let Some(memory) = &population.memory {
        let kib = |bytes: usize| bytes / 1_024;
        text += &format!(
            "  memory: {} KiB empty, {} KiB with the sessions, {:.0} bytes a session\n",
            kib(memory.empty_bytes),
            kib(memory.full_bytes),
            memory.session_bytes
        );
    }
    if let Some(replay) = &population.replay {
        text += &format!(
            "  replay: {:.2} ms, {} fuel, {} in the costliest update\n",
            replay.ns as f64 / 1e6,
            replay.fuel,
            replay.fuel_max
        );
    }
    if let Some(churn) = population.churn.as_ref().filter(|churn| churn.cycles > 0) {
        let grown = churn.grown_bytes.map_or_else(String::new, |bytes| format!("memory grew by {bytes} bytes, "));
        text += &format!(
            "  growth in {} cycles of lookup, delete, update: {grown}fuel of a cycle {} at first, {} at last\n",
            churn.cycles, churn.fuel_first, churn.fuel_last
        );
        if let Some(fault) = &churn.fault {
            text += &format!("  growth: {fault}\n");
        }
    }
    text
}

fn us(ns: u64) -> String {
    format!("{:.2}", ns as f64 / 1_000.0)
}
