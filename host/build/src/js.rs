//! JavaScript guests: componentize-qjs puts the QuickJS engine around them. Nothing imported but our package.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    component::{Component, WIT, check_component},
    error::BuildError,
    source::run_tool,
};

const TOOL: &str = "componentize-qjs";

const HINT: &str = "with node 20 or newer, in the guest's folder: npm install --save-dev componentize-qjs@0.4.5";

/// The file that a guest starts with; it imports its others.
const ENTRY: &str = "guest.js";

/// Finds the tool that makes components of JavaScript: in `node_modules` of a folder or of the ones above it, or else
/// on the path.
///
/// # Errors
/// When it is missing, or fails to start.
pub fn find_componentize_qjs(folder: Option<&Path>) -> Result<PathBuf, BuildError> {
    let folder = folder.map(absolute).transpose()?;
    let mut installed = folder.iter().flat_map(|folder| folder.ancestors()).map(in_node_modules);
    let tool = installed.find(|path| path.is_file()).unwrap_or_else(|| TOOL.into());
    match Command::new(&tool).arg("--help").stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(tool),
        _ => Err(BuildError::ToolMissing { tool: TOOL, hint: HINT }),
    }
}

/// Makes a component of the `guest.js` of a folder, and of its imports from there or from a `kit` beside it.
///
/// # Errors
/// When the tool is missing or fails, or the result is not a guest.
pub fn build_js(folder: &Path) -> Result<Component, BuildError> {
    let folder = absolute(folder)?;
    let tool = find_componentize_qjs(Some(&folder))?;
    let scratch = tempfile::tempdir().map_err(|error| BuildError::read(&std::env::temp_dir(), error))?;
    let wit = scratch.path().join("session-cache.wit");
    fs::write(&wit, WIT).map_err(|error| BuildError::read(&wit, error))?;
    let component = scratch.path().join("guest.wasm");
    let beside = folder.parent().filter(|parent| !folder.join("kit").is_dir() && parent.join("kit").is_dir());
    let mut command = Command::new(tool);
    command
        .args(["--sync", "--stub-wasi", "--world", "session-cache", "--wit"])
        .arg(&wit)
        .arg("--js")
        .arg(folder.join(ENTRY))
        .arg("--module-root") // Nothing outside this folder can be imported.
        .arg(beside.unwrap_or(&folder))
        .arg("--output")
        .arg(&component);
    run_tool(&mut command, TOOL, HINT)?;
    check_component(fs::read(&component).map_err(|error| BuildError::read(&component, error))?)
}

fn in_node_modules(folder: &Path) -> PathBuf {
    let tool = folder.join("node_modules/.bin").join(TOOL);
    if cfg!(windows) { tool.with_extension("cmd") } else { tool }
}

fn absolute(folder: &Path) -> Result<PathBuf, BuildError> {
    folder.canonicalize().map_err(|error| BuildError::read(folder, error))
}
