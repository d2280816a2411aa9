//! A test of the suite itself: the named case finds each guest with a mistake.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use innkeeper_build::{RustTarget, build_c, build_rust, component_from_module};
use innkeeper_check::{Options, Subject, check};
use innkeeper_conformance::{
    c_mutants::{C_MUTANTS, CMutant},
    load_bytes,
    mutants::{MUTANTS, Mutant},
    top,
};
use innkeeper_core::{Limits, SizeClass};
use innkeeper_wasm::{Compilation, Engine, EngineConfig, Wasi};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let engine = Engine::new(EngineConfig::new(SizeClass::Small, Compilation::Trusted)).expect("the engine starts");
    let rust = rust_components().into_iter().map(|(mutant, bytes)| ("rust", mutant, bytes));
    let c = C_MUTANTS.iter().map(|mutant| ("c", mutant.mutant, c_component(mutant)));
    let trials = rust.chain(c).map(|(language, mutant, bytes)| {
        let engine = engine.clone();
        Trial::test(format!("{language} {}: {}", mutant.name, mutant.what), move || is_found(&engine, &mutant, &bytes))
    });
    libtest_mimic::run(&args, trials.collect()).exit_code()
}

/// Checks that the named case fails. The conformance tests show that the guests without mistakes pass every case.
fn is_found(engine: &Engine, mutant: &Mutant, bytes: &[u8]) -> Result<(), Failed> {
    let guest = load_bytes(engine, bytes, SizeClass::Small, Wasi::None)?;
    let mut subject = Subject::new(Arc::clone(&guest), Limits::new(SizeClass::Small));
    // An endless loop must end soon.
    subject.limits.fuel_burst = 1 << 50;
    subject.limits.time_burst = Duration::from_secs(3_600);
    let options = Options { only: vec![mutant.case.into()], ..Options::default() };
    let report = check(&subject, &options, &mut |_| {});
    match report.failed() {
        0 => Err(format!("`{}` finds nothing wrong", mutant.case).into()),
        _ => Ok(()),
    }
}

/// Puts a mistake into a source.
fn mutated(source: &str, mutant: &Mutant) -> String {
    assert_eq!(source.matches(mutant.from).count(), 1, "{}: its text occurs once", mutant.name);
    source.replace(mutant.from, mutant.to)
}

/// Builds every guest in Rust with a mistake, as the examples of one package, by one cargo.
fn rust_components() -> Vec<(Mutant, Vec<u8>)> {
    let folder = top().join("target/guests/mutants");
    let source = fs::read_to_string(top().join("guests/rust/lru/src/lib.rs")).expect("the guest has a source");
    let sdk = top().join("guests/sdk").canonicalize().expect("the checkout has the guest kit");
    let mut manifest = format!(
        "[package]\nname = \"mutants\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\ninnkeeper-guest = {{ path = {sdk:?} }}\n"
    );
    for mutant in MUTANTS {
        let example = format!("\n[[example]]\nname = \"{}\"\ncrate-type = [\"cdylib\"]\n", mutant.name);
        manifest.write_str(&example).expect("a string takes any text");
        write_changed(&folder.join(format!("examples/{}.rs", mutant.name)), &mutated(&source, mutant));
    }
    write_changed(&folder.join("Cargo.toml"), &manifest);
    write_changed(&folder.join("src/lib.rs"), "");
    // The same versions as in the workspace.
    let lock = fs::read_to_string(top().join("Cargo.lock")).expect("the workspace is locked");
    if !folder.join("Cargo.lock").exists() {
        write_changed(&folder.join("Cargo.lock"), &lock);
    }
    let target = folder.join("target");
    let modules = build_rust(&folder.join("Cargo.toml"), RustTarget::Unknown, Some(&target), &["--examples"]);
    let modules = modules.unwrap_or_else(|error| panic!("the mutants do not build: {error}"));
    let mut by_name: HashMap<String, Vec<u8>> =
        modules.into_iter().map(|module| (module.name.replace('_', "-"), module.bytes)).collect();
    let component = |mutant: &Mutant| {
        let module = by_name.remove(mutant.name).unwrap_or_else(|| panic!("cargo made no {}", mutant.name));
        let component = component_from_module(&module).unwrap_or_else(|error| panic!("{}: {error}", mutant.name));
        (*mutant, component.bytes)
    };
    MUTANTS.iter().map(component).collect()
}

/// Writes a file only if its text changes, so that cargo builds it once.
fn write_changed(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|own| own == text) {
        return;
    }
    let folder = path.parent().expect("a file is in a folder");
    fs::create_dir_all(folder).and_then(|()| fs::write(path, text)).expect("the target folder can be written");
}

fn c_component(CMutant { file, mutant }: &CMutant) -> Vec<u8> {
    let guests = top().join("guests/c");
    let scratch = tempfile::tempdir().expect("there is room for a folder");
    for folder in ["lru", "kit"] {
        fs::create_dir(scratch.path().join(folder)).expect("the folder can be written");
        for path in files(&guests.join(folder)) {
            let name = format!("{folder}/{}", path.file_name().unwrap_or_default().to_string_lossy());
            let source = fs::read_to_string(&path).expect("sources are text");
            let text = if name == *file { mutated(&source, mutant) } else { source };
            fs::write(scratch.path().join(name), text).expect("the folder can be written");
        }
    }
    let component = build_c(&scratch.path().join("lru"));
    component.unwrap_or_else(|error| panic!("{}: {error}", mutant.name)).bytes
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there").flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}
