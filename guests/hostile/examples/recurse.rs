//! Calls itself until the stack ends. No frame is in linear memory, so it is the engine's stack that ends.

use std::hint::black_box;

use innkeeper_guest_hostile::{Attack, Known, Striker};

#[derive(Default)]
struct Recurse;

impl Attack for Recurse {
    fn strike(&self, _: &Known) {
        black_box(dive(0, black_box(u64::MAX)));
    }
}

// What follows the call keeps it from becoming a loop.
#[inline(never)]
fn dive(depth: u64, end: u64) -> u64 {
    if depth == end { depth } else { dive(depth + 1, end).rotate_left(7) ^ depth }
}

innkeeper_guest::export!(Striker<Recurse>);
