//! Attacks the settings: any numbers in `Limits` and `CacheConfig`, against the host's own ranges and against another
//! one's maxima; then a cache under those that are taken.
//!
//! Oracle: no panic; a refusal names a limit, and its value is out of the range it names; what passes is within the
//! maxima; a cache opens exactly where the check has passed, and stays within its bounds.

#![no_main]

use innkeeper_fuzz::config::{Attempt, run};

libfuzzer_sys::fuzz_target!(|attempt: Attempt| run(&attempt));
