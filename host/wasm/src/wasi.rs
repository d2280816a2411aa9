//! WASI with nothing in it, for guests whose toolchain names it.

/// Whether a guest may import WASI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Wasi {
    /// No: the guest is sealed.
    #[default]
    None,
    /// Closed WASI 0.2: no files, no network, no environment, no arguments, no waiting. Standard output is dropped.
    Closed,
}

/// The WASI of one instance.
pub(crate) struct ClosedWasi {}

impl ClosedWasi {
    pub(crate) fn new() -> Self {
        Self {}
    }
}

pub(crate) fn has(_: &str) -> bool {
    false
}

pub(crate) fn add_to_linker(_: &mut wasmtime::component::Linker<crate::instance::State>) -> wasmtime::Result<()> {
    Ok(())
}
