//! Rust guests: `cargo build` for `wasm32-unknown-unknown`, plain std, nothing imported but our package.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    component::{Component, component_from_any},
    error::BuildError,
};

/// A core module, or a component, that a build made.
#[derive(Clone, Debug)]
pub struct Module {
    /// The name of its crate or example.
    pub name: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Settings of a guest's build unless its package has others: small and fast, with 64 KiB of stack.
const SETTINGS: [(&str, &str); 5] = [
    ("CARGO_PROFILE_RELEASE_LTO", "true"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
    ("CARGO_PROFILE_RELEASE_STRIP", "debuginfo"),
    ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", "-Clink-arg=-zstack-size=65536"),
];

/// Variables of an outer cargo that must not reach the guest's build.
const OUTER: [&str; 6] =
    ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET"];

/// The target of a Rust guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RustTarget {
    /// Core modules that import nothing but our package.
    Unknown,
    /// Components that import WASI.
    Wasip2,
}

impl RustTarget {
    fn name(self) -> &'static str {
        match self {
            Self::Unknown => "wasm32-unknown-unknown",
            Self::Wasip2 => "wasm32-wasip2",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Unknown => "rustup target add wasm32-unknown-unknown",
            Self::Wasip2 => "rustup target add wasm32-wasip2",
        }
    }
}

/// Runs `cargo build --release` on a package, with `args` besides, and returns every module or component that it makes:
/// `cdylib`s and examples of that type. Cargo uses its own target folder unless there is a `target_folder`. A build
/// script needs one, since its outer cargo has the usual one locked.
///
/// # Errors
/// When cargo or the target is missing, or the build fails.
pub fn build_rust(
    manifest: &Path,
    target: RustTarget,
    target_folder: Option<&Path>,
    args: &[&str],
) -> Result<Vec<Module>, BuildError> {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--release", "--target", target.name(), "--message-format", "json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(manifest)
        .args(args)
        .envs(SETTINGS)
        .stdin(Stdio::null());
    OUTER.iter().for_each(|name| {
        cargo.env_remove(name);
    });
    if let Some(target_folder) = target_folder {
        cargo.arg("--target-dir").arg(target_folder);
    }
    let output = cargo
        .output()
        .map_err(|_| BuildError::ToolMissing { tool: "cargo", hint: "install Rust from https://rustup.rs" })?;
    if !output.status.success() {
        let output = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.contains("can't find crate for `core`") || output.contains("can't find crate for `std`") {
            return Err(BuildError::ToolMissing { tool: target.name(), hint: target.hint() });
        }
        return Err(BuildError::ToolFailed { tool: "cargo build", output });
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    messages.lines().flat_map(modules_of_message).map(read_module).collect()
}

/// Builds the one guest of a folder that is a Cargo package.
///
/// # Errors
/// When cargo or the target is missing, or the build fails, or the package makes more or fewer modules than one.
pub(crate) fn build_rust_folder(folder: &Path) -> Result<Component, BuildError> {
    let mut modules = build_rust(&folder.join("Cargo.toml"), RustTarget::Unknown, None, &[])?;
    match (modules.pop(), modules.is_empty()) {
        (Some(module), true) => component_from_any(module.bytes),
        (last, _) => Err(BuildError::NotOneModule {
            folder: folder.to_owned(),
            names: modules.into_iter().chain(last).map(|module| module.name).collect(),
        }),
    }
}

/// The modules that one of cargo's messages names.
fn modules_of_message(line: &str) -> Vec<PathBuf> {
    let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else { return Vec::new() };
    let files = message["filenames"].as_array().into_iter().flatten().filter_map(|file| file.as_str());
    files.filter(|file| file.ends_with(".wasm")).map(PathBuf::from).collect()
}

fn read_module(path: PathBuf) -> Result<Module, BuildError> {
    let bytes = std::fs::read(&path).map_err(|error| BuildError::read(&path, error))?;
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Module { name, bytes })
}
