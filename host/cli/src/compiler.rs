//! This program as the compiler of components: started again for each, within limits; and the runtime that all commands share.

use anyhow::Context as _;
use innkeeper_core::Owners;
use innkeeper_wasm::{Compilation, Helper};

/// What it is started with to compile one component. Nobody writes that by hand.
const ARGUMENT: &str = "compile-component";

/// Whether this process has been started to compile a component.
pub(crate) fn is_asked_for() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    arguments.next().is_some_and(|first| first == ARGUMENT) && arguments.next().is_none()
}

/// Components are somebody else's: a process of their own compiles them.
pub(crate) fn apart() -> Compilation {
    Compilation::Apart(Helper::this_program([ARGUMENT]))
}

/// A runtime whose threads have the stack that a guest of either size class may use, whatever the environment says.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().thread_stack_size(Owners::STACK_BYTES).build().context("cannot start the runtime")
}
