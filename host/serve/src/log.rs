//! The log: events on standard error, for people or for programs.
//!
//! The server never depends on its log. It waits for no reader of the log, and goes on when the log cannot be written:
//! such lines are lost and counted.

mod queue;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, IsTerminal as _, Write},
    panic::PanicHookInfo,
    time::Duration,
};

use tracing_subscriber::EnvFilter;

use self::queue::{Queue, Sink};
use crate::config::{LogSettings, file::LogFormat};

/// The queue of the process, which has one subscriber of events and one standard error.
static QUEUE: Queue = Queue::new();

/// The time that the end of the process waits for lines to be written.
const FLUSH: Duration = Duration::from_secs(1);

/// The log does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The filter cannot be parsed.
    #[error("`log.filter` is invalid: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The system has no thread for it.
    #[error("cannot start the thread that writes the log: {0}")]
    Thread(io::Error),
}

/// The running log. Dropping it waits until every line is written, for at most a second.
#[derive(Debug)]
pub struct Log(());

impl Drop for Log {
    fn drop(&mut self) {
        QUEUE.flush(FLUSH);
    }
}

/// Starts to write events and panics, until the process ends. Later calls change nothing.
///
/// # Errors
/// When the filter is invalid, or no thread can be started.
pub fn start(settings: &LogSettings) -> Result<Log, LogError> {
    let handshakes = if settings.handshakes { "info" } else { "off" };
    let filter: EnvFilter = format!("innkeeper::handshake={handshakes},{}", settings.filter).parse()?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Line)
        .with_ansi(io::stderr().is_terminal())
        // Such errors would go to standard error directly, and panic if that is closed.
        .log_internal_errors(false);
    let is_set = match settings.format {
        LogFormat::Human => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // An embedding program may have set a subscriber already.
    if is_set.is_ok() {
        let tell = |lines| tracing::warn!(lines, "log lines were lost");
        let thread = std::thread::Builder::new().name("log".to_owned());
        thread.spawn(move || QUEUE.write(Sink::default(), tell)).map_err(LogError::Thread)?;
        std::panic::set_hook(Box::new(log_panic));
    }
    Ok(Log(()))
}

/// The lines lost since the start: those that found the queue full, and those whose write failed.
pub fn lines_lost() -> u64 {
    QUEUE.lost()
}

impl Log {
    /// A writer of plain text, in order with events. Each write is one or more lines, and never fails or waits.
    pub fn writer(&self) -> impl Write {
        Line
    }
}

/// A writer that puts each write into the queue.
struct Line;

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        QUEUE.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Logs a panic. The standard library's own hook writes to standard error under a lock, where one waiting thread stops
/// all others.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or_default();
    let what = panic.payload_as_str().unwrap_or("no message");
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => tracing::error!(at, thread, "panic: {what}\n{backtrace}"),
        _ => tracing::error!(at, thread, "panic: {what}"),
    }
}
