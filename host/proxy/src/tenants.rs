//! A tenant from its settings to its end: caches, configuration, upstream, and the directory that connections find it
//! in.

pub(crate) mod tenant;
pub(crate) mod caches;
pub(crate) mod configuration;
pub(crate) mod gates;
pub(crate) mod turns;
pub(crate) mod upstream;
pub(crate) mod stores;
pub(crate) mod directory;
pub(crate) mod change;
