//! Never returns from `init`.

use innkeeper_guest_hostile::{Crook, Guest, Known, spin};

#[derive(Default)]
struct InitSpins;

impl Crook for InitSpins {
    fn reach(&self, _: &Known, callback: &str) {
        if callback == "init" {
            spin();
        }
    }
}

innkeeper_guest::export!(Guest<InitSpins>);
