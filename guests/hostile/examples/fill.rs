//! Fills and copies most of the memory it may have, over and over, by bulk instructions.

use std::hint::black_box;

use innkeeper_guest_hostile::{Attack, Known, Striker};

#[derive(Default)]
struct Fill;

const BYTES: usize = 12 << 20;

impl Attack for Fill {
    fn strike(&self, _: &Known) {
        let mut block: Vec<u8> = Vec::new();
        loop {
            block.resize(BYTES, 1);
            black_box(&mut block).copy_within(..BYTES / 2, BYTES / 2);
            block.clear();
        }
    }
}

innkeeper_guest::export!(Striker<Fill>);
