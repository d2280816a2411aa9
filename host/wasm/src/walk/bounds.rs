//! The refusal of components that do not parse, or exceed a bound.

use innkeeper_core::log_line;

use super::work::Work;
use crate::LoadError;

/// The parser's error for invalid bytes. A guest may have influenced the text.
pub(super) fn broken(error: wasmparser::Error) -> LoadError {
    LoadError::Compile(log_line(&error.to_string(), ERROR_MAX))
}

const ERROR_MAX: usize = 256;

/// Refuses an amount above its limit.
pub(super) fn within(
    cost: u64,
    limit: u64,
    what: impl FnOnce() -> String,
    hint: &'static str,
) -> Result<(), LoadError> {
    match cost <= limit {
        true => Ok(()),
        false => Err(LoadError::TooComplex { what: what(), cost, limit, hint }),
    }
}

/// Refuses code that takes a compiler more memory than one function may.
pub(super) fn affordable(work: &Work, limit: u64, of_what: impl FnOnce() -> String) -> Result<(), LoadError> {
    let what = || format!("MiB of memory for {}, {}", of_what(), work.mostly());
    within(work.total().div_ceil(MIB), limit / MIB, what, work.hint())
}

const MIB: u64 = 1 << 20;
