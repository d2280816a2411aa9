//! The JSON schema for editors and the reference for people, both generated from the types.

use std::fmt::Write as _;

use innkeeper_proxy::core::{Limits, SizeClass};
use schemars::schema_for;
use serde_json::Value;

use super::file::File;

/// The JSON schema of the configuration file, with a newline at the end.
pub fn schema() -> String {
    let schema = serde_json::to_string_pretty(&schema_for!(File)).expect("a schema can be written as JSON");
    schema + "\n"
}

/// The reference of the configuration file, as Markdown.
pub fn markdown() -> String {
    let root = schema_for!(File).to_value();
    let mut text = String::from(HEAD);
    section(&mut text, &root, &root, "");
    text + &limits()
}

/// The limits where nothing is written, for each size class.
fn limits() -> String {
    let [small, large] = [SizeClass::Small, SizeClass::Large].map(Limits::new);
    // A tenant has that as `lifetime_s`.
    let own = Limits::ALL.iter().filter(|limit| limit.name != "lifetime_ms");
    let rows = own.map(|limit| format!("| `{}` | {} | {} |\n", limit.name, limit.of(&small), limit.of(&large)));
    format!("\n## Defaults of `limits`\n\n| field | small | large |\n|---|---|---|\n{}", rows.collect::<String>())
}

const HEAD: &str = "# Configuration reference\n\nGenerated from the types by `innkeeper serve --reference configuration`. \
Numbers are whole.\n";

/// Adds the fields of a table, and then the tables below it.
fn section(text: &mut String, root: &Value, table: &Value, path: &str) {
    let title = if path.is_empty() { "The file" } else { path };
    let what = table["description"].as_str().map(one_line).unwrap_or_default();
    write!(text, "\n## {}\n\n{what}\n\n", if path.is_empty() { title.to_owned() } else { format!("`{title}`") })
        .expect("a string takes any text");
    let needed = |name: &str| table["required"].as_array().is_some_and(|all| all.iter().any(|own| own == name));
    let mut below = Vec::new();
    for (name, field) in table["properties"].as_object().into_iter().flatten() {
        let shape = Shape::of(root, field);
        let what = field["description"].as_str().or_else(|| shape.schema["description"].as_str()).unwrap_or_default();
        let what = one_line(what) + &choices(&shape);
        let default = match (needed(name), &field["default"]) {
            (true, _) => "required".into(),
            (false, Value::Null | Value::Object(_) | Value::Array(_)) => "optional".into(),
            (false, default) => format!("default `{default}`"),
        };
        writeln!(text, "- `{name}` ({}, {default}): {what}", shape.name).expect("a string takes any text");
        if let Some(suffix) = shape.table_suffix {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            below.push((path + suffix, shape.schema));
        }
    }
    for (path, schema) in below {
        section(text, root, schema, &path);
    }
}

/// The type of a field.
struct Shape<'a> {
    name: String,
    /// Its own schema, or that of its elements.
    schema: &'a Value,
    /// The suffix behind a table's name in a path. None for other types.
    table_suffix: Option<&'static str>,
}

impl<'a> Shape<'a> {
    fn of(root: &'a Value, field: &'a Value) -> Self {
        let schema = resolved(root, field);
        if let Some(element) = schema.get("items") {
            let element = Self::of(root, element);
            let name = format!("array of {}", element.name);
            return Self { name, schema: element.schema, table_suffix: element.table_suffix.map(|_| "[]") };
        }
        if let Some(element) = schema.get("additionalProperties").filter(|element| element.is_object()) {
            let element = Self::of(root, element);
            let name = format!("table of {}", element.name);
            return Self { name, schema: element.schema, table_suffix: element.table_suffix.map(|_| ".NAME") };
        }
        let is_table = schema.get("properties").is_some();
        let name = match (is_table, choice_names(schema).is_empty(), kind(schema)) {
            (true, ..) => "table".into(),
            (_, false, _) => "choice".into(),
            (.., kind) => kind,
        };
        Self { name, schema, table_suffix: is_table.then_some("") }
    }
}

/// Follows references, and looks past `null`.
fn resolved<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    // A schema nests no deeper than its types.
    for _ in 0..8 {
        let named = schema["$ref"].as_str().and_then(|path| path.strip_prefix('#')).and_then(|path| root.pointer(path));
        let real = |all: &'a Value| all.as_array()?.iter().find(|own| own["type"] != "null");
        let choice = if choice_names(schema).is_empty() { real(&schema["anyOf"]) } else { None };
        let Some(next) = named.or(choice) else { break };
        schema = next;
    }
    schema
}

fn kind(schema: &Value) -> String {
    match &schema["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            let real: Vec<&str> = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect();
            real.join(" or ")
        }
        _ => "text, number or boolean".into(),
    }
}

fn choice_names(schema: &Value) -> Vec<(&str, &str)> {
    let all = schema["oneOf"].as_array().into_iter().flatten();
    all.filter_map(|own| Some((own["const"].as_str()?, own["description"].as_str().unwrap_or_default()))).collect()
}

fn choices(shape: &Shape<'_>) -> String {
    choice_names(shape.schema).iter().fold(String::new(), |text, (name, what)| {
        let what = one_line(what);
        format!("{text} `\"{name}\"`: {}", lower_first(&what))
    })
}

/// A sentence to go on within another one.
pub(crate) fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_lowercase().collect::<String>() + characters.as_str()).unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
