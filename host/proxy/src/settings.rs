//! The values that describe a proxy and its tenants: plain data that a caller fills in.

pub(crate) mod bounds;
pub(crate) mod listener;
pub(crate) mod pem;
pub(crate) mod tenant;
pub(crate) mod tls;
pub(crate) mod upstream;
