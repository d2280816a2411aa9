//! The parts of a component, read without running it.
//!
//! The file may be anybody's. The walk goes from section to section, nesting and every list have a bound, and text from
//! the file loses its control characters.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};
use wasmparser::{
    CustomSectionReader, Instance, KnownCustom, Name, Parser, Payload, Validator, WasmFeatures,
    component_types::{ComponentAnyTypeId, ComponentEntityType, ComponentItem},
    types::{Types, TypesRef},
};

use crate::error::BuildError;

/// The parts of a component file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Inspection {
    /// `sha256:` and the file's digest in hexadecimal, as a registry names it.
    pub digest: String,
    /// The size of the file.
    pub bytes: u64,
    /// The package, with its version, whose callbacks it exports. None for a component that is no guest.
    pub world: Option<String>,
    /// True if this host knows the world.
    pub is_guest: bool,
    /// True if it imports our own package at most.
    pub is_sealed: bool,
    /// Its imports, in the file's order.
    pub imports: Vec<Interface>,
    /// Its exports, in the file's order.
    pub exports: Vec<Interface>,
    /// The core modules in it, largest first.
    pub modules: Vec<CoreModule>,
    /// Core instances of one instance of the component, if no part of it is instantiated twice.
    pub core_instances: usize,
    /// The linear memories that the modules define.
    pub memories: Vec<Memory>,
    /// The memories' bytes at the start, all together.
    pub memory_bytes: u64,
    /// The elements at the start of each table that the modules define.
    pub tables: Vec<u64>,
    /// The tables' elements at the start, all together.
    pub table_elements: u64,
    /// The languages and tools that made it, of all its parts.
    pub producers: BTreeSet<Producer>,
    /// The author's description, by the names of the custom sections: `name`, `version`, `description`, `authors`,
    /// `licenses`, `source`, `homepage`, `revision`.
    pub metadata: BTreeMap<&'static str, String>,
    /// The reason why the host's engine refuses it, where it is valid with features that the host has off.
    pub refused: Option<String>,
}

impl Inspection {
    /// The imports from WASI.
    pub fn wasi(&self) -> impl Iterator<Item = &Interface> {
        self.imports.iter().filter(|import| import.origin == Origin::Wasi)
    }
}

/// An import or an export.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Interface {
    /// Its full name.
    pub name: String,
    /// Its origin.
    pub origin: Origin,
    /// The functions that the component names of it. Toolchains leave unused ones out of an import.
    pub functions: Vec<String>,
}

/// The origin of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Our own package.
    Ours,
    /// WASI.
    Wasi,
    /// Somebody else's.
    Other,
}

/// A core module in a component.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CoreModule {
    /// Its own name.
    pub name: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// The size of its code.
    pub code_bytes: u64,
    /// The size of its data.
    pub data_bytes: u64,
    /// The functions that it defines.
    pub functions: u32,
    /// True if it names its functions, so that a backtrace has names.
    pub has_names: bool,
}

/// A linear memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Memory {
    /// Its size at the start.
    pub initial_bytes: u64,
    /// The size that it may grow to, where it has a maximum.
    pub maximum_bytes: Option<u64>,
}

/// A language or a tool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Producer {
    /// `language`, `processed-by` or `sdk`.
    pub role: String,
    /// Its name.
    pub name: String,
    /// Its version; languages often have none.
    pub version: String,
}

/// The largest file that is read: the most that the operator's limit for a component can be.
const BYTES_MAX: usize = 1 << 30;
/// The deepest nesting of components.
const DEPTH_MAX: usize = 8;
/// The longest list of anything. Honest components have a tenth of it.
const ITEMS_MAX: usize = 1_000;
/// The longest name or version, in characters; the rest is cut.
const NAME_MAX: usize = 256;
/// The longest description or error, in characters; the rest is cut.
const TEXT_MAX: usize = 1_024;

/// Our package, and the interface of it that a guest exports.
const PACKAGE: &str = "innkeeper:session-cache/";
const CALLBACKS: &str = "innkeeper:session-cache/callbacks@";

/// The custom sections in which an author describes a component.
const METADATA: [&str; 7] = ["version", "description", "authors", "licenses", "source", "homepage", "revision"];

