//! `innkeeper check`: the rules of a session cache, tried on a component.

use std::{io::Write as _, process::ExitCode};

use anyhow::bail;
use innkeeper_check::{CASES, CaseReport, Failure, Options as CheckOptions, Report, Subject};

use crate::guest_file::{GuestFile, LoadOptions};

/// Checks a guest: the contract case by case, random calls against a model, determinism, replay, limits.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    load: LoadOptions,
    /// Only the cases whose names begin so, such as `05` or `A2`; separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "CASE")]
    only: Vec<String>,
    /// Random sequences of calls that each case of random calls tries.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000), allow_negative_numbers = true)]
    runs: u32,
    /// Print every call to an instance alone, with its answer and its fuel.
    #[arg(long, conflicts_with = "json")]
    trace: bool,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// The output of `--json`.
#[derive(serde::Serialize)]
struct JsonReport<'a> {
    component: String,
    bytes: usize,
    size_class: &'static str,
    is_sealed: bool,
    imports: Vec<String>,
    is_passed: bool,
    passed: usize,
    failed: usize,
    #[serde(flatten)]
    report: &'a Report,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let is_known = |only: &&String| CASES.iter().any(|case| case.name.starts_with(&capital(only)));
    let unknown = options.only.iter().find(|only| !is_known(only));
    let only: Vec<String> = options.only.iter().map(|only| capital(only)).collect();
    if let Some(unknown) = unknown {
        let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        bail!("unknown case `{unknown}`; known cases:\n  {}", names.join("\n  "));
    }
    let file = GuestFile::load(&options.load)?;
    let component = innkeeper_build::check_component(file.bytes.clone())?;
    let subject = Subject {
        properties: options.load.properties(),
        trace: options.trace.then_some(print_line as fn(&str)),
        ..Subject::new(file.guest.clone(), file.limits.clone())
    };
    if !options.json {
        let sealed = if component.is_sealed() { "sealed" } else { "closed WASI" };
        let head = (options.load.component.display(), file.bytes.len(), sealed, file.class.name());
        print_line(&format!("{}: {} bytes, {}, size class {}\n", head.0, head.1, head.2, head.3));
    }
    // The case's failure reports a panic that it provokes on purpose, or that ends it.
    std::panic::set_hook(Box::new(|_| {}));
    let check_options = CheckOptions { only, runs: options.runs };
    let is_text = !options.json;
    let report = innkeeper_check::check(&subject, &check_options, &mut |case| {
        if is_text {
            print_line(&case_text(case));
        }
    });
    let (failed, passed) = (report.failed(), report.cases.len() - report.failed());
    let verdict = if report.is_passed() { "PASSED" } else { "FAILED" };
    if options.json {
        let json = JsonReport {
            component: options.load.component.display().to_string(),
            bytes: file.bytes.len(),
            size_class: file.class.name(),
            is_sealed: component.is_sealed(),
            imports: component.imports,
            is_passed: report.is_passed(),
            passed,
            failed,
            report: &report,
        };
        print_line(&serde_json::to_string_pretty(&json)?);
    } else {
        print_line(&format!("\n{verdict}: {passed} cases passed, {failed} failed"));
    }
    Ok(if report.is_passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes `B1` of `b1`; the rest of a name stays.
fn capital(only: &str) -> String {
    let mut characters = only.trim().chars();
    characters.next().into_iter().flat_map(char::to_uppercase).chain(characters).collect()
}

/// Prints one line. A reader that has left, such as `head`, is no error.
fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn case_text(case: &CaseReport) -> String {
    let Some(Failure { expected, seen, calls }) = &case.failure else { return format!("ok      {}", case.name) };
    let mut text = format!("FAILED  {}\n          expected  {expected}\n          seen      {seen}", case.name);
    for (place, call) in calls.iter().enumerate() {
        let label = if place == 0 { "calls" } else { "" };
        text.push_str(&format!("\n          {label:<8}  {call}"));
    }
    text
}
