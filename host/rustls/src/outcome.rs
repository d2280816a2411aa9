//! The outcome of a connection's attempt to resume.

use std::sync::{Mutex, MutexGuard, PoisonError};

use innkeeper_core::Miss;

/// The outcome of a connection's attempt to resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// The handshake resumed a session.
    Resumed,
    /// The client offered no session that rustls asks the store for.
    NotOffered,
    /// The client offered sessions, and the cache had none of them. The cause is the first that is not
    /// [`Miss::Absent`], or else that one.
    Missed(Miss),
    /// The cache had a session, but rustls made a full handshake. For example, the session is of another cipher suite
    /// or hash, the client has no key for it, or it was promised more early data than is allowed now.
    Refused,
    /// The client offered more sessions than one connection may ask the guest for. The first ones all missed.
    TooManyAsks,
}

impl Resumption {
    /// The outcome's name in logs, metrics and tables. For a miss it is the name of the cause.
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

/// The observations of a connection's store, to be read after the handshake.
#[derive(Debug, Default)]
pub(crate) struct Outcome(Mutex<Seen>);

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// The first cause that is not [`Miss::Absent`], or else that one.
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

    /// Notes that the connection has no question left.
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
