//! Uses of one file of a crate by another: edges between files, circles among them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::{
    code, files_under,
    imports::{Import, imports, paths},
    source::has_word,
    top,
};

/// One file uses another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// The file that uses the other, from the crate's `src` folder.
    pub from: String,
    /// The file that is used.
    pub to: String,
}

/// The modules of one crate. A re-export leads to the file that defines the name.
pub struct Modules {
    modules: BTreeMap<Vec<String>, Module>,
}

struct Module {
    file: String,
    imports: Vec<Import>,
    code: String,
}

impl Modules {
    /// Reads the modules of the crate in a folder, without those of its tests.
    ///
    /// # Panics
    /// If a file cannot be read.
    pub fn of(folder: &str) -> Self {
        let src = top().join(folder).join("src");
        let sources = files_under(&format!("{folder}/src"), "rs");
        assert!(!sources.is_empty(), "{folder}/src has no Rust files");
        let named = |(file, text): (std::path::PathBuf, String)| {
            (file.strip_prefix(&src).expect("the file lies in the folder").to_string_lossy().into_owned(), text)
        };
        Self::from_sources(sources.into_iter().map(named))
    }

    fn from_sources(sources: impl Iterator<Item = (String, String)>) -> Self {
        let mut modules = BTreeMap::new();
        let mut tests = BTreeSet::new();
        for (file, text) in sources {
            let path = module_path(&file);
            for name in text.split("#[cfg(test)]\nmod ").skip(1).filter_map(|rest| rest.split_once(';')) {
                tests.insert([path.as_slice(), &[name.0.to_owned()]].concat());
            }
            // A visibility's path is no use.
            let (imports, code) = imports(&code(&text).replace("pub(in crate::", "pub("));
            modules.insert(path, Module { file, imports, code });
        }
        modules.retain(|path, _| !tests.contains(path));
        Self { modules }
    }

