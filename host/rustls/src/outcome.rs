//! What became of a connection's wish to resume.

use std::sync::{Mutex, MutexGuard, PoisonError};

use innkeeper_core::Miss;

/// What became of a connection's resumption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// The handshake resumed a session.
    Resumed,
    /// The client offered no session that rustls would ask the store for.
    NotOffered,
    /// The client offered sessions, and the cache gave none: the first cause that is not [`Miss::Absent`], or else that.
    Missed(Miss),
    /// The cache gave a session, and rustls made a full handshake all the same: the session is of another cipher suite or
    /// hash, say, or the client has no key for it, or it was promised more early data than is allowed now.
    Refused,
    /// The client offered more sessions than one connection may ask its guest for, and had none of the first.
    TooManyAsks,
}

impl Resumption {
    /// The outcome's name in logs, metrics and tables; that of the cause where the cache gave none.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resumed => "resumed",
            Self::NotOffered => "not-offered",
            Self::Missed(cause) => cause.name(),
            Self::Refused => "refused",
            Self::TooManyAsks => "too-many-asks",
        }
    }
}

/// What a connection's store has seen of the handshake, for whoever asks afterwards.
#[derive(Debug, Default)]
pub(crate) struct Outcome(Mutex<Seen>);

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// The first cause that is not [`Miss::Absent`]; that one until there is another.
    cause: Option<Miss>,
    is_given: bool,
    is_spent: bool,
}

impl Outcome {
    pub(crate) fn given(&self) {
        self.lock().is_given = true;
    }

    pub(crate) fn missed(&self, cause: Miss) {
        let mut seen = self.lock();
        if matches!(seen.cause, None | Some(Miss::Absent)) {
            seen.cause = Some(cause);
        }
    }

    /// The connection wanted to ask once more than it may.
    pub(crate) fn spent(&self) {
        self.lock().is_spent = true;
    }

    pub(crate) fn resumption(&self, is_resumed: bool) -> Resumption {
        let Seen { cause, is_given, is_spent } = *self.lock();
        match cause {
            _ if is_resumed => Resumption::Resumed,
            _ if is_given => Resumption::Refused,
            _ if is_spent => Resumption::TooManyAsks,
            Some(cause) => Resumption::Missed(cause),
            None => Resumption::NotOffered,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // No code that panics runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
