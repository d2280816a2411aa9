//! Faults of a guest. `Cache::trouble` decides their consequences.

use std::time::Duration;

use crate::contract::callback::Callback;

/// A guest call that did not end as it should. The instance is of no more use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The guest executed a trap.
    #[error("the guest trapped: {reason}")]
    Trap {
        /// The trap.
        reason: String,
    },
    /// The call burned its whole fuel grant.
    #[error("out of fuel: the call may burn {grant}")]
    OutOfFuel {
        /// The grant.
        grant: u64,
    },
    /// The call ran past its deadline.
    #[error("past the deadline: the call may take {} ms", limit.as_millis())]
    Deadline {
        /// The time limit.
        limit: Duration,
    },
    /// The guest failed after it was refused memory.
    #[error("out of memory: asked for {asked_bytes} bytes, the limit is {limit_bytes}")]
    Memory {
        /// The size the guest wanted to grow to.
        asked_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The guest failed after it was refused table elements.
    #[error("out of table elements: asked for {asked}, the limit is {limit}")]
    Table {
        /// The elements that the guest wanted to have.
        asked: usize,
        /// The limit.
        limit: usize,
    },
    /// The guest used up its stack.
    #[error("stack overflow in the guest: its stack has {limit_bytes} bytes")]
    Stack {
        /// The limit.
        limit_bytes: usize,
    },
    /// The guest broke a rule of the host interface.
    #[error(transparent)]
    Misuse(#[from] Misuse),
    /// The guest's `init` returned an error.
    #[error("`init` refused the cache: {message}")]
    Init {
        /// The guest's message, cut to a log line.
        message: String,
    },
    /// The host could not make an instance.
    #[error("no instance could be made: {reason}")]
    Instantiate {
        /// The cause.
        reason: String,
    },
    /// The thread that wanted to call the guest has too little stack left for it. The guest was not asked, and its
    /// instance is as it was.
    #[error(
        "the calling thread has {left_bytes} bytes of stack left, and a guest of this size class needs {needed_bytes}: \
         start it with a larger stack"
    )]
    ThreadStack {
        /// The stack that it has left.
        left_bytes: usize,
        /// The stack that it needs.
        needed_bytes: usize,
    },
    /// The host itself panicked on behalf of this guest: a bug of ours.
    #[error("the host panicked while it served this guest")]
    Panic,
}

/// A rule of the host interface that a guest broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// `evict` was called where it may not be.
    #[error("`evict` was called in `{}`: only `update` and `delete` may", callback.name())]
    EvictOutsideOwner {
        /// The callback that ran.
        callback: Callback,
    },
    /// `evict` was called too often.
    #[error("`evict` was called more than {limit} times in one call")]
    TooManyEvictions {
        /// The limit.
        limit: usize,
    },
    /// `apply` was called where it may not be.
    #[error("`apply` was called in `{}`: only `foldl` may", callback.name())]
    ApplyOutsideFold {
        /// The callback that ran.
        callback: Callback,
    },
    /// `apply` was called with a function that is not the running fold's.
    #[error("`apply` was called with a `fun` that is not this fold's")]
    UnknownFun,
    /// `apply` was called with an accumulator that is not the last one.
    #[error("`apply` was called with an `acc` that is not the one it gave last")]
    BrokenAcc,
    /// `apply` was called too often.
    #[error("`apply` was called more than {limit} times in one fold")]
    TooManyElements {
        /// The limit.
        limit: usize,
    },
    /// A host call or a result carried too much.
    #[error("one host call or result carried more than {limit} bytes")]
    TooManyBytes {
        /// The limit.
        limit: usize,
    },
}

/// A fault's kind, for counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum FaultKind {
    /// The guest executed a trap.
    Trap,
    /// The call burned its grant.
    OutOfFuel,
    /// The call ran past its deadline.
    Deadline,
    /// The guest failed after it was refused memory.
    Memory,
    /// The guest failed after it was refused table elements.
    Table,
    /// The guest used up its stack.
    Stack,
    /// The guest broke a rule of the host interface.
    Misuse,
    /// `init` returned an error.
    Init,
    /// No instance could be made.
    Instantiate,
    /// The host panicked.
    Panic,
    /// The calling thread has too little stack.
    ThreadStack,
}

impl FaultKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Trap,
        Self::OutOfFuel,
        Self::Deadline,
        Self::Memory,
        Self::Table,
        Self::Stack,
        Self::Misuse,
        Self::Init,
        Self::Instantiate,
        Self::Panic,
        Self::ThreadStack,
    ];

    /// The kind's name in logs, metrics and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::OutOfFuel => "out-of-fuel",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Table => "table",
            Self::Stack => "stack",
            Self::Misuse => "misuse",
            Self::Init => "init",
            Self::Instantiate => "instantiate",
            Self::Panic => "panic",
            Self::ThreadStack => "thread-stack",
        }
    }
}

impl Fault {
    /// The fault's kind.
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::Trap { .. } => FaultKind::Trap,
            Self::OutOfFuel { .. } => FaultKind::OutOfFuel,
            Self::Deadline { .. } => FaultKind::Deadline,
            Self::Memory { .. } => FaultKind::Memory,
            Self::Table { .. } => FaultKind::Table,
            Self::Stack { .. } => FaultKind::Stack,
            Self::Misuse(_) => FaultKind::Misuse,
            Self::Init { .. } => FaultKind::Init,
            Self::Instantiate { .. } => FaultKind::Instantiate,
            Self::Panic => FaultKind::Panic,
            Self::ThreadStack { .. } => FaultKind::ThreadStack,
        }
    }
}
