//! This program as the compiler of components, started anew for each within limits; and the runtime of all commands.

use anyhow::Context as _;
use innkeeper_core::Owners;
use innkeeper_wasm::{Compilation, Helper};

/// The argument that starts a compiler process. Nobody writes it by hand.
const ARGUMENT: &str = "compile-component";

/// True if this process was started to compile a component.
pub(crate) fn is_asked_for() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    arguments.next().is_some_and(|first| first == ARGUMENT) && arguments.next().is_none()
}

/// Compilation of untrusted components in a process of its own: this program, started by [`crate::main`].
pub fn apart() -> Compilation {
    Compilation::Apart(Helper::this_program([ARGUMENT]))
}

/// A runtime whose threads have the stack that a guest of either size class may use, whatever the environment says.
///
/// # Errors
/// When the system starts no thread.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().thread_stack_size(Owners::STACK_BYTES).build().context("cannot start the runtime")
}
