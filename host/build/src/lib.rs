//! From a guest's source folder, or a core module, to a checked component; and what a component is made of.
//!
//! Runs the compilers that guest authors use (`cargo`, `clang`, `zig`, `componentize-qjs`, `componentize-py`) and makes the
//! component itself where they make modules, so that an author needs no other tool. It reads the source folder and writes to
//! a build folder; it never runs a guest, and knows no engine.

mod component;
mod rust;
mod c;
mod cpp;
mod js;
mod python;
mod zig;
mod inspect;
mod error;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

pub use crate::{
    c::{build_c, c_bindings, find_clang},
    component::{Component, check_component, component_from_module, component_from_plain_module},
    cpp::{build_cpp, find_clang_cpp},
    error::BuildError,
    inspect::*,
    js::{build_js, find_componentize_qjs},
    python::{build_python, find_componentize_py},
    rust::{Module, RustTarget, build_rust},
    zig::{build_zig, find_zig},
};

/// The WIT package that every guest is built against.
pub const WIT: &str = include_str!("../../../wit/session-cache.wit");

/// What a guest is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// A Cargo package.
    Rust,
    /// A folder of C files.
    C,
    /// A folder of C++ files.
    Cpp,
    /// A folder with a `guest.js`.
    JavaScript,
    /// A folder with a `guest.py`.
    Python,
    /// A folder with a Zig file.
    Zig,
}

impl Language {
    /// The language's name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::C => "C",
            Self::Cpp => "C++",
            Self::JavaScript => "JavaScript",
            Self::Python => "Python",
            Self::Zig => "Zig",
        }
    }

    /// Tells a source folder's language by its files.
    ///
    /// # Errors
    /// When there is no file that a guest starts with.
    pub fn of_folder(folder: &Path) -> Result<Self, BuildError> {
        let has = |name: &str| folder.join(name).is_file();
        if has("Cargo.toml") {
            return Ok(Self::Rust);
        }
        if has("guest.js") {
            return Ok(Self::JavaScript);
        }
        if has("guest.py") {
            return Ok(Self::Python);
        }
        if !files_with(folder, "cpp")?.is_empty() {
            return Ok(Self::Cpp);
        }
        if !files_with(folder, "c")?.is_empty() {
            return Ok(Self::C);
        }
        if !files_with(folder, "zig")?.is_empty() {
            return Ok(Self::Zig);
        }
        Err(BuildError::UnknownLanguage { folder: folder.to_owned() })
    }
}

/// The files with an ending directly in a folder, in the order of their names.
pub(crate) fn files_with(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, BuildError> {
    let entries = std::fs::read_dir(folder).map_err(|error| BuildError::read(folder, error))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|own| own == ending)).collect();
    files.sort();
    Ok(files)
}

/// Runs a tool that writes a file.
pub(crate) fn run_tool(command: &mut Command, tool: &'static str, hint: &'static str) -> Result<(), BuildError> {
    let output = command.stdin(Stdio::null()).output().map_err(|_| BuildError::ToolMissing { tool, hint })?;
    if !output.status.success() {
        let output = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(BuildError::ToolFailed { tool, output });
    }
    Ok(())
}

/// Builds a source folder, makes a component of a core module file, or checks a component file that another tool made. Runs
/// for up to some minutes.
///
/// # Errors
/// When a tool is missing or fails, or the result is not a guest.
pub fn build(source: &Path) -> Result<Component, BuildError> {
    if source.is_file() {
        let module = std::fs::read(source).map_err(|error| BuildError::read(source, error))?;
        return component_from_any(module);
    }
    match Language::of_folder(source)? {
        Language::C => build_c(source),
        Language::Cpp => build_cpp(source),
        Language::JavaScript => build_js(source),
        Language::Python => build_python(source),
        Language::Zig => build_zig(source),
        Language::Rust => {
            let mut modules = build_rust(&source.join("Cargo.toml"), RustTarget::Unknown, None, &[])?;
            match (modules.pop(), modules.is_empty()) {
                (Some(module), true) => component_from_any(module.bytes),
                (last, _) => Err(BuildError::NotOneModule {
                    folder: source.to_owned(),
                    names: modules.into_iter().chain(last).map(|module| module.name).collect(),
                }),
            }
        }
    }
}

/// What a component begins with, after which a core module differs.
const COMPONENT_MAGIC: &[u8] = b"\0asm\x0d\0\x01\0";

/// A linker may have made a component already.
fn component_from_any(bytes: Vec<u8>) -> Result<Component, BuildError> {
    if !bytes.starts_with(b"\0asm") {
        return Err(BuildError::Encode("it is no WebAssembly file, which begins with `\\0asm`".into()));
    }
    if bytes.starts_with(COMPONENT_MAGIC) { check_component(bytes) } else { component_from_module(&bytes) }
}
