//! Never returns from the callback it strikes in.

use innkeeper_guest_hostile::{Attack, Known, Striker, spin};

#[derive(Default)]
struct Spin;

impl Attack for Spin {
    fn strike(&self, _: &Known) {
        spin();
    }
}

innkeeper_guest::export!(Striker<Spin>);
