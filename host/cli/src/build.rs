//! `innkeeper build`: a checked component out of a source folder or a core module.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;

/// Makes a guest component out of a source folder (Rust, C, C++, JavaScript, Python, Zig) or a core module.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The folder with the guest's source, or a core module.
    #[arg(default_value = ".")]
    source: PathBuf,
    /// Where the component goes; otherwise the source's name with the ending `.component.wasm`, in this folder.
    #[arg(short, long)]
    output: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let source = options.source.canonicalize().with_context(|| format!("cannot use {}", options.source.display()))?;
    let output = options.output.clone().unwrap_or_else(|| default_output(&source));
    // Before a build that may take a minute.
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        anyhow::bail!("cannot write {}: {} is no folder", output.display(), folder.display());
    }
    let component = innkeeper_build::build(&source)?;
    std::fs::write(&output, &component.bytes).with_context(|| format!("cannot write {}", output.display()))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}: {} bytes, {}", output.display(), component.bytes.len(), imports(&component))?;
    Ok(ExitCode::SUCCESS)
}

fn default_output(source: &Path) -> PathBuf {
    let name = source.file_stem().map_or_else(|| "guest".into(), |name| name.to_string_lossy());
    PathBuf::from(format!("{name}.component.wasm"))
}

fn imports(component: &innkeeper_build::Component) -> String {
    if component.is_sealed() {
        return "sealed".into();
    }
    format!("imports {}", component.imports.join(", "))
}
