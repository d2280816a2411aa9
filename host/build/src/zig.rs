//! Zig guests: the Zig compiler, with the bindings for C and the libc that it brings. Nothing imported but our package.

use std::{
    ffi::OsString,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    c::{include, write_bindings},
    component::{Component, component_from_module},
    error::BuildError,
    source::{files_with, run_tool, scratch},
};

const TOOL: &str = "zig";

const HINT: &str = "python3 -m venv .venv && .venv/bin/pip install ziglang==0.17.1";

const FLAGS: [&str; 10] = [
    "build-exe",
    "-target",
    "wasm32-wasi",
    "-mexec-model=reactor",
    "-lc",
    "-OReleaseSmall",
    "-fstrip",
    "--stack",
    "65536",
    "--cache-dir",
];

/// Finds Zig: in the folder's virtual environment `.venv` or that of a folder above it, else on the path, else among
/// the packages of `python3`. Returns the program and its first arguments.
///
/// # Errors
/// When it is missing, with the way to get it.
pub fn find_zig(folder: Option<&Path>) -> Result<Vec<OsString>, BuildError> {
    let mut found: Vec<Vec<OsString>> = Vec::new();
    let packaged = |python: OsString| vec![python, "-m".into(), "ziglang".into()];
    if let Some(folder) = folder {
        let folder = folder.canonicalize().map_err(|error| BuildError::read(folder, error))?;
        let pythons = folder.ancestors().map(|above| above.join(".venv/bin/python"));
        found.extend(pythons.filter(|python| python.is_file()).map(|python| packaged(python.into())));
    }
    found.push(vec![TOOL.into()]);
    found.push(packaged("python3".into()));
    let runs = |zig: &Vec<OsString>| {
        let output = Command::new(&zig[0]).args(&zig[1..]).arg("version").stdin(Stdio::null()).output();
        output.is_ok_and(|output| output.status.success())
    };
    found.into_iter().find(runs).ok_or(BuildError::ToolMissing { tool: TOOL, hint: HINT })
}

/// Compiles the Zig file of a folder, the first by its name, together with the bindings of our world. The first run of
/// a Zig compiles its libc, and takes a minute.
///
/// # Errors
/// When Zig is missing or fails, or the result is not a guest.
pub fn build_zig(folder: &Path) -> Result<Component, BuildError> {
    let zig = find_zig(Some(folder))?;
    let root = files_with(folder, "zig")?.into_iter().next();
    let root =
        root.ok_or_else(|| BuildError::UnknownLanguage { folder: folder.to_owned(), marks: "a `.zig` file".into() })?;
    let scratch = scratch()?;
    let bindings = write_bindings(scratch.path())?;
    let module = scratch.path().join("guest.wasm");
    let mut emit = OsString::from("-femit-bin=");
    emit.push(&module);
    let mut command = Command::new(&zig[0]);
    command.args(&zig[1..]).args(FLAGS).arg(scratch.path()).args(include(scratch.path()));
    run_tool(command.arg(emit).arg(root).args(bindings), TOOL, HINT)?;
    component_from_module(&fs::read(&module).map_err(|error| BuildError::read(&module, error))?)
}
