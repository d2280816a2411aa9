//! Other ways to run a tenant's cache logic, each in a separate process that reads its work from lines:
//! `innkeeper-peers extism SESSIONS PLUGIN`, `lua SESSIONS`, `rhai SESSIONS`, `redis SESSIONS SOCKET`.

mod extism;
mod lua;
mod redis;
mod rhai;

use std::{
    error::Error,
    io::{stdin, stdout},
};

use innkeeper_work::{Subject, serve};

/// A maximum above any number of sessions here, so that no eviction disturbs a measurement.
fn sessions_max(sessions: u32) -> u32 {
    sessions + 10_000
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (sessions, mut subject): (&str, Box<dyn Subject>) = match args[..] {
        ["extism", sessions, plugin] => (sessions, Box::new(extism::Plugged::open(plugin, sessions.parse()?)?)),
        ["lua", sessions] => (sessions, Box::new(lua::Script::open(sessions.parse()?)?)),
        ["rhai", sessions] => (sessions, Box::new(rhai::Script::open(sessions.parse()?)?)),
        ["redis", sessions, socket] => (sessions, Box::new(redis::Server::open(socket)?)),
        _ => return Err("extism SESSIONS PLUGIN, lua SESSIONS, rhai SESSIONS, or redis SESSIONS SOCKET".into()),
    };
    serve(&mut *subject, sessions.parse()?, stdin().lock(), stdout().lock())?;
    Ok(())
}
