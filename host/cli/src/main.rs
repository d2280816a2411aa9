//! `innkeeper`: one file per command.

mod demo;
mod serve;
mod new;
mod build;
mod check;
mod bench;
mod inspect;
mod moved;

mod guest_file;
mod settings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use innkeeper_program::log_of_tools;

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
    Serve(serve::Options),
    New(new::Options),
    Build(build::Options),
    Check(check::Options),
    Bench(bench::Options),
    Inspect(inspect::Options),
    #[command(hide = true)]
    Attack(moved::Options),
}

fn main() -> ExitCode {
    innkeeper_program::main(|| {
        let cli = Cli::parse();
        // A server logs as its configuration says.
        if !matches!(cli.command, Command::Serve(_)) {
            log_of_tools();
        }
        match cli.command {
            Command::Demo(options) => demo::run(&options),
            Command::Serve(options) => serve::run(&options),
            Command::New(options) => new::run(&options),
            Command::Build(options) => build::run(&options),
            Command::Check(options) => check::run(&options),
            Command::Bench(options) => bench::run(&options),
            Command::Inspect(options) => inspect::run(&options),
            Command::Attack(options) => moved::run(&options),
        }
    })
}
