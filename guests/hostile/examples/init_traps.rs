//! Traps in `init`.

use innkeeper_guest_hostile::{Crook, Guest, Known};

#[derive(Default)]
struct InitTraps;

impl Crook for InitTraps {
    fn reach(&self, _: &Known, callback: &str) {
        if callback == "init" {
            std::process::abort();
        }
    }
}

innkeeper_guest::export!(Guest<InitTraps>);
