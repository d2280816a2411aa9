//! A program's start and its end.

use std::{io::Write as _, process::ExitCode};

use tracing_subscriber::EnvFilter;

use crate::compiler;

/// The environment variable that selects the events of [`log_of_tools`].
const LOG_OF_TOOLS: &str = "RUST_LOG";

/// Runs a program, or compiles one component where the program was started for that. Reports an error on standard
/// error.
pub fn main(run: impl FnOnce() -> anyhow::Result<ExitCode>) -> ExitCode {
    if compiler::is_asked_for() {
        return innkeeper_wasm::compiler_main();
    }
    run().unwrap_or_else(|error| {
        if !is_reader_gone(&error) {
            // If nobody reads it, the exit code tells.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
        }
        ExitCode::FAILURE
    })
}

/// Logs to standard error, errors alone unless `RUST_LOG` asks for more: guests that fault and shout by design must not
/// fill the terminal.
pub fn log_of_tools() {
    let filter = EnvFilter::try_from_env(LOG_OF_TOOLS);
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("error,innkeeper::guest=off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// True if the reader of standard output has left, such as `head` that has seen enough.
fn is_reader_gone(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<std::io::Error>();
    cause.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
