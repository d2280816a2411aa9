//! Compiles every example guest, and writes the list that the crate is made of.

#![expect(clippy::disallowed_methods, reason = "a build script is told its folders by the environment")]

mod table;
mod compilers;
mod text;
mod bombs;
mod explosions;
mod slow;
mod files;

use std::{env, fmt::Write as _, fs, path::Path};

use innkeeper_build::BuildError;

use crate::table::Fate;

/// A guest that was made, or was left out since a tool is missing.
struct Made {
    name: &'static str,
    language: &'static str,
    what: &'static str,
    fate: Fate,
    component: Result<Vec<u8>, BuildError>,
}

/// What changes the guests, from the top of the workspace.
const INPUTS: [&str; 9] = [
    "Cargo.toml",
    "Cargo.lock",
    "wit",
    "guests/sdk",
    "guests/rust",
    "guests/hostile",
    "guests/c",
    "guests/cpp",
    "guests/artifacts/build",
];

fn main() {
    let here = env::var("CARGO_MANIFEST_DIR").expect("cargo names the folder");
    let out = env::var("OUT_DIR").expect("cargo names the output folder");
    let top = Path::new(&here).join("../..");
    INPUTS.iter().for_each(|input| println!("cargo::rerun-if-changed={}", top.join(input).display()));
    let mut made = compilers::rust_guests(&top);
    made.extend(compilers::c_guests(&top));
    made.extend(compilers::cpp_guests(&top));
    made.extend(text::guests(&top));
    let lru = made.iter().find(|guest| guest.name == "rust-lru").and_then(|guest| guest.component.as_ref().ok());
    made.extend(files::guests(lru.expect("the Rust guests are built first")));
    let list: String = made.iter().map(|guest| row(guest, Path::new(&out))).collect();
    fs::write(Path::new(&out).join("artifacts.rs"), format!("&[{list}]")).expect("the output folder can be written");
}

/// One element of the list, with its component in a file of the output folder.
fn row(guest: &Made, out: &Path) -> String {
    let Made { name, language, what, fate, component } = guest;
    let source = match component {
        Ok(component) => {
            let path = out.join(format!("{name}.wasm"));
            fs::write(&path, component).expect("the output folder can be written");
            format!("Ok(include_bytes!({path:?}))")
        }
        Err(error) => {
            // A path that does not exist makes cargo run this again, until the tool is there.
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
    let mut row = String::new();
    writeln!(
        row,
        "Artifact {{ name: {name:?}, language: {language:?}, is_hostile: {is_hostile}, what: {what:?}, \
         strikes: {strikes}, refused: {refused}, component: {source} }},"
    )
    .expect("a string takes any text");
    row
}
