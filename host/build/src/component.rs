//! From a core module to a component, and its imports.

use wit_component::{ComponentEncoder, DecodedWasm, StringEncoding};
use wit_parser::{Resolve, WorldId, WorldItem, WorldKey};

use crate::error::BuildError;

/// The WIT package that every guest is built against.
pub const WIT: &str = include_str!("../../../wit/session-cache.wit");

/// A component that exports the callbacks, with what it imports.
#[derive(Clone, Debug)]
pub struct Component {
    /// The component file.
    pub bytes: Vec<u8>,
    /// Its imports, by name.
    pub imports: Vec<String>,
}

impl Component {
    /// True if it imports our own package at most.
    pub fn is_sealed(&self) -> bool {
        self.imports.iter().all(|name| name.starts_with("innkeeper:session-cache/"))
    }
}

/// The WIT package, parsed, with the world of a guest.
pub(crate) fn world() -> Result<(Resolve, WorldId), BuildError> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("session-cache.wit", WIT).map_err(encode_error)?;
    let world = resolve.select_world(&[package], Some("session-cache")).map_err(encode_error)?;
    Ok((resolve, world))
}

/// Makes a component of a core module whose bindings have left their types in it.
///
/// # Errors
/// When it is no module, has no types or other ones, or imports something that a component lacks.
pub fn component_from_module(module: &[u8]) -> Result<Component, BuildError> {
    let encoded = ComponentEncoder::default().validate(true).module(module).and_then(ComponentEncoder::encode);
    check_component(encoded.map_err(encode_error)?)
}

/// Makes a component of a core module without bindings, such as one written by hand: puts the types of the world in it
/// first. Its imports and exports have the names and the signatures of the canonical ABI.
///
/// # Errors
/// When it is no module, lacks an export, or imports something that a component lacks.
pub fn component_from_plain_module(module: &[u8]) -> Result<Component, BuildError> {
    let (resolve, world) = world()?;
    let mut module = module.to_vec();
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
        .map_err(encode_error)?;
    component_from_module(&module)
}

/// Checks a component that another tool made.
///
/// # Errors
/// When it is no component, or lacks a callback.
pub fn check_component(bytes: Vec<u8>) -> Result<Component, BuildError> {
    let imports = imports(&bytes)?;
    Ok(Component { bytes, imports })
}

/// The first bytes of a component, which a core module has otherwise.
const COMPONENT_MAGIC: &[u8] = b"\0asm\x0d\0\x01\0";

/// Checks a component that a linker has made, or makes one of a core module.
pub(crate) fn component_from_any(bytes: Vec<u8>) -> Result<Component, BuildError> {
    if !bytes.starts_with(b"\0asm") {
        return Err(BuildError::Encode("not a WebAssembly file, which begins with `\\0asm`".into()));
    }
    if bytes.starts_with(COMPONENT_MAGIC) { check_component(bytes) } else { component_from_module(&bytes) }
}

fn imports(component: &[u8]) -> Result<Vec<String>, BuildError> {
    let not_a_guest = |error| BuildError::NotAGuest(format!("{error:#}"));
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component).map_err(not_a_guest)? else {
        return Err(BuildError::NotAGuest("it is a WIT package".into()));
    };
    let world = &resolve.worlds[world];
    let name = |(key, item): (&WorldKey, &WorldItem)| match item {
        WorldItem::Interface { .. } => resolve.name_world_key(key),
        _ => format!("{key:?}"),
    };
    if !world.exports.iter().map(name).any(|name| name.starts_with("innkeeper:session-cache/callbacks@0.1.")) {
        return Err(BuildError::NotAGuest("it does not export `innkeeper:session-cache/callbacks@0.1.0`".into()));
    }
    Ok(world.imports.iter().map(name).collect())
}

pub(crate) fn encode_error(error: impl std::fmt::Display) -> BuildError {
    BuildError::Encode(format!("{error:#}"))
}
