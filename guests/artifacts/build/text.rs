//! The guests that are written in WebAssembly's text, by hand or by a loop.

use std::{fs, path::Path};

use innkeeper_build::{WIT, component_from_plain_module};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

use crate::{
    Made, bombs, explosions, slow,
    table::{Fate, Hostile, OTHER_WORLDS, WAT},
};

pub(crate) fn guests(top: &Path) -> Vec<Made> {
    let folder = top.join("guests/hostile/wat");
    let read = |file: String| fs::read_to_string(folder.join(file)).ok();
    let quiet = read("quiet.wat".into()).expect("the module of all attacks is there");
    let foreign = read("foreign.wit".into()).expect("the foreign packages are there");
    let by_hand = WAT.iter().map(|(name, what, fate)| {
        let attack = read(format!("{name}.wat")).unwrap_or_else(|| panic!("there is no {name}.wat"));
        made((name, what, *fate), guest(name, &quiet, &attack))
    });
    let of_other_worlds = OTHER_WORLDS.iter().map(|world| {
        let module = compose(&quiet, &read(format!("{}.wat", world.name)).unwrap_or_default());
        let component = component_of_other_world(&module, world.swap, &foreign);
        made((world.name, world.what, Fate::Load), component.unwrap_or_else(|error| panic!("{}: {error}", world.name)))
    });
    let by_loops = bombs::MODULES.iter().map(|(hostile, attack)| made(*hostile, guest(hostile.0, &quiet, &attack())));
    let of_text = explosions::modules().into_iter().chain(slow::modules());
    let of_text = of_text.map(|(hostile, attack)| made(hostile, guest(hostile.0, &quiet, &attack)));
    let components = bombs::COMPONENTS.iter().map(|(hostile, text)| (*hostile, text()));
    let components = components.chain(explosions::components());
    let components = components.map(|(hostile, text)| made(hostile, binary(hostile.0, &text)));
    by_hand.chain(of_other_worlds).chain(by_loops).chain(of_text).chain(components).collect()
}

fn made((name, what, fate): Hostile, component: Vec<u8>) -> Made {
    Made { name, language: "WAT", what, fate, component: Ok(component) }
}

fn guest(name: &str, quiet: &str, attack: &str) -> Vec<u8> {
    let component = component_from_plain_module(&binary(name, &compose(quiet, attack)));
    component.unwrap_or_else(|error| panic!("{name}: {error}")).bytes
}

fn binary(name: &str, text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Puts an attack into the quiet module, in place of what both define. It comes right after the module's imports, since
/// it may have its own.
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

/// Makes a component of a world that is ours with something replaced. `innkeeper build` would refuse to.
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
