//! The types of a component's callbacks, as text. A wrong type is refused at load and by name.

use innkeeper_core::log_line;
use wasmtime::{
    Engine,
    component::{
        Component,
        types::{ComponentFunc, ComponentInstance, ComponentItem, Type},
    },
};

use crate::LoadError;

/// The interface that a guest must export, without the patch version.
const CALLBACKS: &str = "innkeeper:session-cache/callbacks@0.1.";

/// Each callback with its type.
const SHAPES: [(&str, &str); 8] = [
    ("init", INIT),
    ("terminate", "(u64)"),
    ("update", "(u64, record { partial: u64, id: u64 }, u64)"),
    ("delete", "(u64, record { partial: u64, id: u64 })"),
    ("select-session", "(u64, u64) -> list<u64>"),
    ("size", "(u64) -> u64"),
    ("foldl", "(u64, u64, u64) -> u64"),
    ("lookup", "(u64, record { partial: u64, id: u64 }) -> option<u64>"),
];

const INIT: &str = "(record { role: enum { client, server }, max-sessions: u32, lifetime-ms: u64, \
                    properties: list<record { name: string, value: string }> }) -> result<u64, string>";

/// Checks that a component exports every callback with its type.
pub(crate) fn check(engine: &Engine, component: &Component) -> Result<(), LoadError> {
    let component = component.component_type();
    let mut exports = component.exports(engine);
    let callbacks = exports.find_map(|(name, item)| match item.ty {
        ComponentItem::ComponentInstance(instance) if name.starts_with(CALLBACKS) => Some(instance),
        _ => None,
    });
    let callbacks = callbacks.ok_or_else(|| LoadError::World(format!("it does not export `{CALLBACKS}0`")))?;
    SHAPES.iter().try_for_each(|(name, expected)| check_callback(engine, &callbacks, name, expected))
}

fn check_callback(engine: &Engine, callbacks: &ComponentInstance, name: &str, expected: &str) -> Result<(), LoadError> {
    let Some(ComponentItem::ComponentFunc(callback)) = callbacks.get_export(engine, name).map(|item| item.ty) else {
        return Err(LoadError::World(format!("`callbacks` has no function `{name}`")));
    };
    let shape = log_line(&function(&callback), LENGTH_MAX);
    match shape == expected {
        true => Ok(()),
        false => Err(LoadError::World(format!("`{name}` has the type {shape}: it must be {expected}"))),
    }
}

/// The longest text of a type, longer than any of ours. A few bytes of a component can describe a type of any size.
const LENGTH_MAX: usize = 512;

fn function(function: &ComponentFunc) -> String {
    let mut shape = String::from(if function.async_() { "async (" } else { "(" });
    parts(&mut shape, function.params().map(|(_, parameter)| (String::new(), parameter)));
    shape.push(')');
    for result in function.results() {
        shape.push_str(" -> ");
        write(&mut shape, &result);
    }
    shape
}

fn parts(shape: &mut String, parts: impl Iterator<Item = (String, Type)>) {
    for (number, (name, part)) in parts.enumerate() {
        if shape.len() > LENGTH_MAX {
            return;
        }
        shape.push_str(if number > 0 { ", " } else { "" });
        shape.push_str(&name);
        write(shape, &part);
    }
}

/// Writes a type in WIT's notation, up to the length limit.
fn write(shape: &mut String, of: &Type) {
    if shape.len() > LENGTH_MAX {
        return;
    }
    let mut within = |before: &str, all: &mut dyn Iterator<Item = (String, Type)>, after: &str| {
        shape.push_str(before);
        parts(shape, all);
        shape.push_str(after);
    };
    let plain = |part: Type| (String::new(), part);
    match of {
        Type::U32 => shape.push_str("u32"),
        Type::U64 => shape.push_str("u64"),
        Type::String => shape.push_str("string"),
        Type::List(list) => within("list<", &mut std::iter::once(plain(list.ty())), ">"),
        Type::Option(option) => within("option<", &mut std::iter::once(plain(option.ty())), ">"),
        Type::Result(result) => within("result<", &mut result.ok().into_iter().chain(result.err()).map(plain), ">"),
        Type::Record(record) => {
            let mut fields = record.fields().map(|field| (format!("{}: ", field.name), field.ty));
            within("record { ", &mut fields, " }");
        }
        Type::Enum(names) => {
            let names: Vec<&str> = names.names().take(LENGTH_MAX).collect();
            shape.push_str("enum { ");
            shape.push_str(&names.join(", "));
            shape.push_str(" }");
        }
        _ => shape.push_str("something else"),
    }
}
