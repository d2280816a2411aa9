//! Rules that no compiler checks: the arrows between crates, file length, no leftovers, docs that name what is there.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use innkeeper_tidy::{Edge, Modules, TABLE_COLUMNS_MAX, docs, files, files_under, top, wide_tables};

/// The allowed dependencies within the workspace: the left crate on the right ones. Tests may depend on anything.
const ARROWS: [(&str, &[&str]); 20] = [
    ("innkeeper-core", &[]),
    ("innkeeper-wasm", &["innkeeper-core"]),
    ("innkeeper-rustls", &["innkeeper-core"]),
    ("innkeeper-proxy", &["innkeeper-core", "innkeeper-rustls", "innkeeper-wasm"]),
    ("innkeeper-serve", &["innkeeper-proxy"]),
    ("innkeeper-build", &[]),
    ("innkeeper-check", &["innkeeper-core"]),
    (
        "innkeeper",
        &[
            "innkeeper-artifacts",
            "innkeeper-build",
            "innkeeper-check",
            "innkeeper-core",
            "innkeeper-program",
            "innkeeper-proxy",
            "innkeeper-serve",
            "innkeeper-wasm",
        ],
    ),
    ("innkeeper-attack", &["innkeeper-corpus", "innkeeper-program", "innkeeper-proxy"]),
    ("innkeeper-program", &["innkeeper-core", "innkeeper-proxy", "innkeeper-wasm"]),
    ("innkeeper-guest", &[]),
    ("innkeeper-guest-lru", &["innkeeper-guest"]),
    ("innkeeper-guest-ttl", &["innkeeper-guest"]),
    ("innkeeper-guest-quota", &["innkeeper-guest"]),
    ("innkeeper-guest-lfu", &["innkeeper-guest"]),
    ("innkeeper-guest-random", &["innkeeper-guest"]),
    ("innkeeper-guest-hostile", &["innkeeper-guest"]),
    ("innkeeper-embed", &["innkeeper-build"]),
    ("innkeeper-artifacts", &["innkeeper-embed"]),
    ("innkeeper-corpus", &["innkeeper-artifacts", "innkeeper-build", "innkeeper-embed"]),
];

/// The crates that may name a heavy dependency. The binary may name any that it needs.
const HEAVY: [(&str, &[&str]); 8] = [
    ("wasmtime", &["innkeeper-wasm"]),
    ("wasmtime-wasi", &["innkeeper-wasm"]),
    ("rustls", &["innkeeper-rustls"]),
    ("tokio-rustls", &["innkeeper-proxy", "innkeeper-program"]),
    ("tokio", &["innkeeper-proxy", "innkeeper-serve", "innkeeper-program", "innkeeper", "innkeeper-attack"]),
    ("axum", &["innkeeper-serve"]),
    ("toml", &["innkeeper-serve"]),
    ("anyhow", &["innkeeper-program", "innkeeper", "innkeeper-attack"]),
];

/// Lines of a file before its tests, at most.
const LINES_MAX: usize = 800;

/// Rooms of `host/core`, and the rooms that each may use besides itself. All may use the files of the ground.
const ROOMS: [(&str, &[&str]); 5] = [
    ("owner", &["cache", "guest", "contract", "vault"]),
    ("cache", &["guest", "contract", "vault"]),
    ("guest", &["contract", "vault"]),
    ("contract", &[]),
    ("vault", &["contract"]),
];

/// Modules of `host/core` that every room may use, and that use no room.
const GROUND: [&str; 2] = ["sync", "clock"];

/// Crates without circles between their files.
const STRAIGHT: [&str; 5] = ["host/core", "host/wasm", "host/proxy", "host/check", "guests/sdk"];

/// Crates that may name a heavy dependency through another crate's `pub use`, besides those of [`HEAVY`].
const THROUGH: [(&str, &[&str]); 1] = [("rustls", &["innkeeper-proxy", "innkeeper-program", "innkeeper"])];

