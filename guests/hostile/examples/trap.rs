//! Traps in the callback it strikes in.

use innkeeper_guest_hostile::{Attack, Striker};

struct Trap;

impl Attack for Trap {
    fn strike() {
        std::process::abort();
    }
}

innkeeper_guest::export!(Striker<Trap>);
