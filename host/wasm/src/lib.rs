//! Guests as WebAssembly components: [`innkeeper_core::Callbacks`] over wasmtime.
//!
//! A component becomes a guest in steps. Each step is a type that only the step before can make: [`Checked`] bytes,
//! [`Compiled`] code, and [`Linked`], which makes instances and opens caches.
//!
//! ```no_run
//! use innkeeper_core::{Limits, SizeClass};
//! use innkeeper_wasm::{Checked, Compilation, Engine, EngineConfig, Helper, Wasi};
//!
//! // Somebody else's component: another process compiles it.
//! let helper = Helper { program: "/usr/lib/innkeeper/innkeeper-compiler".into(), arguments: Vec::new() };
//! let engine = Engine::new(EngineConfig::new(SizeClass::Small, Compilation::Apart(helper)))?;
//! let limits = Limits::new(SizeClass::Small);
//! let bytes = std::fs::read("guest.wasm")?;
//! let guest = Checked::new(&bytes, &limits)?.compile(&engine)?.link(Wasi::None)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate confines a guest. Every call has fuel, a deadline, a stack, and memory limits. Imports other than ours,
//! and closed WASI if allowed, are refused by name. [`Compilation`] says which process compiles components. The crate
//! never learns what a session is, and takes precompiled code only from its own compiler.

mod engine;
mod settings;
mod compile;
mod apart;
mod precompiled;
mod load;
mod walk;
mod shape;
mod instance;
mod imports;
mod wasi;
mod floor;
mod error;

pub use crate::{
    apart::{Compilation, Helper, compiler_main},
    engine::{Autopsy, Engine, EngineConfig, thread_stack_bytes},
    error::LoadError,
    load::{Checked, Compiled, Linked},
    wasi::Wasi,
};

/// The bindings that wasmtime makes from the WIT package.
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "session-cache",
        imports: { default: trappable },
    });
}
