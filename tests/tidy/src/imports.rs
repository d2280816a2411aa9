//! Paths that a source names: those of its `use` declarations, and those that its code spells out.

/// A path that a `use` declaration brings in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    /// The path, as it is written.
    pub(crate) path: Vec<String>,
    /// The name under which it is known here; `*` for a glob.
    pub(crate) name: String,
    /// True if others may see it: `pub`, `pub(crate)` or `pub(super)`.
    pub(crate) is_public: bool,
}

/// The `use` declarations of a code, and the code without them.
pub(crate) fn imports(code: &str) -> (Vec<Import>, String) {
    let (mut imports, mut rest) = (Vec::new(), String::new());
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let Some((is_public, tree)) = declaration(line.trim_start()) else {
            rest.push_str(line);
            rest.push('\n');
            continue;
        };
        let mut tree = tree.to_owned();
        while !tree.contains(';') {
            let Some(more) = lines.next() else { break };
            tree.push_str(more.trim());
        }
        let tree = tree.split(';').next().unwrap_or_default();
        expand(tree, &[], &mut |path, name| imports.push(Import { path, name, is_public }));
    }
    (imports, rest)
}

/// The tree of a `use` declaration that a line begins, and whether others may see what it brings in.
fn declaration(line: &str) -> Option<(bool, &str)> {
    if let Some(tree) = line.strip_prefix("use ") {
        return Some((false, tree));
    }
    let public = line.strip_prefix("pub")?;
    let (scope, tree) = public.split_once("use ")?;
    let is_scope = scope == " " || (scope.starts_with('(') && scope.ends_with(") ") && !scope.contains('\n'));
    is_scope.then_some((true, tree))
}

/// Calls `found` with every path of a tree and the name it is known by.
fn expand(tree: &str, before: &[String], found: &mut dyn FnMut(Vec<String>, String)) {
    let tree = tree.trim();
    if let Some((head, group)) = tree.split_once('{') {
        let group = group.trim_end().strip_suffix('}').unwrap_or(group);
        let path = joined(before, head.trim_end().trim_end_matches("::"));
        for part in parts(group) {
            expand(part, &path, found);
        }
        return;
    }
    let (path, alias) = match tree.split_once(" as ") {
        Some((path, alias)) => (path.trim(), Some(alias.trim().to_owned())),
        None => (tree, None),
    };
    let mut path = joined(before, path);
    if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
        path.pop();
    }
    let Some(last) = path.last().cloned() else { return };
    if last == "*" {
        path.pop();
    }
    found(path, alias.unwrap_or(last));
}

fn joined(before: &[String], path: &str) -> Vec<String> {
    let segments = path.split("::").map(str::trim).filter(|segment| !segment.is_empty());
    before.iter().cloned().chain(segments.map(str::to_owned)).collect()
}

/// The parts of a group, at its own commas.
fn parts(group: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0_usize, 0);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&group[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[from..]);
    parts.into_iter().filter(|part| !part.trim().is_empty()).collect()
}

/// Paths of two segments and more in a code, for which `is_first` accepts the first segment.
pub(crate) fn paths(code: &str, is_first: impl Fn(&str) -> bool) -> Vec<Vec<String>> {
    let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut paths = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(is_letter) {
        let is_inner = rest[..at].ends_with("::") || rest[..at].ends_with('\'');
        rest = &rest[at..];
        let mut path = Vec::new();
        loop {
            let end = rest.find(|letter| !is_letter(letter)).unwrap_or(rest.len());
            path.push(rest[..end].to_owned());
            rest = &rest[end..];
            match rest.strip_prefix("::") {
                Some(more) if more.starts_with(is_letter) => rest = more,
                _ => break,
            }
        }
        if !is_inner && path.len() > 1 && is_first(&path[0]) {
            paths.push(path);
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::{imports, paths};

    #[test]
    fn a_tree_is_expanded() {
        let code = "use crate::{\n    Acc, a::{self, B as C, d::*},\n};\npub(crate) use self::e::F;\nfn g() {}\n";
        let (found, rest) = imports(code);
        let told: Vec<String> =
            found.iter().map(|found| format!("{}={}:{}", found.name, found.path.join("::"), found.is_public)).collect();
        let expected = [
            "Acc=crate::Acc:false",
            "a=crate::a:false",
            "C=crate::a::B:false",
            "*=crate::a::d:false",
            "F=self::e::F:true",
        ];
        assert_eq!((told, rest.as_str()), (expected.map(str::to_owned).to_vec(), "fn g() {}\n"));
    }

    #[test]
    fn paths_are_found_in_code() {
        let found = paths("let a: crate::b::C<d::E> = f::g(crate::h!());", |first| first == "crate" || first == "d");
        let told: Vec<String> = found.iter().map(|path| path.join("::")).collect();
        assert_eq!(told, ["crate::b::C", "d::E", "crate::h"]);
    }
}
