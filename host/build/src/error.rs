//! The errors of a build.

use std::path::{Path, PathBuf};

/// The reason why a guest was not built, and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A compiler is not on this machine.
    #[error("`{tool}` is missing\nhint: {hint}")]
    ToolMissing {
        /// The program.
        tool: &'static str,
        /// The way to get it.
        hint: &'static str,
    },
    /// A compiler ran and failed.
    #[error("`{tool}` failed:\n{output}")]
    ToolFailed {
        /// The program.
        tool: &'static str,
        /// Its output.
        output: String,
    },
    /// The folder has no source in a known language.
    #[error("no guest source in {}\nhint: a source folder has one of {marks}", folder.display())]
    UnknownLanguage {
        /// The folder.
        folder: PathBuf,
        /// The files that it should have one of.
        marks: String,
    },
    /// The Cargo package does not make exactly one module.
    #[error(
        "{} makes {} modules: {}\nhint: one package is one guest; give its `[lib]` the crate type `cdylib`",
        folder.display(), names.len(), names.join(", ")
    )]
    NotOneModule {
        /// The package's folder.
        folder: PathBuf,
        /// The modules.
        names: Vec<String>,
    },
    /// A file or folder cannot be read or written.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is not a core module with component types in it.
    #[error("cannot make a component of it: {0}")]
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
