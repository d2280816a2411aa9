//! Machine code from the compiler's process: the one place with unsafe code.
//!
//! wasmtime runs precompiled code unchecked. So this module takes only [`Made`], which only `apart` constructs: from
//! the output of a process that this one started, from the program that the embedder named, over a private pipe. Code
//! from a file, a tenant or the network cannot get here.

use wasmtime::component::Component;

use crate::{LoadError, apart::Made, error::line};

/// Loads machine code.
///
/// # Errors
/// If another version of wasmtime or other settings made it, or memory runs out.
#[expect(unsafe_code, reason = "wasmtime cannot check machine code; where it comes from is what makes it good")]
pub(crate) fn load(engine: &wasmtime::Engine, made: &Made) -> Result<Component, LoadError> {
    // SAFETY: `Component::deserialize` requires the unchanged output of `Component::serialize`. A `Made` holds exactly
    // that: `compiler_main` wrote it in a process that `apart` started, and it has only been in a pipe and in our
    // memory. wasmtime compares version and settings.
    let loaded = unsafe { Component::deserialize(engine, &made.code) };
    loaded.map_err(|error| LoadError::Compile(line(&error)))
}
