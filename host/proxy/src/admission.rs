//! The decision which connections stay: before their ClientHello, and as part of their tenant's share afterwards.

pub(crate) mod strangers;
pub(crate) mod shares;
pub(crate) mod wait_queue;
