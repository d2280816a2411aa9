//! C guests: clang, lld and wasi-libc, with bindings made here. Nothing imported but our package.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use wit_bindgen_core::Files;

use crate::{
    BuildError, Component,
    component::{encode_error, world},
    component_from_module,
};

const CLANG_HINT: &str =
    "on Debian: apt-get install --no-install-recommends clang lld wasi-libc libclang-rt-dev-wasm32";

const FLAGS: [&str; 8] = [
    "--target=wasm32-wasi",
    "-mexec-model=reactor",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Wl,--strip-debug",
    "-Wl,--no-entry",
    "-Wl,-z,stack-size=65536",
];

/// Tells whether C guests can be built here: clang compiles for WebAssembly and finds its libraries.
///
/// # Errors
/// What is missing, and how to get it.
pub fn find_clang() -> Result<(), BuildError> {
    let probe = tempfile::tempdir().map_err(|error| BuildError::read(&std::env::temp_dir(), error))?;
    let source = probe.path().join("probe.c");
    let text = "#include <stdlib.h>\nvoid *probe(size_t n) { return malloc(n); }\n";
    std::fs::write(&source, text).map_err(|error| BuildError::read(&source, error))?;
    match run_clang(&[source.into()], &probe.path().join("probe.wasm")) {
        Err(BuildError::ToolFailed { .. }) => {
            Err(BuildError::ToolMissing { tool: "wasi-libc or wasm-ld", hint: CLANG_HINT })
        }
        other => other,
    }
}

/// Compiles the C files of a folder together with the bindings of our world.
///
/// # Errors
/// When clang is missing or fails, or the result is not a guest.
pub fn build_c(folder: &Path) -> Result<Component, BuildError> {
    let scratch = tempfile::tempdir().map_err(|error| BuildError::read(&std::env::temp_dir(), error))?;
    let (mut resolve, world) = world()?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files).map_err(encode_error)?;
    let mut args: Vec<OsString> = c_files(folder)?.into_iter().map(OsString::from).collect();
    for (name, contents) in files.iter() {
        let path = scratch.path().join(name);
        std::fs::write(&path, contents).map_err(|error| BuildError::read(&path, error))?;
        if !name.ends_with(".h") {
            args.push(path.into());
        }
    }
    args.push("-I".into());
    args.push(scratch.path().into());
    let module = scratch.path().join("guest.wasm");
    run_clang(&args, &module)?;
    let bytes = std::fs::read(&module).map_err(|error| BuildError::read(&module, error))?;
    component_from_module(&bytes)
}

/// The `.c` files directly in a folder, in the order of their names.
pub(crate) fn c_files(folder: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let entries = std::fs::read_dir(folder).map_err(|error| BuildError::read(folder, error))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|ending| ending == "c")).collect();
    files.sort();
    Ok(files)
}

fn run_clang(args: &[OsString], module: &Path) -> Result<(), BuildError> {
    let output = Command::new("clang").args(FLAGS).args(args).arg("-o").arg(module).output();
    let output = output.map_err(|_| BuildError::ToolMissing { tool: "clang", hint: CLANG_HINT })?;
    if !output.status.success() {
        let output = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(BuildError::ToolFailed { tool: "clang", output });
    }
    Ok(())
}
