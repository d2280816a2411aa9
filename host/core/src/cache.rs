//! One cache as every thread sees it: its phase, its instances, the ways to read it and to post to its owner.
//!
//! `cache.rs` in this room is the page on its locks, atomics and threads.

pub(crate) mod breaker;
#[expect(clippy::module_inception, reason = "the room is named after its main part")]
pub(crate) mod cache;
pub(crate) mod echoes;
pub(crate) mod inbox;
pub(crate) mod lane;
pub(crate) mod mailbox;
pub(crate) mod phase;
pub(crate) mod reader;
pub(crate) mod recent;
pub(crate) mod run_queue;
pub(crate) mod select;
pub(crate) mod shared_state;
pub(crate) mod shared_vault;
pub(crate) mod seat;
pub(crate) mod stats;
