//! The guests in WebAssembly's text, by hand or by a loop.

use std::{fs, path::Path};

use innkeeper_build::{WIT, component_from_plain_module};
use innkeeper_embed::{Built, Fate, Row};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

use crate::{
    bombs, explosions, slow,
    table::{OTHER_WORLDS, WAT},
};

pub(crate) fn guests(top: &Path) -> Vec<Built> {
    let folder = top.join("guests/hostile/wat");
    let read = |file: String| fs::read_to_string(folder.join(file)).ok();
    let quiet = read("quiet.wat".into()).expect("the module of all attacks is readable");
    let foreign = read("foreign.wit".into()).expect("the foreign packages are readable");
    let by_hand = WAT.iter().map(|row| {
        let name = row.0;
        let attack = read(format!("{name}.wat")).unwrap_or_else(|| panic!("{name}.wat is missing"));
        built(*row, guest(name, &quiet, &attack))
    });
    let of_other_worlds = OTHER_WORLDS.iter().map(|world| {
        let module = compose(&quiet, &read(format!("{}.wat", world.name)).unwrap_or_default());
        let component = component_of_other_world(&module, world.swap, &foreign);
        built((world.name, world.what, Fate::Load), component.unwrap_or_else(|error| panic!("{}: {error}", world.name)))
    });
    let by_loops = bombs::MODULES.iter().map(|(hostile, attack)| built(*hostile, guest(hostile.0, &quiet, &attack())));
    let of_text = explosions::modules().into_iter().chain(slow::modules());
    let of_text = of_text.map(|(hostile, attack)| built(hostile, guest(hostile.0, &quiet, &attack)));
    let components = bombs::COMPONENTS.iter().map(|(hostile, text)| (*hostile, text()));
    let components = components.chain(explosions::components());
    let components = components.map(|(hostile, text)| built(hostile, binary(hostile.0, &text)));
    by_hand.chain(of_other_worlds).chain(by_loops).chain(of_text).chain(components).collect()
}

fn built(row: Row, component: Vec<u8>) -> Built {
    Built { row, language: "WAT", component: Ok(component) }
}

fn guest(name: &str, quiet: &str, attack: &str) -> Vec<u8> {
    let component = component_from_plain_module(&binary(name, &compose(quiet, attack)));
    component.unwrap_or_else(|error| panic!("{name}: {error}")).bytes
}

fn binary(name: &str, text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Puts an attack into the quiet module, instead of the definitions that both have. It comes right after the module's
/// imports, since it may have imports of its own.
fn compose(quiet: &str, attack: &str) -> String {
    let (imports, rest) = quiet.split_once("\n\n").expect("the first paragraph has the imports");
    let is_kept = |paragraph: &&str| {
        let definition = paragraph.lines().map(str::trim).find(|line| !line.starts_with(";;")).unwrap_or_default();
        let mut words = definition.split(' ');
        let (kind, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        !name.starts_with('$') || !attack.contains(&format!("{kind} {name} "))
    };
    let kept: Vec<&str> = rest.split("\n\n").filter(is_kept).collect();
    format!("{imports}\n{attack}\n{}", kept.join("\n\n"))
}

/// Makes a component of our world with something replaced, which `innkeeper build` would refuse.
fn component_of_other_world(module: &str, (from, to): (&str, &str), foreign: &str) -> Result<Vec<u8>, String> {
    let text = |error: &dyn std::fmt::Display| format!("{error:#}");
    assert!(WIT.contains(from), "our package has no `{from}` to replace");
    let mut module = wat::parse_str(module.replace(from, to)).map_err(|error| text(&error))?;
    let mut resolve = Resolve::default();
    resolve.push_str("foreign.wit", foreign).map_err(|error| text(&error))?;
    let package = resolve.push_str("session-cache.wit", &WIT.replace(from, to)).map_err(|error| text(&error))?;
    let world = resolve.select_world(&[package], Some("session-cache")).map_err(|error| text(&error))?;
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
        .and_then(|()| ComponentEncoder::default().validate(true).module(&module)?.encode())
        .map_err(|error| text(&error))
}