    /// The crate's files.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.modules.values().map(|module| module.file.as_str())
    }

    /// Every use of one file by another, once.
    ///
    /// A file that only re-exports a name does not use the file that defines it.
    pub fn edges(&self) -> BTreeSet<Edge> {
        let mut edges = BTreeSet::new();
        for (path, module) in &self.modules {
            let is_named = |name: &str| name != "*" && has_word(&module.code, name);
            let used = module.imports.iter().filter(|import| !import.is_public || is_named(&import.name));
            let is_first =
                |first: &str| matches!(first, "crate" | "self" | "super") || self.child(path, first).is_some();
            let spelled = paths(&module.code, is_first);
            for target in used.map(|import| &import.path).chain(&spelled) {
                let Some(to) = self.absolute(path, target).and_then(|target| self.file(&target)) else { continue };
                if to != module.file {
                    edges.insert(Edge { from: module.file.clone(), to: to.to_owned() });
                }
            }
        }
        edges
    }

    /// The pairs of files that use each other.
    pub fn pairs(&self) -> Vec<(String, String)> {
        let edges = self.edges();
        let is_mutual = |edge: &&Edge| {
            edge.from < edge.to && edges.contains(&Edge { from: edge.to.clone(), to: edge.from.clone() })
        };
        edges.iter().filter(is_mutual).map(|edge| (edge.from.clone(), edge.to.clone())).collect()
    }

    /// Groups of files in which each uses every other, by some way.
    pub fn circles(&self) -> Vec<Vec<String>> {
        circles(&self.edges())
    }

    /// Every path of other crates that the crate names.
    pub fn foreign(&self) -> BTreeSet<Vec<String>> {
        let mut foreign = BTreeSet::new();
        for (path, module) in &self.modules {
            let is_crate = |first: &str| first.starts_with(|letter: char| letter.is_lowercase());
            let spelled = paths(&module.code, is_crate);
            let all = module.imports.iter().map(|import| &import.path).chain(&spelled);
            foreign.extend(all.filter(|target| self.absolute(path, target).is_none()).cloned());
        }
        foreign
    }

    /// Names of other crates that the crate's root lets others see, each with its path there.
    pub fn reexports(&self) -> BTreeMap<String, Vec<String>> {
        let Some(root) = self.modules.get(&[][..]) else { return BTreeMap::new() };
        let public = root.imports.iter().filter(|import| import.is_public);
        public.filter_map(|import| Some((import.name.clone(), self.origin(&[], &import.path, 0)?))).collect()
    }

    /// The path in another crate that a path in a module leads to, if it leads to one.
    fn origin(&self, module: &[String], path: &[String], depth: usize) -> Option<Vec<String>> {
        /// Re-exports of re-exports that are followed.
        const DEPTH_MAX: usize = 8;
        let Some(target) = self.absolute(module, path) else { return Some(path.to_vec()) };
        let (name, own) = target.split_last()?;
        let import = self.modules.get(own)?.imports.iter().find(|import| import.name == *name)?;
        (depth < DEPTH_MAX).then(|| self.origin(own, &import.path, depth + 1))?
    }

    fn child(&self, path: &[String], name: &str) -> Option<Vec<String>> {
        let child = [path, &[name.to_owned()]].concat();
        self.modules.contains_key(&child).then_some(child)
    }

    /// A path from the crate's root, for one that is written in a module. None for another crate's.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module, rest].concat()),
            "super" => {
                let (_, parent) = module.split_last()?;
                match rest.first().map(String::as_str) {
                    Some("super") => self.absolute(parent, rest),
                    _ => Some([parent, rest].concat()),
                }
            }
            name => self.child(module, name).map(|child| [&child, rest].concat()),
        }
    }

    /// The file that defines what an absolute path names.
    fn file(&self, path: &[String]) -> Option<&str> {
        self.resolved(path, &mut BTreeSet::new())
    }

    fn resolved(&self, path: &[String], seen: &mut BTreeSet<Vec<String>>) -> Option<&str> {
        if !seen.insert(path.to_vec()) {
            return None;
        }
        let depth = (0..=path.len()).rev().find(|depth| self.modules.contains_key(&path[..*depth]))?;
        let (own, rest) = path.split_at(depth);
        let module = &self.modules[own];
        let Some((name, rest)) = rest.split_first() else { return Some(&module.file) };
        if is_defined(&module.code, name) {
            return Some(&module.file);
        }
        let by_name = module.imports.iter().filter(|import| import.name == *name).map(|import| (import, rest.to_vec()));
        let whole = || [std::slice::from_ref(name), rest].concat();
        let by_glob = module.imports.iter().filter(|import| import.name == "*").map(|import| (import, whole()));
        for (import, rest) in by_name.chain(by_glob) {
            let Some(target) = self.absolute(own, &import.path) else {
                // Another crate's name, which this file lets others see.
                if import.name == *name {
                    return Some(&module.file);
                }
                continue;
            };
            if let Some(file) = self.resolved(&[target, rest].concat(), seen) {
                return Some(file);
            }
        }
        // A macro's or another item that is not seen as a definition.
        (own.is_empty() || !module.imports.iter().any(|import| import.name == "*")).then_some(&module.file)
    }
}

/// The module that a file is, as a path from the crate's root.
fn module_path(file: &str) -> Vec<String> {
    let stem = Path::new(file).with_extension("");
    let mut path: Vec<String> = stem.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if path.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
        path.pop();
    }
    path
}

/// True if a code defines an item with a name.
fn is_defined(code: &str, name: &str) -> bool {
    const KINDS: [&str; 9] = ["fn", "struct", "enum", "trait", "const", "static", "type", "mod", "union"];
    code.match_indices(name).any(|(at, _)| {
        let is_end = !code[at + name.len()..].starts_with(|letter: char| letter.is_alphanumeric() || letter == '_');
        is_end && KINDS.iter().any(|kind| code[..at].ends_with(&format!("{kind} ")))
    })
}

