//! The server around the proxy: a configuration file, reload, metrics, an admin page, and a life cycle.
//!
//! [`config`] turns a file into [`Settings`](config::Settings), or reports every problem in it. [`Server::start`] runs
//! the settings. [`Server::run`] takes changes over until the process is told to end. The admin listener shows the
//! state.
//!
//! This crate reads files, and takes signals and sockets from the system. Its caller reads flags and the environment.
//! It holds no cache logic and names neither WebAssembly nor TLS.

pub mod config;
pub mod log;
pub mod metrics;
pub mod system;

mod server;
mod state;
mod running;
mod tenants;
mod install;
mod installer;
mod life;

mod admin;
mod error;
mod guests;
mod history;
mod room;
mod tenant_info;
mod watch;

pub use listenfd;

pub use crate::{
    error::ServeError,
    life::Life,
    running::try_out,
    server::Server,
    state::{Reloaded, ServerConfig},
    tenants::{Standing, Trouble},
};
