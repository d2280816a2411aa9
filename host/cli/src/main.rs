//! `innkeeper`: one file per command.

mod build;
mod demo;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Multi-tenant TLS with session-cache logic from untrusted WebAssembly components.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Options),
    Build(build::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // RUST_LOG, where it is set; guests that fault by design would else fill the terminal.
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::ERROR.into()).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let done = match cli.command {
        Command::Demo(options) => demo::run(&options),
        Command::Build(options) => build::run(&options),
    };
    done.unwrap_or_else(|error| {
        complain(&error);
        ExitCode::FAILURE
    })
}

#[expect(clippy::print_stderr, reason = "the one place where an error ends")]
fn complain(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
