//! The list of guests that a crate includes, and the folders that cargo tells a build script.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "cargo tells a build script its folders by the environment, and listens to its output"
)]

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use crate::{Built, Fate};

/// The top of the workspace, two folders above the crate that is built. Cargo runs its build script again after a
/// change of `inputs` below the top.
///
/// # Panics
/// Outside a build script.
pub fn top(inputs: &[&str]) -> PathBuf {
    let crate_folder = env::var("CARGO_MANIFEST_DIR").expect("cargo names the folder");
    let top = Path::new(&crate_folder).join("../..");
    let always = ["Cargo.toml", "Cargo.lock", "wit", "guests/sdk"];
    let inputs = always.iter().chain(inputs);
    inputs.for_each(|input| println!("cargo::rerun-if-changed={}", top.join(input).display()));
    top
}

/// Writes `artifacts.rs`, an expression that the crate includes: a slice of its `Artifact`s, with `Stage` and
/// `CALLBACKS` in scope.
///
/// # Panics
/// When the output folder is not writable, or an attack's text is too long for a table.
pub fn embed(guests: &[Built]) {
    let out = env::var("OUT_DIR").expect("cargo names the output folder");
    let list: String = guests.iter().map(|guest| element(guest, Path::new(&out))).collect();
    fs::write(Path::new(&out).join("artifacts.rs"), format!("&[{list}]")).expect("the output folder is writable");
}

/// One element of the list, with its component in a file of the output folder.
fn element(guest: &Built, out: &Path) -> String {
    let Built { row: (name, what, fate), language, component } = guest;
    let source = match component {
        Ok(component) => {
            let path = out.join(format!("{name}.wasm"));
            fs::write(&path, component).expect("the output folder is writable");
            format!("Ok(include_bytes!({path:?}))")
        }
        Err(error) => {
            // A path that does not exist makes cargo run the build script again, until the tool is there.
            println!("cargo::rerun-if-changed={}/until-{name}-can-be-built", out.display());
            println!("cargo::warning=guest {name} is left out: {}", error.to_string().replace('\n', "; "));
            format!("Err({:?})", error.to_string())
        }
    };
    let is_hostile = *fate != Fate::Honest;
    let strikes = match fate {
        Fate::Strikes => "CALLBACKS",
        Fate::Either => "&[\"init\"]",
        Fate::Honest | Fate::Serves | Fate::Open | Fate::Load => "&[]",
    };
    let refused = match fate {
        Fate::Open => "Some(Stage::Open)",
        Fate::Load => "Some(Stage::Load)",
        Fate::Honest | Fate::Serves | Fate::Strikes | Fate::Either => "None",
    };
    assert!(what.len() <= 60, "too long for a table: {what}");
    let mut element = String::new();
    writeln!(
        element,
        "Artifact {{ name: {name:?}, language: {language:?}, is_hostile: {is_hostile}, what: {what:?}, \
         strikes: {strikes}, refused: {refused}, component: {source} }},"
    )
    .expect("a string takes any text");
    element
}
