//! What an operator runs around the proxy: a configuration file, reload, metrics, an admin page, a life cycle.
//!
//! [`config`] makes [`Settings`](config::Settings) of a file, or tells everything that is wrong with it. [`Server::start`]
//! runs them, and [`Server::run`] takes over what changes until the process is told to end. The admin listener shows what
//! goes on.
//!
//! This crate reads files, and the signals and sockets that the system hands over; flags and the environment are its
//! caller's. It holds no cache logic and names neither WebAssembly nor TLS.

pub mod config;
pub mod log;
pub mod metrics;
pub mod system;

mod server;
mod state;
mod running;
mod tenants;
mod seating;
mod life;

mod admin;
mod guests;
mod history;
mod room;
mod tenant_info;
mod watch;

pub use listenfd;

pub use crate::{
    life::Life,
    running::try_out,
    server::{ServeError, Server, ServerConfig},
    state::Reloaded,
    tenants::{Standing, Trouble},
};
