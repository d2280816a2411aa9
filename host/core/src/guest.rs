//! One instance of a guest: the one way to call it, to meter the call, and to pay for it.

pub(crate) mod budget;
pub(crate) mod instance;
pub(crate) mod meter;
pub(crate) mod native_lru;
pub(crate) mod solo;