/// Doc comments that begin with an asking word, in percent of all: less than this.
const ASKING_PERCENT: f64 = 5.0;

/// Vendored crates, in which none of the rules holds. What is ours beside them is held to the rules.
const VENDORED: [&str; 1] = ["host/rustls/vendor/rustls"];

/// Texts that are never committed.
const LEFTOVERS: [&str; 5] = ["to\x64o!(", "unimpl\x65mented!(", "FIX\x4dE", "XX\x58", "db\x67!("];

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(top().join("Cargo.toml")).no_deps().exec().unwrap()
}

fn is_under_tests(metadata: &Metadata, manifest: &Path) -> bool {
    manifest.starts_with(metadata.workspace_root.as_std_path().join("tests"))
}

fn with_ending(ending: &str) -> impl Iterator<Item = (PathBuf, String)> {
    files_under("", ending).into_iter()
}

#[test]
fn crates_depend_along_the_arrows() {
    let metadata = metadata();
    let own: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let mut seen = 0;
    for package in &metadata.packages {
        if is_under_tests(&metadata, package.manifest_path.as_std_path()) {
            continue;
        }
        let (_, allowed) = ARROWS
            .iter()
            .find(|(name, _)| *name == package.name.as_str())
            .unwrap_or_else(|| panic!("crate {} has no arrows: add it to ARROWS and to ARCHITECTURE.md", package.name));
        seen += 1;
        for dependency in package.dependencies.iter().filter(|dependency| own.contains(dependency.name.as_str())) {
            let is_allowed = allowed.contains(&dependency.name.as_str());
            assert!(
                is_allowed || dependency.kind == DependencyKind::Development,
                "{} may not depend on {}",
                package.name,
                dependency.name
            );
        }
    }
    assert_eq!(seen, ARROWS.len(), "ARROWS has a crate that is not there");
}

#[test]
fn heavy_dependencies_have_one_place() {
    let metadata = metadata();
    for package in &metadata.packages {
        if is_under_tests(&metadata, package.manifest_path.as_std_path()) {
            continue;
        }
        let normal = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
        for dependency in normal {
            if let Some((_, allowed)) = HEAVY.iter().find(|(name, _)| *name == dependency.name) {
                let is_allowed = allowed.contains(&package.name.as_str());
                assert!(is_allowed, "{} may not name {}", package.name, dependency.name);
            }
        }
    }
}

/// True if a path of a crate leads to a heavy crate, through re-exports or not.
fn leads_to(heavy: &str, path: &[String], reexports: &BTreeMap<String, BTreeMap<String, Vec<String>>>) -> bool {
    let [first, second, rest @ ..] = path else { return path.first().is_some_and(|first| first == heavy) };
    let Some(own) = reexports.get(first) else {
        // The name tells what another's crate re-exports: `tokio_rustls::rustls` is rustls.
        let is_crate = HEAVY.iter().any(|(name, _)| name.replace('-', "_") == *second);
        return if is_crate { second == heavy } else { first == heavy };
    };
    own.get(second).is_some_and(|target| leads_to(heavy, &[target, rest].concat(), reexports))
}