/// Reads a component without running it. Takes as long as validating the file.
///
/// # Errors
/// When the file is no component, invalid, or larger than any honest one.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, BuildError> {
    if bytes.len() > BYTES_MAX {
        return Err(BuildError::NotAGuest(format!("the file has {} bytes: the most is {BYTES_MAX}", bytes.len())));
    }
    if Parser::is_core_wasm(bytes) {
        let reason = "it is a core module, not a component\nhint: `innkeeper build` makes a component of it";
        return Err(BuildError::NotAGuest(reason.into()));
    }
    if !Parser::is_component(bytes) {
        return Err(BuildError::NotAGuest("it is not a WebAssembly component".into()));
    }
    // First, since it bounds the nesting, unlike the validator.
    let mut walk = Walk::default();
    walk.component(bytes)?;
    let (types, refused) = validate(bytes)?;
    let types = types.as_ref();
    if is_wit_package(&walk, types) {
        return Err(BuildError::NotAGuest("it is a WIT package".into()));
    }
    let imports = interfaces(&walk.imports, types, |name| types.component_item_for_import(name))?;
    let exports = interfaces(&walk.exports, types, |name| types.component_item_for_export(name))?;
    let version = walk.exports.iter().find_map(|name| name.strip_prefix(CALLBACKS));
    walk.modules.sort_by_key(|module| std::cmp::Reverse(module.bytes));
    Ok(Inspection {
        digest: format!("sha256:{:x}", Sha256::digest(bytes)),
        bytes: bytes.len() as u64,
        world: version.map(|version| text(&format!("innkeeper:session-cache@{version}"), NAME_MAX)),
        is_guest: version.is_some_and(|version| version.starts_with("0.1.")),
        is_sealed: imports.iter().all(|import| import.origin == Origin::Ours),
        imports,
        exports,
        modules: walk.modules,
        core_instances: walk.core_instances,
        memory_bytes: sum(walk.memories.iter().map(|memory| memory.initial_bytes)),
        memories: walk.memories,
        table_elements: sum(walk.tables.iter().copied()),
        tables: walk.tables,
        producers: walk.producers,
        metadata: walk.metadata,
        refused,
    })
}

/// The content of the sections, gathered in one walk.
#[derive(Default)]
struct Walk<'a> {
    imports: Vec<&'a str>,
    exports: Vec<&'a str>,
    modules: Vec<CoreModule>,
    core_instances: usize,
    memories: Vec<Memory>,
    tables: Vec<u64>,
    producers: BTreeSet<Producer>,
    metadata: BTreeMap<&'static str, String>,
    /// Components and modules that the walk is inside of, without the outermost.
    depth: usize,
    /// True if the innermost is a module. Nothing nests in one.
    is_in_module: bool,
}

