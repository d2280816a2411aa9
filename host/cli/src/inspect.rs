//! `innkeeper inspect`: the parts of a component, and the size class it needs.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use innkeeper_build::{CoreModule, Inspection, Interface, Memory, Origin, Producer};
use innkeeper_core::SizeClass;
use innkeeper_wasm::Wasi;

use crate::guest_file::load_as;

/// Shows the parts of a component without serving it.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The component.
    component: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The output.
#[derive(serde::Serialize)]
struct Page {
    #[serde(flatten)]
    inspection: Inspection,
    #[serde(flatten)]
    fit: Fit,
}

/// The size class with room for a component.
#[derive(serde::Serialize)]
struct Fit {
    /// The smallest class in which it opens a cache.
    size_class: Option<&'static str>,
    /// The smaller classes that refuse it.
    refusals: Vec<Refusal>,
}

/// A class that refuses it, and the reason.
#[derive(serde::Serialize)]
struct Refusal {
    size_class: &'static str,
    reason: String,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let path = &options.component;
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let inspection = innkeeper_build::inspect(&bytes).with_context(|| path.display().to_string())?;
    let wasi = if inspection.wasi().next().is_some() { Wasi::Closed } else { Wasi::None };
    let page = Page { fit: size_class(&bytes, wasi), inspection };
    let mut out = io::stdout().lock();
    if options.json {
        serde_json::to_writer_pretty(&mut out, &page)?;
        writeln!(out)?;
    } else {
        print(&mut out, &page)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Tries the size classes from the smallest: loads the component, makes an instance, and opens a cache in it.
fn size_class(bytes: &[u8], wasi: Wasi) -> Fit {
    let mut refusals = Vec::new();
    for class in [SizeClass::Small, SizeClass::Large] {
        match load_as(class, bytes, wasi, Vec::new(), None) {
            Ok(_) => return Fit { size_class: Some(class.name()), refusals },
            Err(reason) => refusals.push(Refusal { size_class: class.name(), reason }),
        }
    }
    Fit { size_class: None, refusals }
}

/// The most core modules that are listed; an interpreter can bring dozens.
const MODULES_MAX: usize = 6;

fn print(out: &mut impl Write, page: &Page) -> io::Result<()> {
    let Page { inspection, fit } = page;
    line(out, "digest", &inspection.digest)?;
    line(out, "size", &bytes(inspection.bytes))?;
    let world = match (&inspection.world, inspection.is_guest) {
        (Some(world), true) => world.clone(),
        (Some(world), false) => format!("{world}, unknown to this host"),
        (None, _) => "not a guest: the callbacks are missing".into(),
    };
    line(out, "world", &world)?;
    line(out, "sealed", if inspection.is_sealed { "yes" } else { "no" })?;
    lines(out, "imports", inspection.imports.iter().map(import))?;
    lines(out, "exports", inspection.exports.iter().map(interface))?;
    let (shown, others) = inspection.modules.split_at(inspection.modules.len().min(MODULES_MAX));
    lines(out, "modules", shown.iter().map(module))?;
    if !others.is_empty() {
        let others_bytes = others.iter().map(|module| module.bytes).sum();
        line(out, "", &format!("and {} smaller ones: {}", others.len(), bytes(others_bytes)))?;
    }
    line(out, "instances", &inspection.core_instances.to_string())?;
    lines(out, "memories", inspection.memories.iter().map(memory))?;
    lines(out, "tables", inspection.tables.iter().map(|elements| format!("{} elements", grouped(*elements))))?;
    lines(out, "made by", inspection.producers.iter().map(producer))?;
    for (name, value) in &inspection.metadata {
        line(out, name, value)?;
    }
    if let Some(refused) = &inspection.refused {
        line(out, "refused", refused)?;
    }
    line(out, "size class", fit.size_class.unwrap_or("none fits"))?;
    match &fit.refusals[..] {
        [small, large] if small.reason == large.reason => line(out, "", &small.reason),
        refusals => refusals
            .iter()
            .try_for_each(|refusal| line(out, "", &format!("not {}: {}", refusal.size_class, refusal.reason))),
    }
}

/// Prints a label with a value, whose further lines stand below its first.
fn line(out: &mut impl Write, label: &str, value: &str) -> io::Result<()> {
    for (at, value) in value.lines().enumerate() {
        writeln!(out, "{:<12} {value}", if at == 0 { label } else { "" })?;
    }
    Ok(())
}

/// Prints a label with a list, one item a line.
fn lines(out: &mut impl Write, label: &str, items: impl Iterator<Item = String>) -> io::Result<()> {
    let items: Vec<String> = items.collect();
    match items.is_empty() {
        true => line(out, label, "none"),
        false => line(out, label, &items.join("\n")),
    }
}

fn import(import: &Interface) -> String {
    match import.origin {
        Origin::Ours => interface(import),
        Origin::Wasi => format!("{} (WASI)", interface(import)),
        Origin::Other => format!("{} (forbidden for every guest)", interface(import)),
    }
}

fn interface(interface: &Interface) -> String {
    match interface.functions.is_empty() {
        true => interface.name.clone(),
        false => format!("{}: {}", interface.name, interface.functions.join(", ")),
    }
}

fn module(module: &CoreModule) -> String {
    let (code, data) = (grouped(module.code_bytes), grouped(module.data_bytes));
    let names = if module.has_names { "named" } else { "without names" };
    let functions = grouped(module.functions.into());
    let name = module.name.as_deref().unwrap_or("unnamed");
    format!("{name}: {}, code {code}, data {data}; functions {functions}, {names}", bytes(module.bytes))
}

fn memory(memory: &Memory) -> String {
    let initial = bytes(memory.initial_bytes);
    match memory.maximum_bytes {
        Some(maximum) => format!("{initial}, at most {}", bytes(maximum)),
        None => format!("{initial}, grows"),
    }
}

fn producer(producer: &Producer) -> String {
    format!("{}: {} {}", producer.role, producer.name, producer.version).trim_end().to_owned()
}

fn bytes(bytes: u64) -> String {
    format!("{} bytes", grouped(bytes))
}

/// A number with a space between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    groups.iter().map(|group| String::from_utf8_lossy(group)).collect::<Vec<_>>().join(" ")
}
