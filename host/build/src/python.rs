//! Python guests: componentize-py, which puts CPython and the guest's modules into one component. Its WASI is stubbed
//! out, so nothing is imported but our package.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    component::{Component, WIT, check_component},
    error::BuildError,
    source::run_tool,
};

const TOOL: &str = "componentize-py";

const HINT: &str = "python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1";

/// Finds componentize-py: in the folder's virtual environment `.venv` or that of a folder above it, else on the path.
///
/// # Errors
/// When it is missing, with the way to get it.
pub fn find_componentize_py(folder: Option<&Path>) -> Result<PathBuf, BuildError> {
    if let Some(folder) = folder {
        let folder = folder.canonicalize().map_err(|error| BuildError::read(folder, error))?;
        let mut tools = folder.ancestors().map(|above| above.join(".venv/bin").join(TOOL));
        if let Some(tool) = tools.find(|tool| tool.is_file()) {
            return Ok(tool);
        }
    }
    let runs = Command::new(TOOL).arg("--version").stdin(Stdio::null()).output();
    match runs {
        Ok(output) if output.status.success() => Ok(TOOL.into()),
        _ => Err(BuildError::ToolMissing { tool: TOOL, hint: HINT }),
    }
}

/// Makes a component of a folder's module `guest` and the kit beside it: `kit`, or `../kit`. Runs for half a minute.
///
/// # Errors
/// When componentize-py is missing or fails, or the result is not a guest.
pub fn build_python(folder: &Path) -> Result<Component, BuildError> {
    let tool = find_componentize_py(Some(folder))?;
    let scratch = tempfile::tempdir().map_err(|error| BuildError::read(&std::env::temp_dir(), error))?;
    let (modules, kit) = (scratch.path().join("modules"), scratch.path().join("modules/kit"));
    // Copied, since the interpreter writes what it has compiled beside its modules.
    copy_modules(folder, &modules)?;
    if !kit.is_dir() && folder.join("../kit").is_dir() {
        copy_modules(&folder.join("../kit"), &kit)?;
    }
    let (wit, component) = (scratch.path().join("session-cache.wit"), scratch.path().join("guest.wasm"));
    std::fs::write(&wit, WIT).map_err(|error| BuildError::read(&wit, error))?;

    let mut command = Command::new(tool);
    command.args(["--quiet", "--world", "session-cache", "--wit-path"]).arg(&wit);
    command.args(["componentize", "--stub-wasi", "--python-path"]).arg(&modules);
    if kit.is_dir() {
        command.arg("--python-path").arg(&kit);
    }
    command.arg("--output").arg(&component).arg("guest");
    // A guest is its own modules and the kit; and an author wants Python's traceback, not the tool's.
    run_tool(command.env_remove("VIRTUAL_ENV").env_remove("RUST_BACKTRACE"), TOOL, HINT)?;
    check_component(std::fs::read(&component).map_err(|error| BuildError::read(&component, error))?)
}

/// Copies a folder's `.py` files, in folders of the same names, and leaves out virtual environments.
fn copy_modules(source: &Path, target: &Path) -> Result<(), BuildError> {
    std::fs::create_dir_all(target).map_err(|error| BuildError::read(target, error))?;
    let entries = std::fs::read_dir(source).map_err(|error| BuildError::read(source, error))?;
    for entry in entries {
        let path = entry.map_err(|error| BuildError::read(source, error))?.path();
        let Some(name) = path.file_name() else { continue };
        let copy = target.join(name);
        if path.is_dir() && !path.is_symlink() && !path.join("pyvenv.cfg").exists() {
            copy_modules(&path, &copy)?;
        } else if path.is_file() && path.extension().is_some_and(|ending| ending == "py") {
            std::fs::copy(&path, &copy).map_err(|error| BuildError::read(&path, error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_copied_without_what_python_keeps_beside_them() {
        let source = tempfile::tempdir().unwrap();
        for path in ["guest.py", "kit/innkeeper/host.py", "wit/a.wit", ".venv/pyvenv.cfg", ".venv/lib/b.py"] {
            let path = source.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let target = tempfile::tempdir().unwrap();
        copy_modules(source.path(), target.path()).unwrap();
        let copied = |path: &str| target.path().join(path).exists();
        assert!(copied("guest.py") && copied("kit/innkeeper/host.py"));
        assert!(!copied("wit/a.wit") && !copied(".venv"));
    }

    #[test]
    fn the_tool_of_a_folder_above_is_found() {
        let above = tempfile::tempdir().unwrap();
        let (guest, bin) = (above.path().join("guests/mine"), above.path().join(".venv/bin"));
        std::fs::create_dir_all(&guest).unwrap();
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::write(bin.join(TOOL), "").unwrap();
        let found = find_componentize_py(Some(&guest)).unwrap();
        assert_eq!(found, above.path().canonicalize().unwrap().join(".venv/bin").join(TOOL));
    }
}
