//! `innkeeper serve` in trouble: with its log, with who connects to its admin listener, with file descriptors, with its
//! service manager.

mod admin;
mod log;
mod process;
mod systemd;
