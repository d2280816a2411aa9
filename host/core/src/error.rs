//! The errors of this crate's own calls, by whose fault they are.

use crate::Fault;

/// Why a cache was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The guest failed before it served a call.
    #[error("the guest does not start")]
    Guest(#[source] Fault),
    /// A limit is out of its range.
    #[error("limit `{name}` is {value}: it must be from {least} to {most}")]
    Limit {
        /// The limit's name in [`crate::Limits`] or [`crate::CacheConfig`].
        name: &'static str,
        /// What was asked for.
        value: u64,
        /// The least it may be.
        least: u64,
        /// The most it may be.
        most: u64,
    },
    /// The system gave no random bytes for the fingerprints.
    #[error("the system has no random bytes")]
    NoRandom,
    /// The owner threads have ended.
    #[error("the owner threads have ended")]
    Ended,
}

/// Why the vault did not take a session. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The session is larger than a session may be.
    #[error("the session takes {bytes} bytes: the limit is {limit}")]
    TooLarge {
        /// What it takes, key included.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Every slot number of the vault has been used up.
    #[error("the vault has no slot left")]
    NoSlot,
    /// The cache has ended.
    #[error("the cache has ended")]
    Ended,
}

/// Why a fold gave no result. The cache is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FoldError {
    /// The guest returned an accumulator other than the last one.
    #[error("the guest broke the chain of accumulators")]
    BrokenChain,
    /// The guest showed an element twice.
    #[error("the guest showed an element twice")]
    Repeated,
    /// The guest showed a live session under another key than its own.
    #[error("the guest showed a session under a wrong key")]
    WrongKey,
    /// The guest could not be asked, or faulted.
    #[error("the guest did not answer")]
    NoAnswer,
}
