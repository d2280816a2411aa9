//! From a guest's source folder, or a core module, to a checked component; and the parts of a component.
//!
//! Runs the compilers that guest authors use (`cargo`, `clang`, `zig`, `componentize-qjs`, `componentize-py`) and makes
//! the component itself where they make modules, so that an author needs no other tool. It reads the source folder and
//! writes to a build folder. It never runs a guest, and knows no engine. [`LANGUAGES`] is the one list of the
//! languages.

mod language;
mod component;
mod rust;
mod c;
mod cpp;
mod js;
mod python;
mod zig;
mod inspect;
mod source;
mod error;

use std::path::Path;

pub use crate::{
    c::{build_c, c_bindings, find_clang},
    component::{Component, WIT, check_component, component_from_module, component_from_plain_module},
    cpp::{build_cpp, find_clang_cpp},
    error::BuildError,
    inspect::*,
    js::{build_js, find_componentize_qjs},
    language::{LANGUAGES, Language, LanguageRow, Mark, Starter},
    python::{build_python, find_componentize_py},
    rust::{Module, RustTarget, build_rust},
    zig::{build_zig, find_zig},
};

/// Builds a source folder, makes a component of a core module file, or checks a component file that another tool made.
/// Runs for up to some minutes.
///
/// # Errors
/// When a tool is missing or fails, or the result is not a guest.
pub fn build(source: &Path) -> Result<Component, BuildError> {
    if source.is_file() {
        let module = std::fs::read(source).map_err(|error| BuildError::read(source, error))?;
        return component::component_from_any(module);
    }
    Language::of_folder(source)?.row().build(source)
}
