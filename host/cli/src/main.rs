//! `innkeeper`: one file per command.

mod attack;
mod bench;
mod build;
mod check;
mod demo;
mod inspect;
mod new;
mod serve;

mod compiler;
mod guest_file;
mod loopback;
mod settings;

use std::{io::Write as _, process::ExitCode};

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
    Serve(serve::Options),
    Attack(attack::Options),
    New(new::Options),
    Build(build::Options),
    Check(check::Options),
    Bench(bench::Options),
    Inspect(inspect::Options),
}

fn main() -> ExitCode {
    if compiler::is_asked_for() {
        return innkeeper_wasm::compiler_main();
    }
    let cli = Cli::parse();
    // A server logs as its configuration says.
    if !matches!(cli.command, Command::Serve(_)) {
        // Guests that fault and shout by design would else fill the terminal.
        let filter = EnvFilter::try_from_env(settings::LOG_OF_TOOLS);
        let filter = filter.unwrap_or_else(|_| EnvFilter::new("error,innkeeper::guest=off"));
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    let done = match cli.command {
        Command::Demo(options) => demo::run(&options),
        Command::Serve(options) => serve::run(&options),
        Command::Attack(options) => attack::run(&options),
        Command::New(options) => new::run(&options),
        Command::Build(options) => build::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Inspect(options) => inspect::run(&options),
    };
    done.unwrap_or_else(|error| {
        if !is_reader_gone(&error) {
            complain(&error);
        }
        ExitCode::FAILURE
    })
}

/// Whether nobody reads what is printed any more, such as `head` that has seen enough.
fn is_reader_gone(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<std::io::Error>();
    cause.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// The one place where an error ends. If nobody reads it, the exit code tells.
fn complain(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
}
