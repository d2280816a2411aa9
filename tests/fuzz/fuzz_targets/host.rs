//! Attacks a cache from both sides at once: a guest that asks the host anything in every callback and answers anything,
//! and users that update, delete, look up, take, select, fold, sweep, revoke and upgrade, on a clock that jumps.
//!
//! Oracle: a naive model of what the vault may hold. What a read gives is, byte for byte, the model's session of that
//! name, unexpired, or nothing; a session goes only where somebody counted it out; the vault stays within its bounds; an
//! honest guest loses nothing and is never blamed; a neighbour's session is always there.

#![no_main]

use innkeeper_fuzz::house::{Run, run};

libfuzzer_sys::fuzz_target!(|input: Run| run(&input));
