//! A connection from the listener to its end.

pub(crate) mod listener;
pub(crate) mod connection;
pub(crate) mod handshake;
pub(crate) mod early_data;
pub(crate) mod transfer;
pub(crate) mod shared;
pub(crate) mod totals;
