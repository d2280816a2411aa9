//! Source folders, and the tools that are run on them.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::error::BuildError;

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

/// A folder of its own for one build, gone when that ends.
pub(crate) fn scratch() -> Result<tempfile::TempDir, BuildError> {
    tempfile::tempdir().map_err(|error| BuildError::read(&std::env::temp_dir(), error))
}
