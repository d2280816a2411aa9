//! The store of one cache's live sessions, the names that they are filed under, and the judge of every claim.

pub(crate) mod fingerprint;
pub(crate) mod name;
pub(crate) mod order;
pub(crate) mod secret;
#[expect(clippy::module_inception, reason = "the room is named after its main part")]
pub(crate) mod vault;
