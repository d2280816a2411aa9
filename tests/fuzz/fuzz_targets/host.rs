//! Attacks a cache from both sides at once. A guest asks the host anything in every callback and answers anything.
//! Users update, delete, look up, take, select, fold, sweep, revoke and upgrade, on a clock that jumps.
//!
//! Oracle: a naive model of the vault's sessions. A read returns, byte for byte, the model's unexpired session of that
//! name, or none. Every lost session is counted. The vault stays within its bounds. An honest guest loses no session
//! and is never blamed. A neighbour's session always stays.

#![no_main]

use innkeeper_fuzz::house::{Run, run};

libfuzzer_sys::fuzz_target!(|input: Run| run(&input));
