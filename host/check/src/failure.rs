//! A rule that a guest broke.

use std::fmt::{Debug, Display};

use serde::Serialize;

/// A violation: what a case expected of a guest, and what it saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The expected answer.
    pub expected: String,
    /// The answer.
    pub seen: String,
    /// The calls that led there, in order; the fewest that show it, where the calls were random.
    pub calls: Vec<String>,
}

impl Failure {
    pub(crate) fn new(expected: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { expected: expected.into(), seen: seen.into(), calls: Vec::new() }
    }
}

/// Fails when the two differ.
pub(crate) fn same<T: PartialEq<U> + Debug, U: Debug>(what: &str, seen: T, expected: U) -> Result<(), Failure> {
    if seen == expected {
        return Ok(());
    }
    Err(Failure::new(format!("{what}: {expected:?}"), format!("{seen:?}")))
}

/// Fails when a rule is broken.
pub(crate) fn holds(what: &str, does_hold: bool) -> Result<(), Failure> {
    if does_hold { Ok(()) } else { Err(Failure::new(what, "not so")) }
}

/// A fault where an answer was expected.
pub(crate) fn unexpected(expected: &str, fault: &impl Display) -> Failure {
    Failure::new(expected, fault.to_string())
}
