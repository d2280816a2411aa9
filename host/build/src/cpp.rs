//! C++ guests: as those in C, with libc++ and without exceptions. Nothing imported but our package.

use std::path::{Path, PathBuf};

use crate::{
    c::{Compiler, Kit, compile_c, find_clang, include, is_over_kit, link, why, write_bindings},
    component::Component,
    error::BuildError,
    source::{files_with, scratch},
};

const CLANG_CPP: Compiler = Compiler {
    program: "clang++",
    flags: &["-std=c++17", "-fno-exceptions"],
    hint: "on Debian: apt-get install --no-install-recommends clang lld wasi-libc libclang-rt-dev-wasm32 \
           libc++-dev-wasm32",
};

const KIT: Kit = Kit {
    header: "innkeeper.hpp",
    files: &[
        ("innkeeper.hpp", include_str!("../../../guests/cpp/kit/innkeeper.hpp")),
        ("innkeeper.cpp", include_str!("../../../guests/cpp/kit/innkeeper.cpp")),
    ],
};

/// Checks that C++ guests can be built here: the tools of C guests, and libc++ for WebAssembly.
///
/// # Errors
/// When one of them is missing, with the way to get it.
pub fn find_clang_cpp() -> Result<(), BuildError> {
    find_clang().map_err(|error| match error {
        BuildError::ToolMissing { tool, .. } => BuildError::ToolMissing { tool, hint: CLANG_CPP.hint },
        error => error,
    })?;
    let text = "#include <map>\nstd::map<int, int> *probe() { return new std::map<int, int>(); }\n";
    CLANG_CPP.probe("probe.cpp", text, |_| "libc++-dev-wasm32")
}

/// Compiles the C++ files of a folder, and C files beside them, as [`crate::build_c`] does.
///
/// # Errors
/// When a tool is missing or clang fails, or the result is not a guest.
pub fn build_cpp(folder: &Path) -> Result<Component, BuildError> {
    compile(folder).map_err(|error| why(error, find_clang_cpp))
}

fn compile(folder: &Path) -> Result<Component, BuildError> {
    let scratch = scratch()?;
    let mut args = include(scratch.path());
    let mut sources = files_with(folder, "cpp")?;
    let headers = [files_with(folder, "hpp")?, files_with(folder, "h")?].concat();
    if is_over_kit(&[files_with(folder, "cpp")?, headers].concat())? {
        let kit = KIT.find(folder, scratch.path())?;
        sources.extend(files_with(&kit, "cpp")?);
        args.extend(include(&kit));
    }
    let is_c = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "c");
    let (bindings, types): (Vec<PathBuf>, Vec<PathBuf>) = write_bindings(scratch.path())?.into_iter().partition(is_c);
    for (number, source) in files_with(folder, "c")?.into_iter().chain(bindings).enumerate() {
        let object = scratch.path().join(format!("{number}.o"));
        compile_c(&source, &args, &object)?;
        sources.push(object);
    }
    args.extend(sources.into_iter().chain(types).map(Into::into));
    link(&CLANG_CPP, args, scratch.path())
}
