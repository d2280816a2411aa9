//! From a guest's source folder, or a core module, to a checked component.
//!
//! Runs the compilers that guest authors use (`cargo`, `clang`) and makes the component itself, so that an author needs
//! no other tool. It reads the source folder and writes to a build folder; it never runs a guest, and knows no engine.

mod component;
mod rust;
mod c;
mod error;

use std::path::Path;

pub use crate::{
    c::{build_c, find_clang},
    component::{Component, check_component, component_from_module, component_from_plain_module},
    error::BuildError,
    rust::{Module, RustTarget, build_rust},
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
}

impl Language {
    /// The language's name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::C => "C",
        }
    }

    /// Tells a source folder's language by its files.
    ///
    /// # Errors
    /// When there is neither a `Cargo.toml` nor a C file.
    pub fn of_folder(folder: &Path) -> Result<Self, BuildError> {
        if folder.join("Cargo.toml").is_file() {
            return Ok(Self::Rust);
        }
        let c_files = c::c_files(folder)?;
        if c_files.is_empty() {
            return Err(BuildError::UnknownLanguage { folder: folder.to_owned() });
        }
        Ok(Self::C)
    }
}

/// Builds a source folder, or makes a component of a core module file. Runs for seconds to minutes.
///
/// # Errors
/// When a tool is missing or fails, or the result is not a guest.
pub fn build(source: &Path) -> Result<Component, BuildError> {
    if source.is_file() {
        let module = std::fs::read(source).map_err(|error| BuildError::read(source, error))?;
        return component_from_module(&module);
    }
    match Language::of_folder(source)? {
        Language::C => build_c(source),
        Language::Rust => {
            let modules = build_rust(&source.join("Cargo.toml"), RustTarget::Unknown, None, &[])?;
            match modules.as_slice() {
                [module] => component_from_module(&module.bytes),
                modules => Err(BuildError::NotOneModule {
                    folder: source.to_owned(),
                    names: modules.iter().map(|module| module.name.clone()).collect(),
                }),
            }
        }
    }
}
