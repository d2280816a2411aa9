//! A component file as a guest, for the commands that try one.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use innkeeper_core::{Guest, Limits, Property, Role, SizeClass, Solo};
use innkeeper_program::compiler;
use innkeeper_wasm::{Checked, Compilation, Engine, EngineConfig, Wasi};

/// The component, and the settings that open it.
#[derive(clap::Args)]
pub(crate) struct LoadOptions {
    /// The component file.
    pub(crate) component: PathBuf,
    /// The size class: `small` for compiled languages, `large` for those with an interpreter; otherwise the smaller one
    /// that fits.
    #[arg(long)]
    class: Option<Class>,
    /// A setting for the guest, as in the operator's configuration; may be given several times.
    #[arg(long = "property", value_name = "NAME=VALUE", value_parser = parse_property)]
    properties: Vec<Property>,
    /// Allow closed WASI: no files, no network, no environment.
    #[arg(long)]
    wasi: bool,
    /// A folder that keeps compiled code for the next run. Anyone who can write there runs code in this process.
    #[arg(long, value_name = "FOLDER")]
    compile_cache: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Class {
    Small,
    Large,
}

fn parse_property(text: &str) -> Result<Property, String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok(Property { name: name.to_owned(), value: value.to_owned() })
}

impl LoadOptions {
    pub(crate) fn properties(&self) -> Vec<Property> {
        self.properties.clone()
    }
}

/// A guest loaded from a file, which opens a cache.
pub(crate) struct GuestFile {
    pub(crate) guest: Arc<dyn Guest>,
    pub(crate) limits: Limits,
    pub(crate) class: SizeClass,
    pub(crate) bytes: Vec<u8>,
}

impl GuestFile {
    /// Loads a component under the limits of its size class, and opens it once to see that it starts.
    pub(crate) fn load(options: &LoadOptions) -> anyhow::Result<Self> {
        let path = options.component.as_path();
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let classes = match options.class {
            Some(Class::Small) => &[SizeClass::Small][..],
            Some(Class::Large) => &[SizeClass::Large],
            None => &[SizeClass::Small, SizeClass::Large],
        };
        let wasi = if options.wasi { Wasi::Closed } else { Wasi::None };
        let compile_cache = options.compile_cache.as_ref().map(std::path::absolute).transpose()?;
        let mut refusals = Vec::new();
        for class in classes {
            match load_as(*class, &bytes, wasi, options.properties(), compile_cache.clone()) {
                Ok((guest, limits)) => return Ok(Self { guest, limits, class: *class, bytes }),
                Err(refusal) => refusals.push(refusal),
            }
        }
        bail!("{}: {}", path.display(), reasons(classes, &refusals))
    }
}

/// The reasons of all size classes, or the one reason where they agree.
fn reasons(classes: &[SizeClass], refusals: &[String]) -> String {
    if refusals.windows(2).all(|two| two[0] == two[1]) {
        return refusals.first().cloned().unwrap_or_default();
    }
    let named = classes.iter().zip(refusals).map(|(class, refusal)| format!("size class {}: {refusal}", class.name()));
    named.collect::<Vec<_>>().join("\n")
}

/// Loads a component under the limits of a size class and opens a cache in it, or returns the reason why not.
pub(crate) fn load_as(
    class: SizeClass,
    bytes: &[u8],
    wasi: Wasi,
    properties: Vec<Property>,
    compile_cache: Option<PathBuf>,
) -> Result<(Arc<dyn Guest>, Limits), String> {
    let mut limits = Limits::new(class);
    // Only the author waits for it.
    limits.compile = Duration::from_secs(600);
    let config = EngineConfig {
        instances: 64,
        compile_cache,
        backtraces: true,
        parallel_compilation: true,
        ..EngineConfig::new(class, compiler::apart())
    };
    let load = || Checked::new(bytes, &limits)?.compile(&Engine::new(config)?)?.link(wasi);
    let guest: Arc<dyn Guest> = Arc::new(load().map_err(|error| with_wasi_hint(&error))?);
    let mut patient = limits.clone();
    patient.init.time = Duration::from_secs(60);
    let opened = Solo::open(&*guest, &patient, Role::Server, properties, 0);
    opened.map_err(|fault| format!("cannot open a cache: {fault}"))?;
    Ok((guest, limits))
}

/// The error with the flag that takes the operator's part here.
fn with_wasi_hint(error: &innkeeper_wasm::LoadError) -> String {
    match error {
        innkeeper_wasm::LoadError::Import { name, .. } if name.starts_with("wasi:") => {
            format!("{error}; here the flag is `--wasi`")
        }
        other => other.to_string(),
    }
}

/// An empty call into a component, on an engine like a guest's: the floor of every call.
pub(crate) fn empty_call() -> anyhow::Result<impl FnMut()> {
    let engine =
        Engine::new(EngineConfig { instances: 1, ..EngineConfig::new(SizeClass::Small, Compilation::Trusted) })?;
    Ok(engine.empty_call()?)
}
