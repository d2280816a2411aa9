//! Progress on a terminal.

use std::io::{IsTerminal as _, Write as _};

/// One line on standard error that is overwritten. Silent where standard error is no terminal.
#[derive(Debug)]
pub struct Progress {
    is_terminal: bool,
}

impl Progress {
    /// Looks whether standard error is a terminal.
    #[expect(clippy::new_without_default, reason = "it looks at the process")]
    pub fn new() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal() }
    }

    /// Replaces the line.
    pub fn say(&self, text: &str) {
        if self.is_terminal {
            // A terminal that is gone needs no progress.
            let _ = write!(std::io::stderr(), "\r\x1b[2K{text}");
        }
    }

    /// Clears the line.
    pub fn clear(&self) {
        self.say("");
    }
}
