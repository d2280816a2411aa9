//! Guests as WebAssembly components: [`innkeeper_core::Callbacks`] over wasmtime.
//!
//! A component becomes a guest in steps, each a type that only the step before can make: [`Checked`] bytes,
//! [`Compiled`] code, and [`Linked`], which makes instances and is what a cache is opened with.
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
//! What a guest can do to the host ends here: every call has fuel, a deadline, a stack, and memory limits; imports
//! other than ours, and WASI with nothing in it where allowed, are refused by name. Who compiles components is
//! [`Compilation`]'s. The crate never learns what a session is, and takes no precompiled code but what its own compiler has
//! just made.

mod engine;
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
