//! Behaves for an hour of the host's clock after `init`, so as to pass every check, and then never returns again.

use innkeeper_guest::{InitArgs, host::now_ms};
use innkeeper_guest_hostile::{Crook, Guest, Known, spin};

#[derive(Default)]
struct Later {
    opened_ms: u64,
}

impl Crook for Later {
    fn init(&mut self, _: &InitArgs) {
        self.opened_ms = now_ms();
    }

    fn reach(&self, _: &Known, _: &str) {
        if now_ms() - self.opened_ms >= 3_600_000 {
            spin();
        }
    }
}

innkeeper_guest::export!(Guest<Later>);
