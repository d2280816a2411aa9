//! The errors of this crate's own calls, by whose fault they are.

use crate::{Callback, Fault};

/// Why a cache was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The guest failed before it served a call.
    #[error("the guest does not start")]
    Guest(#[source] Fault),
    /// A limit is out of its range.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The system gave no random bytes for the fingerprints.
    #[error("the system has no random bytes")]
    NoRandom,
    /// The system has no thread for the guest to be opened on.
    #[error("no thread to open the guest on: {0}")]
    NoThread(String),
}

/// A limit that is out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("limit `{name}` is {value}: it must be from {least} to {most}")]
pub struct LimitError {
    /// The limit's name in [`crate::Limits`] or [`crate::CacheConfig`].
    pub name: &'static str,
    /// What was asked for.
    pub value: u64,
    /// The least it may be.
    pub least: u64,
    /// The most it may be.
    pub most: u64,
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
    /// The cache was revoked after the session's handshake had begun.
    #[error("the cache was revoked after the session's handshake had begun")]
    Revoked,
    /// The session is older than it may become before it is even registered.
    #[error("the session is past its life")]
    Expired,
    /// The cache has ended.
    #[error("the cache has ended")]
    Ended,
}

/// Why an upgrade was not made. The guest before it goes on serving, and nothing is lost.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The new guest failed: at its start, in the replay, or as the canary asked it.
    #[error("the new guest failed in `{}`", callback.name())]
    Guest {
        /// What it was asked.
        callback: Callback,
        /// How it failed.
        source: Fault,
    },
    /// The canary found the new guest giving something else than the session asked for.
    #[error("the new guest gave a wrong answer in `{}`", callback.name())]
    FalseClaim {
        /// What it was asked.
        callback: Callback,
    },
    /// The canary found the new guest giving too few of the sessions it had been given.
    #[error("the new guest gave {found} of {asked} sessions: at least half are needed")]
    Forgets {
        /// How many it gave.
        found: usize,
        /// How many it was asked for.
        asked: usize,
    },
    /// The new guest would evict too much.
    #[error("the new guest would evict {evicted} of {sessions} sessions: at most half may go")]
    Evicts {
        /// How many it named.
        evicted: usize,
        /// How many there are.
        sessions: usize,
    },
    /// The upgrade took too long.
    #[error("the upgrade was not done in {limit_ms} ms")]
    TooSlow {
        /// The limit, on the cache's clock.
        limit_ms: u64,
    },
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
