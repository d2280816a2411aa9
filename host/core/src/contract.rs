//! The contract between host and guest: the eight callbacks, the scalars that cross, the limits, and what can go wrong.

pub(crate) mod callback;
pub(crate) mod callbacks;
pub(crate) mod error;
pub(crate) mod fault;
pub(crate) mod limits;
pub(crate) mod scalar;
pub(crate) mod text;
