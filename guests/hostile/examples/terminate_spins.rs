//! Never returns from `terminate`.

use innkeeper_guest_hostile::{Crook, Guest, Known, spin};

#[derive(Default)]
struct TerminateSpins;

impl Crook for TerminateSpins {
    fn reach(&self, _: &Known, callback: &str) {
        if callback == "terminate" {
            spin();
        }
    }
}

innkeeper_guest::export!(Guest<TerminateSpins>);
