//! Logs what would move a terminal's cursor, forge lines of others, or fill a screen. Apart from that it behaves.

use innkeeper_guest::host::{Level, log};
use innkeeper_guest_hostile::{Attack, Known, Striker};

#[derive(Default)]
struct LogControls;

/// Nearly as much as one call of the host can carry.
const LONG: &str = match std::str::from_utf8(&[b'\r'; (64 << 10) - 64]) {
    Ok(text) => text,
    Err(_) => "",
};

impl Attack for LogControls {
    fn strike(&self, _: &Known) {
        log(Level::Info, "a line\n1970-01-01T00:00:00Z ERROR innkeeper: another tenant's line\r\n");
        log(
            Level::Warn,
            "\x1b[2J\x1b[H\x1b]0;a title\x07\x1b[8mhidden\x00\x7f\u{9b}31m\u{202e}desrever\u{2028}\u{feff}",
        );
        log(Level::Error, LONG);
    }
}

innkeeper_guest::export!(Striker<LogControls>);
