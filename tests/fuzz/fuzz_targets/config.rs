//! Attacks the settings: any numbers in `Limits` and `CacheConfig`, against the host's own ranges and against an
//! operator's maxima; then a cache under the accepted ones.
//!
//! Oracle: no panic. A refusal names a limit, and its value is out of the named range. Accepted settings are within the
//! maxima. A cache opens exactly if the check has passed, and stays within its bounds.

#![no_main]

use innkeeper_fuzz::config::{Attempt, run};

libfuzzer_sys::fuzz_target!(|attempt: Attempt| run(&attempt));
