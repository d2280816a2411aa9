//! Logs for ever.

use innkeeper_guest::host::{Level, log};
use innkeeper_guest_hostile::{Attack, Known, Striker};

#[derive(Default)]
struct LogFlood;

impl Attack for LogFlood {
    fn strike(&self, _: &Known) {
        loop {
            log(Level::Error, "the honest tenants' lines drown in this one");
        }
    }
}

innkeeper_guest::export!(Striker<LogFlood>);
