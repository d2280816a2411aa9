//! Files of the repository, and their text without comments, strings and tests.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Other people's source, kept as they published it. No rule applies to it.
const VENDORED: [&str; 1] = ["host/rustls/vendor/rustls"];

/// The folder of the workspace.
///
/// # Panics
/// If the folder is gone.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace has a folder")
}

/// Every file that git tracks or would track, except vendored ones.
///
/// # Panics
/// If git does not run.
pub fn files() -> Vec<PathBuf> {
    let listed = Command::new("git").args(["ls-files", "-co", "--exclude-standard"]).current_dir(top()).output();
    let listed = listed.expect("git runs");
    assert!(listed.status.success(), "git lists the files");
    let names = String::from_utf8(listed.stdout).expect("names of files are UTF-8");
    let is_own = |name: &&str| !VENDORED.iter().any(|folder| Path::new(name).starts_with(folder));
    let files: Vec<PathBuf> =
        names.lines().filter(is_own).map(|name| top().join(name)).filter(|file| file.is_file()).collect();
    assert!(files.len() > 50, "git lists {} files: is the checkout ignored by a repository around it?", files.len());
    files
}

/// Files under a folder that end with an extension, each with its text.
///
/// # Panics
/// If a file cannot be read.
pub fn files_under(folder: &str, extension: &str) -> Vec<(PathBuf, String)> {
    let folder = top().join(folder);
    let is_wanted = |file: &PathBuf| file.starts_with(&folder) && file.extension().is_some_and(|e| e == extension);
    let read = |file: PathBuf| {
        let text = fs::read_to_string(&file).expect("a source file can be read");
        (file, text)
    };
    files().into_iter().filter(is_wanted).map(read).collect()
}

/// A source without comments, without the contents of strings, and without its tests.
pub fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = skipped(rest);
        match skipped {
            0 => code.push(first),
            _ => code.extend(rest[..skipped].chars().filter(|letter| *letter == '\n')),
        }
        rest = &rest[skipped.max(first.len_utf8())..];
    }
    code
}

/// The length of the comment, the string or the character that a text begins with, or zero.
fn skipped(text: &str) -> usize {
    let until = |end: &str, from: usize| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return until("*/", 2);
    }
    if let Some(raw) = text.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            return until(&format!("\"{}", "#".repeat(hashes)), hashes + 2);
        }
    }
    if text.starts_with("'\"'") || text.starts_with("'\\\"'") {
        return until("'", 2);
    }
    if text.starts_with('"') {
        let mut is_escaped = false;
        for (at, letter) in text.char_indices().skip(1) {
            match letter {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                '"' => return at + 1,
                _ => {}
            }
        }
        return text.len();
    }
    0
}

/// Sources of the host whose code names something, from the `host` folder.
pub fn naming(name: &str) -> Vec<String> {
    let host = top().join("host");
    let files = files_under("host", "rs").into_iter().filter_map(|(file, text)| {
        let file = file.strip_prefix(&host).ok()?.to_string_lossy().into_owned();
        (file.contains("/src/") && has_word(&code(&text), name)).then_some(file)
    });
    files.collect()
}

/// True if a word occurs in a code.
pub(crate) fn has_word(code: &str, word: &str) -> bool {
    let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
    code.match_indices(word)
        .any(|(at, _)| !code[..at].ends_with(is_letter) && !code[at + word.len()..].starts_with(is_letter))
}

/// Numbers of a struct's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// All fields.
    pub all: usize,
    /// Fields named `is_...` that hold an `AtomicBool` or an `AtomicU8`.
    pub flags: usize,
}

/// The fields of a struct in a source, if the struct is there.
pub fn fields(text: &str, name: &str) -> Option<Fields> {
    let code = code(text);
    let after = [format!("struct {name}<"), format!("struct {name} {{")];
    let at = after.iter().find_map(|head| code.find(head))?;
    let body = code[at..].split_once('{')?.1.split_once("\n}")?.0;
    let fields: Vec<&str> = body.lines().map(str::trim).filter(|line| line.contains(": ")).collect();
    let is_flag = |line: &&&str| {
        let name = line.split(": ").next().unwrap_or_default().rsplit(' ').next().unwrap_or_default();
        name.starts_with("is_") && (line.contains("AtomicBool") || line.contains("AtomicU8"))
    };
    Some(Fields { all: fields.len(), flags: fields.iter().filter(is_flag).count() })
}

#[cfg(test)]
mod tests {
    use super::{Fields, code, fields};

    #[test]
    fn code_has_neither_comments_nor_strings_nor_tests() {
        let text = "use a; // b\nlet c = \"crate::d\\\"\" /* e */;\nlet f = r#\"g\"h\"#;\nlet i = '\"';\n\
                    #[cfg(test)]\nmod tests {\n    use j;\n}\n";
        assert_eq!(code(text), "use a; \nlet c =  ;\nlet f = ;\nlet i = ;\n");
    }

    #[test]
    fn fields_and_flags_are_counted() {
        let text = "pub struct Cachet { a: u8 }\n\npub(crate) struct Cache<V> {\n    /// A: b.\n    pub(crate) value: V,\n    \
                    is_down: AtomicBool,\n    pub(crate) is_up: bool,\n    sleep: AtomicU8,\n}\n";
        assert_eq!(fields(text, "Cache"), Some(Fields { all: 4, flags: 1 }));
        assert_eq!(fields(text, "Vault"), None);
    }
}
