//! The names of the eight callbacks.

/// The eight callbacks, as names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Callback {
    /// Opens a cache.
    Init,
    /// Registers a session.
    Update,
    /// Forgets a session.
    Delete,
    /// Finds a session.
    Lookup,
    /// Gives the sessions of a partial key.
    SelectSession,
    /// Counts the sessions.
    Size,
    /// Visits every session.
    Foldl,
    /// Closes a cache.
    Terminate,
}

impl Callback {
    /// All eight.
    pub const ALL: [Self; 8] = [
        Self::Init,
        Self::Update,
        Self::Delete,
        Self::Lookup,
        Self::SelectSession,
        Self::Size,
        Self::Foldl,
        Self::Terminate,
    ];

    /// The callback's name in the WIT package.
    pub fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Lookup => "lookup",
            Self::SelectSession => "select-session",
            Self::Size => "size",
            Self::Foldl => "foldl",
            Self::Terminate => "terminate",
        }
    }

    /// True if only the owner thread makes such calls.
    pub fn is_owners(self) -> bool {
        matches!(self, Self::Init | Self::Update | Self::Delete | Self::Terminate)
    }
}
