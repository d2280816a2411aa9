//! Traps every other time in the callback it strikes in.

use innkeeper_guest_hostile::{Striker, TrapEvery};

innkeeper_guest::export!(Striker<TrapEvery<2>>);