#[test]
fn heavy_dependencies_have_one_place_through_reexports_too() {
    let metadata = metadata();
    let of_package =
        |manifest: &Path| Modules::of(&manifest.parent().unwrap().strip_prefix(top()).unwrap().to_string_lossy());
    let packages = metadata.packages.iter().map(|package| (package.name.as_str(), package.manifest_path.as_std_path()));
    let own: Vec<(&str, Modules)> = packages
        .filter(|(_, manifest)| !is_under_tests(&metadata, manifest) && manifest.starts_with(top().join("host")))
        .map(|(name, manifest)| (name, of_package(manifest)))
        .collect();
    let reexports = own.iter().map(|(name, modules)| (name.replace('-', "_"), modules.reexports())).collect();
    let mut wrong = Vec::new();
    for (name, modules) in &own {
        for (heavy, allowed) in HEAVY {
            let through = THROUGH.iter().filter(|(crate_name, _)| *crate_name == heavy).flat_map(|(_, names)| *names);
            if allowed.iter().chain(through).any(|allowed| allowed == name) {
                continue;
            }
            let heavy = heavy.replace('-', "_");
            let paths = modules.foreign().into_iter().filter(|path| leads_to(&heavy, path, &reexports));
            wrong.extend(paths.map(|path| format!("{name} may not name {heavy}: {}", path.join("::"))));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_two_files_use_each_other_in_a_circle() {
    let of = |folder: &str| {
        let circles = Modules::of(folder).circles();
        circles.into_iter().map(|circle| format!("{folder}/src: {}", circle.join(" "))).collect::<Vec<_>>()
    };
    let circles: Vec<String> = STRAIGHT.into_iter().flat_map(of).collect();
    assert!(circles.is_empty(), "circles of files:\n{}", circles.join("\n"));
}

#[test]
fn the_rooms_of_the_core_use_each_other_downwards() {
    let room = |file: &str| file.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned();
    let modules = Modules::of("host/core");
    let is_known = |room: &str| room == "lib" || GROUND.contains(&room) || ROOMS.iter().any(|(name, _)| *name == room);
    let outside: Vec<&str> = modules.files().filter(|file| !is_known(&room(file))).collect();
    assert!(outside.is_empty(), "files of host/core/src in no room: {}", outside.join(" "));
    let is_wrong = |edge: &Edge| {
        let (from, to) = (room(&edge.from), room(&edge.to));
        let allowed = ROOMS.iter().find(|(name, _)| *name == from).map_or(&[][..], |(_, allowed)| *allowed);
        from != "lib" && from != to && !GROUND.contains(&to.as_str()) && !allowed.contains(&to.as_str())
    };
    let wrong: Vec<String> =
        modules.edges().into_iter().filter(is_wrong).map(|Edge { from, to }| format!("{from} uses {to}")).collect();
    assert!(wrong.is_empty(), "uses between rooms of host/core/src that no arrow allows:\n{}", wrong.join("\n"));
}

#[test]
fn doc_comments_begin_with_a_noun_or_a_verb() {
    let figures = ["host", "guests", "tests"].map(|folder| (folder, docs(folder)));
    let asking: Vec<String> = figures
        .into_iter()
        .filter(|(_, docs)| docs.percent() >= ASKING_PERCENT)
        .map(|(folder, docs)| {
            format!("{folder}: {} of {} doc comments, {:.1} %", docs.asking, docs.all, docs.percent())
        })
        .collect();
    assert!(asking.is_empty(), "doc comments that begin with an asking word:\n{}", asking.join("\n"));
}

#[test]
fn tables_are_narrow() {
    let wide = wide_tables("").into_iter().map(|(file, line)| format!("{}:{line}", file.display()));
    let wide: Vec<String> = wide.collect();
    assert!(wide.is_empty(), "tables of more than {TABLE_COLUMNS_MAX} columns:\n{}", wide.join("\n"));
}

#[test]
fn every_crate_has_the_workspace_lints_and_versions() {
    for (file, text) in with_ending("toml").filter(|(file, _)| file.ends_with("Cargo.toml")) {
        // The fuzz targets are a workspace of their own, built by another compiler with other flags: nothing to
        // inherit.
        if [top(), top().join("tests/fuzz")].iter().any(|own| file.parent() == Some(own)) {
            continue;
        }
        // Nor do the other runtimes that the benchmarks stand beside.
        if file.starts_with(top().join("tests/bench/peers")) {
            continue;
        }
        // What `innkeeper new` writes stands alone.
        if file.starts_with(top().join("guests/rust/new")) {
            continue;
        }
        assert!(text.contains("[lints]\nworkspace = true"), "{} has lints of its own", file.display());
        let dependencies = text.split("dependencies]").skip(1).flat_map(|section| {
            section.lines().skip(1).take_while(|line| !line.starts_with('[')).filter(|line| !line.is_empty())
        });
        for line in dependencies {
            assert!(line.contains("workspace = true"), "{}: a version belongs in the root: {line}", file.display());
        }
    }
}

#[test]
fn vendored_crates_are_what_is_built() {
    for folder in VENDORED {
        let manifest = fs::read_to_string(top().join(folder).join("Cargo.toml")).unwrap();
        let line = |key: &str| manifest.lines().find(|line| line.starts_with(key)).unwrap();
        let (name, version) = (line("name = "), line("version = "));
        let mut locks = 0;
        for (file, text) in with_ending("lock") {
            let named: Vec<&str> =
                text.split("[[package]]").filter(|package| package.lines().any(|line| line == name)).collect();
            let [package] = named.as_slice() else {
                assert!(named.is_empty(), "{} has {name} more than once", file.display());
                continue;
            };
            let is_locked = package.lines().any(|line| line == version);
            assert!(is_locked, "{}: {name} is of another version than in {folder}: {package}", file.display());
            let is_vendored = !package.lines().any(|line| line.starts_with("source = "));
            assert!(is_vendored, "{}: {name} is not what is in {folder}: {package}", file.display());
            locks += 1;
        }
        assert_eq!(locks, 2, "both workspaces that use {name} have it from {folder}");
        let about = fs::read_to_string(top().join(folder).join("../README.md")).unwrap();
        let version = version.split('"').nth(1).unwrap();
        assert!(about.contains(version), "the file beside {folder} names another version than {version}");
    }
}

#[test]
fn unsafe_code_has_one_place() {
    let lifts = ["expect(uns\x61fe_code", "allow(uns\x61fe_code", "warn(uns\x61fe_code"];
    let lifting: Vec<PathBuf> = with_ending("rs")
        .filter(|(_, text)| lifts.iter().any(|lift| text.contains(lift)))
        .map(|(file, _)| file)
        .collect();
    assert_eq!(lifting, [top().join("host/wasm/src/precompiled.rs")], "the workspace denies it everywhere else");
}

#[test]
fn files_are_short() {
    for (file, text) in with_ending("rs").chain(with_ending("c")) {
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let lines = code.lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines: the most is {LINES_MAX}", file.display());
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    for (file, text) in with_ending("rs") {
        assert!(text.starts_with("//!"), "{} does not begin with `//!`", file.display());
    }
}

#[test]
fn nothing_is_left_over() {
    for (file, text) in with_ending("rs").chain(with_ending("c")).chain(with_ending("md")).chain(with_ending("wit")) {
        for leftover in LEFTOVERS {
            assert!(!text.contains(leftover), "{} has `{leftover}`", file.display());
        }
    }
}

#[test]
fn no_test_is_skipped_or_sleeps() {
    let forbidden = ["#[ignore", "#[should_p\x61nic", "thread::sl\x65ep"];
    for (file, text) in with_ending("rs").filter(|(file, _)| !file.ends_with("tidy.rs")) {
        for words in forbidden {
            assert!(!text.contains(words), "{} has `{words}`", file.display());
        }
    }
}

#[test]
fn no_file_names_a_machine() {
    let home = ["/ro\x6ft/", "/ho\x6de/", "/wo\x72k/"];
    for file in files() {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for path in home {
            assert!(!text.contains(path), "{} has the path `{path}`", file.display());
        }
    }
}

#[test]
fn documents_name_files_that_are_there() {
    let mut links = 0;
    for (file, text) in with_ending("md") {
        let folder = file.parent().unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let path = folder.join(target.split('#').next().unwrap_or_default());
            assert!(path.exists(), "{} links to {target}, which is not there", file.display());
            links += 1;
        }
    }
    assert!(links > 0, "the documents link to each other");
}
