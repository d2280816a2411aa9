//! Compilation: a few at a time, apart from what serves, and given up when it takes too long.

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
    engine::Settings,
    error::line,
    precompiled,
};

/// How many compilations run at a time, those included that nobody waits for any more.
const COMPILING_MAX: u32 = 2;

/// How many times as long as it may take a compilation waits for those before it.
const PLACE_PATIENCE: u32 = 20;

/// Compiles for one engine, and counts the compilations that run.
#[derive(Debug)]
pub(crate) struct Compiler {
    compilation: Compilation,
    settings: Settings,
    running: Mutex<u32>,
    ended: Condvar,
}

/// A place among the compilations that run.
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

    /// Compiles, and waits for it.
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

/// Compiles on a thread of its own, and waits for it. Such a compilation cannot be stopped: one that takes too long goes on
/// by itself, and keeps its place until it ends.
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
        // A system that does not let a thread give way compiles all the same.
        let _ = rustix::process::nice(NICENESS);
        // Nobody waits for it any more if this fails.
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
