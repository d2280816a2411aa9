//! Compilation: a few at a time, away from serving threads, and abandoned when it takes too long.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        mpsc::{RecvTimeoutError, sync_channel},
    },
    time::Duration,
};

use innkeeper_core::Limits;
use wasmtime::component::Component;

use crate::{
    LoadError,
    apart::{Compilation, NICENESS},
    error::line,
    precompiled,
    settings::Settings,
};

/// The number of compilations that run at a time, including abandoned ones.
const COMPILING_MAX: u32 = 2;

/// The factor between a compilation's own time limit and its wait for earlier ones.
const PLACE_PATIENCE: u32 = 20;

/// Compiles for one engine, and counts the running compilations.
#[derive(Debug)]
pub(crate) struct Compiler {
    compilation: Compilation,
    settings: Settings,
    running: Mutex<u32>,
    ended: Condvar,
}

/// A permit for one running compilation.
struct Place(Arc<Compiler>);

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.ended.notify_all();
    }
}

impl Compiler {
    pub(crate) fn new(compilation: Compilation, settings: Settings) -> Self {
        Self { compilation, settings, running: Mutex::default(), ended: Condvar::default() }
    }

    /// Compiles a component, and waits for it.
    pub(crate) fn compile(
        self: &Arc<Self>,
        engine: &wasmtime::Engine,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Component, LoadError> {
        let place = self.take_place(limits.compile.saturating_mul(PLACE_PATIENCE))?;
        match &self.compilation {
            Compilation::Apart(helper) => {
                let made = helper.compile(&self.settings, bytes, limits)?;
                // Others may compile while this is loaded.
                drop(place);
                precompiled::load(engine, &made)
            }
            Compilation::Trusted => compile_here(place, engine, bytes, limits.compile),
        }
    }

    fn take_place(self: &Arc<Self>, limit: Duration) -> Result<Place, LoadError> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.ended.wait_timeout_while(running, limit, |running| *running >= COMPILING_MAX);
        let (mut running, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(LoadError::CompilersBusy { limit });
        }
        *running += 1;
        Ok(Place(Arc::clone(self)))
    }
}

/// Compiles on a separate thread, and waits for it. The thread cannot be stopped: a compilation that takes too long
/// runs on and keeps its permit until it ends.
fn compile_here(
    place: Place,
    engine: &wasmtime::Engine,
    bytes: &[u8],
    limit: Duration,
) -> Result<Component, LoadError> {
    let (send, receive) = sync_channel(1);
    let (engine, bytes) = (engine.clone(), bytes.to_vec());
    let compile = move || {
        let _place = place;
        // Without permission to lower its priority, the thread compiles at the usual one.
        let _ = rustix::process::nice(NICENESS);
        // Sending fails only if nobody waits any more.
        let _ = send.send(Component::from_binary(&engine, &bytes));
    };
    let thread = std::thread::Builder::new().name("innkeeper-compile".into()).spawn(compile);
    thread.map_err(|error| LoadError::Engine(error.to_string()))?;
    match receive.recv_timeout(limit) {
        Ok(compiled) => compiled.map_err(|error| LoadError::Compile(line(&error))),
        Err(RecvTimeoutError::Timeout) => Err(LoadError::CompileTime { limit }),
        Err(RecvTimeoutError::Disconnected) => Err(LoadError::Compile("the compiler panicked".into())),
    }
}
