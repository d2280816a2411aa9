//! Compiles every example guest, and writes the list that the crate is made of.

#![expect(clippy::disallowed_methods, reason = "a build script is told its folders by the environment")]

use std::{env, fmt::Write as _, fs, path::Path};

use innkeeper_build::{
    BuildError, Component, RustTarget, build_c, build_rust, check_component, component_from_module, find_clang,
};

/// Guests in Rust: the module that cargo makes, the guest's name, and whether it is hostile.
const RUST: [(&str, &str, bool); 6] = [
    ("innkeeper_guest_lru", "rust-lru", false),
    ("innkeeper_guest_ttl", "rust-ttl", false),
    ("spin", "spin", true),
    ("trap", "trap", true),
    ("liar", "liar", true),
    ("refuse", "refuse", true),
];

/// Guests in C: the folder below `guests/c`, and the guest's name.
const C: [(&str, &str); 1] = [("lru", "c-lru")];

/// What cargo is told besides, to build all of `RUST`.
const RUST_ARGS: [&str; 8] = [
    "--package=innkeeper-guest-lru",
    "--package=innkeeper-guest-ttl",
    "--package=innkeeper-guest-hostile",
    "--lib",
    "--example=spin",
    "--example=trap",
    "--example=liar",
    "--example=refuse",
];

fn main() {
    let here = env::var("CARGO_MANIFEST_DIR").expect("cargo names the folder");
    let out = env::var("OUT_DIR").expect("cargo names the output folder");
    let top = Path::new(&here).join("../..");
    for input in ["Cargo.toml", "Cargo.lock", "wit", "guests/sdk", "guests/rust", "guests/hostile", "guests/c"] {
        println!("cargo::rerun-if-changed={}", top.join(input).display());
    }
    let mut list = String::new();
    for (name, component, language, is_hostile) in rust_guests(&top).into_iter().chain(c_guests(&top)) {
        let source = match component {
            Ok(component) => {
                let path = Path::new(&out).join(format!("{name}.wasm"));
                fs::write(&path, component.bytes).expect("the output folder can be written");
                format!("Ok(include_bytes!({path:?}))")
            }
            Err(error) => {
                // A path that does not exist makes cargo run this again, until the tool is there.
                println!("cargo::rerun-if-changed={out}/until-{name}-can-be-built");
                println!("cargo::warning=guest {name} is left out: {}", error.to_string().replace('\n', "; "));
                format!("Err({:?})", error.to_string())
            }
        };
        writeln!(
            list,
            "Artifact {{ name: {name:?}, language: {language:?}, is_hostile: {is_hostile}, component: {source} }},"
        )
        .expect("a string takes any text");
    }
    fs::write(Path::new(&out).join("artifacts.rs"), format!("&[{list}]")).expect("the output folder can be written");
}

type Built = (&'static str, Result<Component, BuildError>, &'static str, bool);

fn rust_guests(top: &Path) -> Vec<Built> {
    // One folder for all profiles, and not the outer build's own: that one is locked.
    let target = top.join("target/guests");
    let manifest = top.join("Cargo.toml");
    let modules = build_rust(&manifest, RustTarget::Unknown, Some(&target), &RUST_ARGS);
    let modules = modules.unwrap_or_else(|error| panic!("the Rust guests do not build: {error}"));
    let component = |wanted: &str| {
        let module = modules.iter().find(|module| module.name == wanted);
        component_from_module(&module.unwrap_or_else(|| panic!("cargo made no module {wanted}")).bytes)
            .unwrap_or_else(|error| panic!("{wanted}: {error}"))
    };
    let sealed = RUST.iter().map(|(module, name, is_hostile)| (*name, Ok(component(module)), "Rust", *is_hostile));
    sealed.chain([("rust-lru-wasi", Ok(wasi_guest(&manifest, &target)), "Rust", false)]).collect()
}

/// The Rust `lru` once more, as an author builds it for whom std names WASI.
fn wasi_guest(manifest: &Path, target: &Path) -> Component {
    let args = ["--package=innkeeper-guest-lru", "--lib"];
    let built = build_rust(manifest, RustTarget::Wasip2, Some(target), &args).map(|mut modules| modules.pop());
    let module = built.unwrap_or_else(|error| panic!("the WASI guest does not build: {error}"));
    let component = check_component(module.expect("a cdylib is one component").bytes);
    component.unwrap_or_else(|error| panic!("the WASI guest: {error}"))
}

fn c_guests(top: &Path) -> Vec<Built> {
    let component = |folder: &str| {
        find_clang()?;
        let component = build_c(&top.join("guests/c").join(folder));
        Ok(component.unwrap_or_else(|error| panic!("guests/c/{folder}: {error}")))
    };
    C.iter().map(|(folder, name)| (*name, component(folder), "C", false)).collect()
}
