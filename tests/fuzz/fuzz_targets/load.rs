//! Attacks the way from bytes to a guest: any bytes, and components that are cut, spliced and changed. Those that load
//! nonetheless serve a few calls.
//!
//! Oracle: no panic, including the compiler's thread. A file is refused with a reason or loads within the compile
//! limit. A read under a loaded guest returns the right session or none.

#![no_main]

use innkeeper_fuzz::load::{Attempt, run};

libfuzzer_sys::fuzz_target!(|attempt: Attempt| run(&attempt));
