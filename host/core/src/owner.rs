//! The owner's side of a cache, which only its owner thread sees: turns, restarts, upgrades, and the handle to it.
//!
//! `turn` chooses a unit of work; `messages`, `instances` and `exchange` do it, on the data in `side`. `replay` and
//! `upgrade` know an instance that is being built, and not yet the cache's other work.

pub(crate) mod exchange;
pub(crate) mod handover;
pub(crate) mod instances;
pub(crate) mod messages;
pub(crate) mod open;
#[expect(clippy::module_inception, reason = "the room is named after its main part")]
pub(crate) mod owner;
pub(crate) mod replay;
pub(crate) mod side;
pub(crate) mod threads;
pub(crate) mod turn;
pub(crate) mod upgrade;
