//! C guests: clang, lld and wasi-libc, with bindings made here. Nothing imported but our package.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use wit_bindgen_core::Files;

use crate::{
    component::{Component, component_from_module, encode_error, world},
    error::BuildError,
    source::{files_with, scratch},
};

const CLANG_HINT: &str =
    "on Debian: apt-get install --no-install-recommends clang lld wasi-libc libclang-rt-dev-wasm32";

const CLANG: Compiler = Compiler { program: "clang", flags: &[], hint: CLANG_HINT };

const KIT: Kit = Kit {
    header: "innkeeper.h",
    files: &[
        ("innkeeper.h", include_str!("../../../guests/c/kit/innkeeper.h")),
        ("innkeeper.c", include_str!("../../../guests/c/kit/innkeeper.c")),
        ("innkeeper_index.h", include_str!("../../../guests/c/kit/innkeeper_index.h")),
        ("innkeeper_index.c", include_str!("../../../guests/c/kit/innkeeper_index.c")),
    ],
};

const FLAGS: [&str; 5] = ["--target=wasm32-wasi", "-mexec-model=reactor", "-O2", "-Wall", "-Wextra"];

/// Flags of the linker: the names of functions stay, for backtraces.
const LINK_FLAGS: [&str; 3] = ["-Wl,--strip-debug", "-Wl,--no-entry", "-Wl,-z,stack-size=65536"];

/// A compiler.
pub(crate) struct Compiler {
    pub(crate) program: &'static str,
    /// Its flags besides [`FLAGS`].
    pub(crate) flags: &'static [&'static str],
    /// The way to get it and its libraries.
    pub(crate) hint: &'static str,
}

/// The sources between a guest and the bindings, as the repository has them.
pub(crate) struct Kit {
    /// The header by which the kit's folder is known.
    pub(crate) header: &'static str,
    /// Names and texts.
    pub(crate) files: &'static [(&'static str, &'static str)],
}

/// Checks that C guests can be built here: clang compiles for WebAssembly and finds its libraries.
///
/// # Errors
/// When one of them is missing, with the way to get it.
pub fn find_clang() -> Result<(), BuildError> {
    CLANG.probe("probe.c", "#include <stdlib.h>\nvoid *probe(size_t n) { return malloc(n); }\n", missing)
}

/// Compiles the C files of a folder together with the bindings of our world, and with the kit where they include it:
/// the folder's own `kit`, or else `../kit`, or else the one that this crate was built with.
///
/// # Errors
/// When a tool is missing or clang fails, or the result is not a guest.
pub fn build_c(folder: &Path) -> Result<Component, BuildError> {
    let scratch = scratch()?;
    let mut sources = files_with(folder, "c")?;
    let bindings = write_bindings(scratch.path())?;
    let mut args = include(scratch.path());
    if is_over_kit(&[files_with(folder, "c")?, files_with(folder, "h")?].concat())? {
        let kit = KIT.find(folder, scratch.path())?;
        sources.extend(files_with(&kit, "c")?);
        args.extend(include(&kit));
    }
    args.extend(sources.into_iter().chain(bindings).map(OsString::from));
    link(&CLANG, args, scratch.path()).map_err(|error| why(error, find_clang))
}

/// The bindings of our world for C, and the object from which wasm-ld takes the component's types: names and contents.
///
/// # Errors
/// When the WIT package is invalid, which would be a bug of this crate.
pub fn c_bindings() -> Result<Vec<(String, Vec<u8>)>, BuildError> {
    let (mut resolve, world) = world()?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files).map_err(encode_error)?;
    Ok(files.iter().map(|(name, contents)| (name.to_owned(), contents.to_vec())).collect())
}

/// Writes the bindings to a folder, and returns those to compile or link.
pub(crate) fn write_bindings(folder: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let mut paths = Vec::new();
    for (name, contents) in c_bindings()? {
        let path = folder.join(name);
        fs::write(&path, contents).map_err(|error| BuildError::read(&path, error))?;
        paths.push(path);
    }
    paths.retain(|path| path.extension() != Some(OsStr::new("h")));
    Ok(paths)
}

/// Compiles a C file with the C compiler, since a C++ compiler would take it for C++.
pub(crate) fn compile_c(source: &Path, include: &[OsString], object: &Path) -> Result<(), BuildError> {
    let args = [&["-c".into(), source.into()], include].concat();
    CLANG.run(&args, object)
}

/// Compiles and links sources and objects, and makes a component of the module.
pub(crate) fn link(compiler: &Compiler, args: Vec<OsString>, scratch: &Path) -> Result<Component, BuildError> {
    let module = scratch.join("guest.wasm");
    compiler.run(&[LINK_FLAGS.map(OsString::from).to_vec(), args].concat(), &module)?;
    component_from_module(&fs::read(&module).map_err(|error| BuildError::read(&module, error))?)
}

/// The better error: the missing tool, where a compiler failed without it.
pub(crate) fn why(error: BuildError, find: fn() -> Result<(), BuildError>) -> BuildError {
    match error {
        BuildError::ToolFailed { .. } | BuildError::ToolMissing { .. } => find().err().unwrap_or(error),
        error => error,
    }
}

