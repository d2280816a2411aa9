//! What is logged, and how it is written: to standard error, for people or for programs.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{LogSettings, file::LogFormat};

/// Writes events as the settings say, from now until the process ends. To be called once; later calls change nothing.
///
/// # Errors
/// When the filter is none.
pub fn start(settings: &LogSettings) -> Result<(), tracing_subscriber::filter::ParseError> {
    let handshakes = if settings.handshakes { "info" } else { "off" };
    let filter: EnvFilter = format!("innkeeper::handshake={handshakes},{}", settings.filter).parse()?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // Set already is set by whoever embeds this.
    let _ = match settings.format {
        LogFormat::Human => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}
