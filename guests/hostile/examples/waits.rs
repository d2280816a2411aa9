//! Reads the host's clock until an hour has passed.

use innkeeper_guest::host::now_ms;
use innkeeper_guest_hostile::{Attack, Known, Striker};

#[derive(Default)]
struct Waits;

impl Attack for Waits {
    fn strike(&self, _: &Known) {
        let since = now_ms();
        while now_ms() - since < 3_600_000 {}
    }
}

innkeeper_guest::export!(Striker<Waits>);
