//! The guests that cargo, clang and clang++ make.

use std::path::Path;

use innkeeper_build::{
    RustTarget, build_c, build_cpp, build_rust, check_component, component_from_module, find_clang, find_clang_cpp,
};

use crate::{
    Made,
    table::{C, CPP, Fate, RUST, RUST_HOSTILE},
};

/// What cargo is told besides, to build every Rust guest.
const RUST_ARGS: [&str; 8] = [
    "--package=innkeeper-guest-lru",
    "--package=innkeeper-guest-ttl",
    "--package=innkeeper-guest-quota",
    "--package=innkeeper-guest-lfu",
    "--package=innkeeper-guest-random",
    "--package=innkeeper-guest-hostile",
    "--lib",
    "--examples",
];

pub(crate) fn rust_guests(top: &Path) -> Vec<Made> {
    // One folder for all profiles, and not the outer build's own: that one is locked.
    let target = top.join("target/guests");
    let manifest = top.join("Cargo.toml");
    let modules = build_rust(&manifest, RustTarget::Unknown, Some(&target), &RUST_ARGS);
    let modules = modules.unwrap_or_else(|error| panic!("the Rust guests do not build: {error}"));
    let made = |crate_name: &str, name, what, fate| {
        let module = modules.iter().find(|module| module.name == crate_name);
        let module = module.unwrap_or_else(|| panic!("cargo made no module {crate_name}"));
        let component = component_from_module(&module.bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        Made { name, language: "Rust", what, fate, component: Ok(component.bytes) }
    };
    let honest = RUST.iter().map(|(crate_name, name)| made(crate_name, *name, "", Fate::Honest));
    let hostile = RUST_HOSTILE.iter().map(|(name, what, fate)| made(&name.replace('-', "_"), *name, *what, *fate));
    honest.chain(hostile).chain([wasi_guest(&manifest, &target)]).collect()
}

/// The Rust `lru` once more, as an author builds it for whom std names WASI.
fn wasi_guest(manifest: &Path, target: &Path) -> Made {
    let args = ["--package=innkeeper-guest-lru", "--lib"];
    let built = build_rust(manifest, RustTarget::Wasip2, Some(target), &args).map(|mut modules| modules.pop());
    let module = built.unwrap_or_else(|error| panic!("the WASI guest does not build: {error}"));
    let component = check_component(module.expect("a cdylib is one component").bytes);
    let component = component.unwrap_or_else(|error| panic!("the WASI guest: {error}"));
    Made { name: "rust-lru-wasi", language: "Rust", what: "", fate: Fate::Honest, component: Ok(component.bytes) }
}

pub(crate) fn c_guests(top: &Path) -> Vec<Made> {
    let component = |folder: &str| {
        find_clang()?;
        let component = build_c(&top.join("guests").join(folder));
        Ok(component.unwrap_or_else(|error| panic!("guests/{folder}: {error}")).bytes)
    };
    let made = |&(folder, name, what, fate)| Made { name, language: "C", what, fate, component: component(folder) };
    C.iter().map(made).collect()
}

pub(crate) fn cpp_guests(top: &Path) -> Vec<Made> {
    let component = |folder: &str| {
        find_clang_cpp()?;
        let component = build_cpp(&top.join("guests").join(folder));
        Ok(component.unwrap_or_else(|error| panic!("guests/{folder}: {error}")).bytes)
    };
    let made =
        |&(folder, name)| Made { name, language: "C++", what: "", fate: Fate::Honest, component: component(folder) };
    CPP.iter().map(made).collect()
}
