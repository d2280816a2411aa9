//! Every environment variable of `serve`. A flag overrides its variable, which overrides the configuration file.

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
