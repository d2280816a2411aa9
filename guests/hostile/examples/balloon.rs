//! Takes memory until it is refused, then traps.

use std::hint::black_box;

use innkeeper_guest_hostile::{Attack, Known, Striker};

#[derive(Default)]
struct Balloon;

impl Attack for Balloon {
    fn strike(&self, _: &Known) {
        loop {
            let mut block: Vec<u8> = Vec::new();
            if block.try_reserve_exact(1 << 20).is_err() {
                std::process::abort();
            }
            // The compiler would leave out memory that nobody sees.
            std::mem::forget(black_box(block));
        }
    }
}

innkeeper_guest::export!(Striker<Balloon>);
