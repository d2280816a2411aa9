//! Every environment variable that is read. A flag goes before its variable, and that before the configuration file.

/// `serve --config`.
pub(crate) const CONFIG: &str = "INNKEEPER_CONFIG";
/// `serve --admin`.
pub(crate) const ADMIN: &str = "INNKEEPER_ADMIN";
/// `serve --log`.
pub(crate) const LOG: &str = "INNKEEPER_LOG";
/// `serve --log-format`.
pub(crate) const LOG_FORMAT: &str = "INNKEEPER_LOG_FORMAT";
/// `serve --compile-cache`.
pub(crate) const COMPILE_CACHE: &str = "INNKEEPER_COMPILE_CACHE";
/// Which events the other commands show.
pub(crate) const LOG_OF_TOOLS: &str = "RUST_LOG";
