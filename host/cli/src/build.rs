//! `innkeeper build`: a checked component of a source folder or a core module.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use innkeeper_build::{LANGUAGES, LanguageRow};

/// Makes a guest component of a source folder or a core module.
#[derive(clap::Args)]
#[command(after_help = languages())]
pub(crate) struct Options {
    /// The folder with the guest's source, or a core module.
    #[arg(default_value = ".")]
    source: PathBuf,
    /// The component's file; otherwise the source's name with the ending `.component.wasm`, in this folder.
    #[arg(short, long)]
    output: Option<PathBuf>,
}

/// The languages, with the file by which each is known and its tools.
fn languages() -> String {
    let line = |row: &LanguageRow| {
        let mark = row.mark.to_string();
        format!("  {:<11} {mark:<14}  {} (size class {})", row.name, row.tools, row.size_class)
    };
    let lines: Vec<String> = LANGUAGES.iter().map(line).collect();
    format!("Languages, the file that marks a source folder, and the tools:\n{}", lines.join("\n"))
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let source = options.source.canonicalize().with_context(|| format!("cannot use {}", options.source.display()))?;
    let output = options.output.clone().unwrap_or_else(|| default_output(&source));
    // First, since the build may take a minute.
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        anyhow::bail!("cannot write {}: {} is not a folder", output.display(), folder.display());
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
