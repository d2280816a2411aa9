//! Machine code that comes from the compiler's process: the one place with unsafe code.
//!
//! wasmtime runs what it is given as precompiled code, whatever that is. So what is given to it here has one way to come into
//! being: [`Made`], which only `apart` makes, of the output of a process that this one has started itself, from the program that
//! whoever embeds this library has named, over a pipe that nobody else has. Code from a file, from a tenant or from
//! the network has no way here.

use wasmtime::component::Component;

use crate::{LoadError, apart::Made, error::line};

/// Loads machine code.
///
/// # Errors
/// When it was made by another version of wasmtime, or with other settings, or there is no memory for it.
#[expect(unsafe_code, reason = "wasmtime cannot check machine code; where it comes from is what makes it good")]
pub(crate) fn load(engine: &wasmtime::Engine, made: &Made) -> Result<Component, LoadError> {
    // SAFETY: `Component::deserialize` wants bytes that `Component::serialize` has given, unchanged. Those of a `Made` are what
    // `compiler_main` has written of one, in a process that `apart` has started, and they have been in a pipe and in our memory
    // only. Version and settings are compared by wasmtime.
    let loaded = unsafe { Component::deserialize(engine, &made.code) };
    loaded.map_err(|error| LoadError::Compile(line(&error)))
}