pub(crate) fn include(folder: &Path) -> Vec<OsString> {
    vec!["-I".into(), folder.into()]
}

/// True if a guest is written over the kit: a file of it includes one of the kit's.
pub(crate) fn is_over_kit(files: &[PathBuf]) -> Result<bool, BuildError> {
    for file in files {
        let text = fs::read(file).map_err(|error| BuildError::read(file, error))?;
        let text = String::from_utf8_lossy(&text);
        if text.lines().any(|line| line.trim_start().starts_with("#include") && line.contains("innkeeper")) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Compiler {
    /// Compiles and links a source that uses the libraries, and names the missing one.
    pub(crate) fn probe(&self, name: &str, text: &str, missing: fn(&str) -> &'static str) -> Result<(), BuildError> {
        let scratch = scratch()?;
        let source = scratch.path().join(name);
        fs::write(&source, text).map_err(|error| BuildError::read(&source, error))?;
        let args = [LINK_FLAGS.map(OsString::from).to_vec(), vec![source.into()]].concat();
        self.run(&args, &scratch.path().join("probe.wasm")).map_err(|error| match error {
            BuildError::ToolFailed { output, .. } => {
                BuildError::ToolMissing { tool: missing(&output), hint: self.hint }
            }
            error => error,
        })
    }

    fn run(&self, args: &[OsString], output: &Path) -> Result<(), BuildError> {
        let mut command = Command::new(self.program);
        command.args(FLAGS).args(self.flags).args(args).arg("-o").arg(output).stdin(Stdio::null());
        let ran = command.output().map_err(|_| BuildError::ToolMissing { tool: self.program, hint: self.hint })?;
        if !ran.status.success() {
            let output = String::from_utf8_lossy(&ran.stderr).into_owned();
            return Err(BuildError::ToolFailed { tool: self.program, output });
        }
        Ok(())
    }
}

impl Kit {
    /// The folder of the kit that a guest is built with.
    pub(crate) fn find(&self, folder: &Path, scratch: &Path) -> Result<PathBuf, BuildError> {
        let mut theirs = [folder.join("kit"), folder.join("../kit")].into_iter();
        if let Some(kit) = theirs.find(|kit| kit.join(self.header).is_file()) {
            return Ok(kit);
        }
        let kit = scratch.join("kit");
        fs::create_dir(&kit).map_err(|error| BuildError::read(&kit, error))?;
        for (name, text) in self.files {
            let path = kit.join(name);
            fs::write(&path, text).map_err(|error| BuildError::read(&path, error))?;
        }
        Ok(kit)
    }
}

/// The missing package, by clang's message where it cannot link.
fn missing(output: &str) -> &'static str {
    if output.contains("libclang_rt") {
        return "libclang-rt-dev-wasm32";
    }
    if output.contains("wasm-ld") && !output.contains("wasm-ld: error") { "lld" } else { "wasi-libc" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_over_the_kit_that_it_includes() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text, is_over) in [
            ("index.c", "#include <stdlib.h>\n#include \"innkeeper_index.h\"\n", true),
            ("kit.c", "  #include \"kit/innkeeper.h\"\n", true),
            ("bare.c", "// innkeeper\n#include \"session_cache.h\"\n", false),
        ] {
            let file = folder.path().join(name);
            fs::write(&file, text).unwrap();
            assert_eq!(is_over_kit(&[file]).unwrap(), is_over, "{name}");
        }
    }

    #[test]
    fn the_nearest_kit_is_taken() {
        let (above, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let guest = above.path().join("guest");
        fs::create_dir(&guest).unwrap();
        let embedded = KIT.find(&guest, scratch.path()).unwrap();
        assert_eq!(embedded, scratch.path().join("kit"));
        assert_eq!(files_with(&embedded, "c").unwrap().len(), 2);
        for kit in [guest.join("../kit"), guest.join("kit")] {
            fs::create_dir(&kit).unwrap();
            fs::write(kit.join(KIT.header), "").unwrap();
            assert_eq!(KIT.find(&guest, scratch.path()).unwrap(), kit);
        }
    }

    #[test]
    fn the_bindings_are_three_files() {
        let bindings = c_bindings().unwrap();
        let names: Vec<&str> = bindings.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["session_cache.c", "session_cache.h", "session_cache_component_type.o"]);
    }

    #[test]
    fn what_is_missing_has_a_name() {
        for (output, name) in [
            ("probe.c:1:10: fatal error: 'stdlib.h' file not found", "wasi-libc"),
            ("wasm-ld: error: cannot open crt1-reactor.o: No such file or directory", "wasi-libc"),
            ("clang: error: unable to execute command: Executable \"wasm-ld\" doesn't exist!", "lld"),
            ("wasm-ld: error: cannot open lib/wasi/libclang_rt.builtins-wasm32.a", "libclang-rt-dev-wasm32"),
        ] {
            assert_eq!(missing(output), name);
        }
    }
}