/// The strongly connected components of two files and more.
fn circles(edges: &BTreeSet<Edge>) -> Vec<Vec<String>> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for edge in edges {
        next.entry(&edge.from).or_default().push(&edge.to);
    }
    let all: BTreeMap<&str, BTreeSet<&str>> = next.keys().map(|file| (*file, reached(&next, file))).collect();
    let mut circles: BTreeSet<Vec<String>> = BTreeSet::new();
    for (file, files) in all.iter().filter(|(file, files)| files.contains(*file)) {
        let is_mutual = |to: &&&str| all.get(**to).is_some_and(|back| back.contains(file));
        circles.insert(files.iter().filter(is_mutual).map(|to| (*to).to_owned()).collect());
    }
    circles.into_iter().collect()
}

/// The files that a file uses, by some way.
fn reached<'a>(next: &BTreeMap<&'a str, Vec<&'a str>>, from: &'a str) -> BTreeSet<&'a str> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(file) = open.pop() {
        open.extend(next.get(file).into_iter().flatten().filter(|to| seen.insert(**to)));
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::{Edge, Modules};

    fn modules(sources: &[(&str, &str)]) -> Modules {
        Modules::from_sources(sources.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())))
    }

    fn edges(sources: &[(&str, &str)]) -> Vec<String> {
        modules(sources).edges().into_iter().map(|Edge { from, to }| format!("{from} {to}")).collect()
    }

    #[test]
    fn a_reexport_leads_to_the_file_that_defines_the_name() {
        let lib = ("lib.rs", "mod a;\nmod b;\npub use crate::{a::A, b::*};\n");
        let a = ("a.rs", "use crate::B;\npub struct A;\n");
        let b = ("b/mod.rs", "mod c;\npub(crate) use self::c::B;\n");
        let c = ("b/c.rs", "pub struct B;\nfn a() -> crate::A {}\n");
        assert_eq!(edges(&[lib, a, b, c]), ["a.rs b/c.rs", "b/c.rs a.rs"]);
        assert_eq!(modules(&[lib, a, b, c]).circles(), [["a.rs", "b/c.rs"]]);
        assert_eq!(modules(&[lib, a, b, c]).pairs().len(), 1);
    }

    #[test]
    fn a_parent_and_a_child_may_be_a_circle() {
        let parent = ("a.rs", "mod b;\nfn c() { b::d() }\nstruct E;\n");
        let child = ("a/b.rs", "use super::E;\npub fn d() {}\n");
        assert_eq!(edges(&[("lib.rs", "mod a;\n"), parent, child]), ["a.rs a/b.rs", "a/b.rs a.rs"]);
    }

    #[test]
    fn a_name_of_another_crate_is_seen_through_reexports() {
        let lib = ("lib.rs", "mod a;\npub use crate::a::C;\npub use tokio_rustls::rustls as tls;\n");
        let a = ("a.rs", "pub use rustls::C;\nfn d() { other::e::f() }\n");
        let modules = modules(&[lib, a]);
        let told: Vec<String> = modules.foreign().iter().map(|path| path.join("::")).collect();
        assert_eq!(told, ["other::e::f", "rustls::C", "tokio_rustls::rustls"]);
        let reexports = modules.reexports();
        assert_eq!(reexports["C"], ["rustls", "C"]);
        assert_eq!(reexports["tls"], ["tokio_rustls", "rustls"]);
    }

    #[test]
    fn tests_comments_and_other_crates_are_no_use() {
        let a = ("a.rs", "use std::b::C;\n// crate::b::C\n#[cfg(test)]\nmod tests;\n");
        let tests = ("a/tests.rs", "use super::*;\nuse crate::b::C;\n");
        assert!(edges(&[("lib.rs", "mod a;\nmod b;\n"), a, tests, ("b.rs", "pub struct C;\n")]).is_empty());
    }
}
