//! Never returns from the callback it strikes in.

use std::hint::black_box;

use innkeeper_guest_hostile::{Attack, Striker};

struct Spin;

impl Attack for Spin {
    fn strike() {
        while black_box(true) {}
    }
}

innkeeper_guest::export!(Striker<Spin>);
