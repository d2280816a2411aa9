//! Attacks the way from bytes to a guest: any bytes, and components cut, spliced and changed; those that load all the same
//! then serve a few calls.
//!
//! Oracle: no panic, in the compiler's thread neither; a file is refused with a reason or loads within the compile limit;
//! a read under a guest that loads gives the right session or none.

#![no_main]

use innkeeper_fuzz::load::{Attempt, run};

libfuzzer_sys::fuzz_target!(|attempt: Attempt| run(&attempt));
