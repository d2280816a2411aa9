//! The guests that cargo, clang and clang++ build.

use std::path::Path;

use innkeeper_build::{
    BuildError, Component, Language, RustTarget, build_c, build_cpp, build_rust, check_component,
    component_from_module, find_clang, find_clang_cpp,
};

use crate::{Built, Fate, Row};

/// A guest in Rust: the name of its crate or example as cargo reports it, and its row.
pub type RustGuest = (String, Row);

/// Builds guests in Rust with one run of cargo; `args` select their packages and examples.
///
/// # Panics
/// When one does not build.
pub fn rust_guests(top: &Path, args: &[&str], guests: Vec<RustGuest>) -> Vec<Built> {
    let modules = build_rust(&top.join("Cargo.toml"), RustTarget::Unknown, Some(&target(top)), args);
    let modules = modules.unwrap_or_else(|error| panic!("the Rust guests do not build: {error}"));
    let built = |(crate_name, row): RustGuest| {
        let module = modules.iter().find(|module| module.name == crate_name);
        let module = module.unwrap_or_else(|| panic!("cargo made no module {crate_name}"));
        let component = component_from_module(&module.bytes).unwrap_or_else(|error| panic!("{}: {error}", row.0));
        Built { row, language: Language::Rust.name(), component: Ok(component.bytes) }
    };
    guests.into_iter().map(built).collect()
}

/// Builds an honest guest in Rust as an author does for whom std names WASI.
///
/// # Panics
/// When it does not build.
pub fn wasi_guest(top: &Path, package: &str, name: &'static str) -> Built {
    let package = format!("--package={package}");
    let built = build_rust(&top.join("Cargo.toml"), RustTarget::Wasip2, Some(&target(top)), &[&package, "--lib"]);
    let module = built.unwrap_or_else(|error| panic!("{name} does not build: {error}")).pop();
    let component = check_component(module.expect("a cdylib is one component").bytes);
    let component = component.unwrap_or_else(|error| panic!("{name}: {error}"));
    Built { row: (name, "", Fate::Honest), language: Language::Rust.name(), component: Ok(component.bytes) }
}

/// Builds the guest in C in a folder below `guests`.
///
/// # Panics
/// When clang is complete and the guest does not build.
pub fn c_guest(top: &Path, folder: &str, row: Row) -> Built {
    clang_guest(top, folder, row, Language::C, find_clang, build_c)
}

/// Builds the guest in C++ in a folder below `guests`.
///
/// # Panics
/// When clang++ is complete and the guest does not build.
pub fn cpp_guest(top: &Path, folder: &str, row: Row) -> Built {
    clang_guest(top, folder, row, Language::Cpp, find_clang_cpp, build_cpp)
}

fn clang_guest(
    top: &Path,
    folder: &str,
    row: Row,
    language: Language,
    find: fn() -> Result<(), BuildError>,
    build: fn(&Path) -> Result<Component, BuildError>,
) -> Built {
    let component = find().map(|()| {
        let component = build(&top.join("guests").join(folder));
        component.unwrap_or_else(|error| panic!("guests/{folder}: {error}")).bytes
    });
    Built { row, language: language.name(), component }
}

/// One target folder for all profiles. The outer build has its own locked.
fn target(top: &Path) -> std::path::PathBuf {
    top.join("target/guests")
}