impl<'a> Walk<'a> {
    fn component(&mut self, bytes: &'a [u8]) -> Result<(), BuildError> {
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(invalid)?;
            match &payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => self.depth += 1,
                Payload::End(_) => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            if self.depth > DEPTH_MAX {
                return Err(BuildError::NotAGuest(format!("its components are nested deeper than {DEPTH_MAX}")));
            }
            match payload {
                Payload::ComponentImportSection(section) if self.depth == 0 => {
                    for import in section {
                        push(&mut self.imports, import.map_err(invalid)?.name.name, "imports")?;
                    }
                }
                Payload::ComponentExportSection(section) if self.depth == 0 => {
                    for export in section {
                        push(&mut self.exports, export.map_err(invalid)?.name.name, "exports")?;
                    }
                }
                Payload::InstanceSection(section) => {
                    for instance in section {
                        let is_module = matches!(instance.map_err(invalid)?, Instance::Instantiate { .. });
                        self.core_instances += usize::from(is_module);
                    }
                }
                Payload::CustomSection(section) => self.custom(&section)?,
                payload => self.module(payload)?,
            }
        }
        Ok(())
    }

    /// The start, a section, or the end of a core module.
    fn module(&mut self, payload: Payload<'a>) -> Result<(), BuildError> {
        match payload {
            Payload::ModuleSection { unchecked_range: range, .. } => {
                let bytes = range.end.saturating_sub(range.start);
                let module =
                    CoreModule { name: None, bytes, code_bytes: 0, data_bytes: 0, functions: 0, has_names: false };
                push(&mut self.modules, module, "core modules")?;
                self.is_in_module = true;
            }
            Payload::End(_) => self.is_in_module = false,
            Payload::FunctionSection(section) => self.last_module(|module| module.functions = section.count()),
            Payload::CodeSectionStart { size, .. } => self.last_module(|module| module.code_bytes = size.into()),
            Payload::DataSection(section) => {
                let range = section.range();
                self.last_module(|module| module.data_bytes = range.end.saturating_sub(range.start));
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory.map_err(invalid)?;
                    let page_bytes = 1_u64.checked_shl(memory.page_size_log2.unwrap_or(16)).unwrap_or(u64::MAX);
                    let bytes = |pages: u64| pages.saturating_mul(page_bytes);
                    let memory =
                        Memory { initial_bytes: bytes(memory.initial), maximum_bytes: memory.maximum.map(bytes) };
                    push(&mut self.memories, memory, "memories")?;
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    push(&mut self.tables, table.map_err(invalid)?.ty.initial, "tables")?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn last_module(&mut self, set: impl FnOnce(&mut CoreModule)) {
        if let Some(module) = self.modules.last_mut() {
            set(module);
        }
    }

    /// The engine ignores custom sections, so the walk skips a malformed one.
    fn custom(&mut self, section: &CustomSectionReader<'a>) -> Result<(), BuildError> {
        match section.as_known() {
            KnownCustom::Producers(fields) => {
                for field in fields.into_iter().map_while(Result::ok) {
                    for value in field.values.into_iter().map_while(Result::ok) {
                        let [role, name, version] = [field.name, value.name, value.version].map(|t| text(t, NAME_MAX));
                        self.producers.insert(Producer { role, name, version });
                        check_count(self.producers.len(), "producers")?;
                    }
                }
            }
            KnownCustom::Name(names) if self.is_in_module => {
                for name in names.into_iter().map_while(Result::ok) {
                    match name {
                        Name::Module { name, .. } => {
                            self.last_module(|module| module.name = Some(text(name, NAME_MAX)));
                        }
                        Name::Function(names) => {
                            let has_names = names.into_iter().next().is_some();
                            self.last_module(|module| module.has_names |= has_names);
                        }
                        _ => {}
                    }
                }
            }
            KnownCustom::ComponentName(names) if self.depth == 0 => {
                for name in names.into_iter().map_while(Result::ok) {
                    if let wasmparser::ComponentName::Component { name, .. } = name {
                        self.metadata.insert("name", text(name, NAME_MAX));
                    }
                }
            }
            KnownCustom::Unknown if self.depth == 0 => {
                let known = METADATA.into_iter().find(|name| *name == section.name());
                if let (Some(name), Ok(value)) = (known, std::str::from_utf8(section.data())) {
                    self.metadata.insert(name, text(value, TEXT_MAX));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Validates with the host's features; where that fails, with all features, to tell a file that the host refuses from a
/// broken one.
fn validate(bytes: &[u8]) -> Result<(Types, Option<String>), BuildError> {
    match Validator::new_with_features(host_features()).validate_all(bytes) {
        Ok(types) => Ok((types, None)),
        Err(refused) => {
            let types = Validator::new_with_features(WasmFeatures::all()).validate_all(bytes).map_err(invalid)?;
            Ok((types, Some(text(&refused.to_string(), TEXT_MAX))))
        }
    }
}

/// The features of the host's engine: wasmtime's defaults without garbage-collected types, exceptions and threads,
/// which are left out of the build, and without those that its settings turn off. A valid file can still fail in the
/// engine's compiler.
fn host_features() -> WasmFeatures {
    WasmFeatures::WASM3
        .union(WasmFeatures::WIDE_ARITHMETIC)
        .union(WasmFeatures::COMPONENT_MODEL)
        .difference(WasmFeatures::GC_TYPES)
        .difference(WasmFeatures::EXCEPTIONS)
        .difference(WasmFeatures::THREADS)
        .difference(WasmFeatures::MEMORY64)
        .difference(WasmFeatures::RELAXED_SIMD)
}

/// True for a WIT package: a component that only exports types of components.
fn is_wit_package(walk: &Walk<'_>, types: TypesRef<'_>) -> bool {
    let is_type = |name: &&str| {
        let item = types.component_item_for_export(name);
        item.is_some_and(|item| {
            matches!(item.ty, ComponentEntityType::Type { created: ComponentAnyTypeId::Component(_), .. })
        })
    };
    walk.imports.is_empty() && walk.modules.is_empty() && !walk.exports.is_empty() && walk.exports.iter().all(is_type)
}

fn interfaces<'t>(
    names: &[&str],
    types: TypesRef<'t>,
    item: impl Fn(&str) -> Option<&'t ComponentItem>,
) -> Result<Vec<Interface>, BuildError> {
    let interface = |name: &&str| {
        let mut functions = Vec::new();
        if let Some(ComponentItem { ty: ComponentEntityType::Instance(instance), .. }) = item(name) {
            for (name, item) in &types[*instance].exports {
                if matches!(item.ty, ComponentEntityType::Func(_)) {
                    push(&mut functions, text(name, NAME_MAX), "functions in an interface")?;
                }
            }
        }
        Ok(Interface { name: text(name, NAME_MAX), origin: Origin::of(name), functions })
    };
    names.iter().map(interface).collect()
}

impl Origin {
    fn of(name: &str) -> Self {
        match name {
            name if name.starts_with(PACKAGE) => Self::Ours,
            name if name.starts_with("wasi:") => Self::Wasi,
            _ => Self::Other,
        }
    }
}

fn push<T>(list: &mut Vec<T>, item: T, what: &str) -> Result<(), BuildError> {
    list.push(item);
    check_count(list.len(), what)
}

fn check_count(count: usize, what: &str) -> Result<(), BuildError> {
    match count > ITEMS_MAX {
        true => Err(BuildError::NotAGuest(format!("it has more than {ITEMS_MAX} {what}"))),
        false => Ok(()),
    }
}

fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

/// Text of the file in one line, without control characters.
fn text(raw: &str, characters_max: usize) -> String {
    let mut line = String::new();
    for character in raw.chars().take(characters_max) {
        match character.is_control() {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    line
}

fn invalid(error: wasmparser::Error) -> BuildError {
    BuildError::NotAGuest(format!("it is not valid WebAssembly: {}", text(&error.to_string(), TEXT_MAX)))
}
