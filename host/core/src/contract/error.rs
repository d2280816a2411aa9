//! The errors of this crate's own calls, by whose fault they are.

use crate::contract::{callback::Callback, fault::Fault};

/// The cause for which a cache was not opened.
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
    /// The value that was asked for.
    pub value: u64,
    /// The least it may be.
    pub least: u64,
    /// The most it may be.
    pub most: u64,
}

/// The cause for which the vault did not take a session. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The session is larger than a session may be.
    #[error("the session takes {bytes} bytes: the limit is {limit}")]
    TooLarge {
        /// Its size, key included.
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

/// The cause for which an upgrade was not made. The guest before it goes on serving, and nothing is lost.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The new guest failed: at its start, in the replay, or as the canary asked it.
    #[error("the new guest failed in `{}`", callback.name())]
    Guest {
        /// The callback that it was asked.
        callback: Callback,
        /// Its fault.
        source: Fault,
    },
    /// The canary found the new guest giving something else than the session asked for.
    #[error("the new guest gave a wrong answer in `{}`", callback.name())]
    FalseClaim {
        /// The callback that it was asked.
        callback: Callback,
    },
    /// The canary found the new guest giving too few of the sessions it had been given.
    #[error("the new guest gave {found} of {asked} sessions: at least half are needed")]
    Forgets {
        /// The sessions that it gave.
        found: usize,
        /// The sessions that it was asked for.
        asked: usize,
    },
    /// The new guest would evict too much.
    #[error("the new guest would evict {evicted} of {sessions} sessions: at most half may go")]
    Evicts {
        /// The sessions that it named.
        evicted: usize,
        /// The sessions in the vault.
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

/// The cause of a read that gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Miss {
    /// The vault holds nothing under the name; the guest was not asked.
    Absent,
    /// The session is past its life; the guest was not asked.
    Expired,
    /// No instance runs: it is being rebuilt, or the cache is suspended; the guest was not asked.
    Down,
    /// The instance was busy past the deadline.
    Busy,
    /// The guest chose not to give the session.
    Declined,
    /// The guest gave something else than the session.
    FalseClaim,
    /// The session was taken, deleted or replaced while the guest was asked.
    Gone,
    /// The guest faulted.
    Fault,
    /// The tenant's fuel budget did not have the call's grant; the guest was not asked.
    OverBudget,
    /// The tenant's guest has taken more time than its budget has; the guest was not asked.
    OverTime,
}

impl Miss {
    /// All causes, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Absent,
        Self::Expired,
        Self::Down,
        Self::Busy,
        Self::Declined,
        Self::FalseClaim,
        Self::Gone,
        Self::Fault,
        Self::OverBudget,
        Self::OverTime,
    ];

    /// The cause's name in logs, metrics and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Expired => "expired",
            Self::Down => "down",
            Self::Busy => "busy",
            Self::Declined => "declined",
            Self::FalseClaim => "false-claim",
            Self::Gone => "gone",
            Self::Fault => "fault",
            Self::OverBudget => "over-budget",
            Self::OverTime => "over-time",
        }
    }
}

/// The cause for which a fold gave no result. The cache is as it was.
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
