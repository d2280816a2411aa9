//! Why a guest was not built.

use std::path::{Path, PathBuf};

/// A guest that was not built, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A compiler is not on this machine.
    #[error("`{tool}` is missing\nhint: {hint}")]
    ToolMissing {
        /// The program.
        tool: &'static str,
        /// How to get it.
        hint: &'static str,
    },
    /// A compiler ran and failed.
    #[error("`{tool}` failed:\n{output}")]
    ToolFailed {
        /// The program.
        tool: &'static str,
        /// What it printed.
        output: String,
    },
    /// The folder has no source this crate knows.
    #[error(
        "no guest source in {}: there is no `Cargo.toml`, `guest.js` or `guest.py`, and no `.c`, `.cpp` or `.zig` file",
        folder.display()
    )]
    UnknownLanguage {
        /// The folder.
        folder: PathBuf,
    },
    /// The Cargo package does not make exactly one module.
    #[error(
        "{} makes {} modules: {}\nhint: one package is one guest; give its `[lib]` the crate type `cdylib`",
        folder.display(), names.len(), names.join(", ")
    )]
    NotOneModule {
        /// The package's folder.
        folder: PathBuf,
        /// What it makes.
        names: Vec<String>,
    },
    /// A file or folder cannot be read or written.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is not a core module with component types in it.
    #[error("no component can be made of it: {0}")]
    Encode(String),
    /// The component is not a guest.
    #[error("not a guest: {0}")]
    NotAGuest(String),
}

impl BuildError {
    pub(crate) fn read(path: &Path, source: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }
}
