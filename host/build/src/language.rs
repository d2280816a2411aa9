//! The languages of guests, one row for each: builds, `innkeeper new`, messages and help are made from it.

use std::path::Path;

use crate::{
    c::build_c, component::Component, cpp::build_cpp, error::BuildError, js::build_js, python::build_python,
    rust::build_rust_folder, source::files_with, zig::build_zig,
};

/// A language of guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// A Cargo package.
    Rust,
    /// A folder with a `guest.js`.
    JavaScript,
    /// A folder with a `guest.py`.
    Python,
    /// A folder of C++ files, with C files beside them or without.
    Cpp,
    /// A folder of C files.
    C,
    /// A folder with a Zig file.
    Zig,
}

/// Everything that depends on a language.
#[derive(Clone, Copy, Debug)]
pub struct LanguageRow {
    /// The language.
    pub language: Language,
    /// Its name in tables.
    pub name: &'static str,
    /// Its names on the command line, the usual one first.
    pub aliases: &'static [&'static str],
    /// The file by which a source folder is known.
    pub mark: Mark,
    /// The tools that build a guest.
    pub tools: &'static str,
    /// The size class of its guests.
    pub size_class: &'static str,
    /// The beginning of a new guest.
    pub starter: Starter,
    build: fn(&Path) -> Result<Component, BuildError>,
}

/// The file by which a source folder is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A file of this name.
    File(&'static str),
    /// Any file with this ending.
    Ending(&'static str),
}

/// The beginning of a new guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starter {
    /// `innkeeper new` makes it of this folder of the repository.
    Folder(&'static str),
    /// `innkeeper new` has none: the reason, and what to do instead.
    Missing(&'static str),
}

/// Every language, in the order of the enum, and in the order in which a folder is tried: a guest in C++ may have C
/// files, too.
pub static LANGUAGES: [LanguageRow; 6] = [
    LanguageRow {
        language: Language::Rust,
        name: "Rust",
        aliases: &["rust", "rs"],
        mark: Mark::File("Cargo.toml"),
        tools: "cargo, target wasm32-unknown-unknown",
        size_class: "small",
        starter: Starter::Folder("guests/rust"),
        build: build_rust_folder,
    },
    LanguageRow {
        language: Language::JavaScript,
        name: "JavaScript",
        aliases: &["js", "javascript"],
        mark: Mark::File("guest.js"),
        tools: "node, componentize-qjs",
        size_class: "large",
        starter: Starter::Folder("guests/js"),
        build: build_js,
    },
    LanguageRow {
        language: Language::Python,
        name: "Python",
        aliases: &["python", "py"],
        mark: Mark::File("guest.py"),
        tools: "componentize-py",
        size_class: "large",
        starter: Starter::Folder("guests/python"),
        build: build_python,
    },
    LanguageRow {
        language: Language::Cpp,
        name: "C++",
        aliases: &["cpp", "c++"],
        mark: Mark::Ending("cpp"),
        tools: "clang, lld, wasi-libc, libc++",
        size_class: "small",
        starter: Starter::Folder("guests/cpp"),
        build: build_cpp,
    },
    LanguageRow {
        language: Language::C,
        name: "C",
        aliases: &["c"],
        mark: Mark::Ending("c"),
        tools: "clang, lld, wasi-libc",
        size_class: "small",
        starter: Starter::Folder("guests/c"),
        build: build_c,
    },
    LanguageRow {
        language: Language::Zig,
        name: "Zig",
        aliases: &["zig"],
        mark: Mark::Ending("zig"),
        tools: "zig",
        size_class: "small",
        starter: Starter::Missing("Zig has no kit; copy guests/zig/lru of the repository instead"),
        build: build_zig,
    },
];

impl Language {
    /// Its row of [`LANGUAGES`].
    pub fn row(self) -> &'static LanguageRow {
        &LANGUAGES[self as usize]
    }

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The language with a name or alias, in any case.
    pub fn of_name(name: &str) -> Option<Self> {
        let is_named = |row: &&LanguageRow| row.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name));
        LANGUAGES.iter().find(is_named).map(|row| row.language)
    }

    /// The language of a source folder, known by its files.
    ///
    /// # Errors
    /// When the folder has no file of any language.
    pub fn of_folder(folder: &Path) -> Result<Self, BuildError> {
        for row in &LANGUAGES {
            let is_marked = match row.mark {
                Mark::File(name) => folder.join(name).is_file(),
                Mark::Ending(ending) => !files_with(folder, ending)?.is_empty(),
            };
            if is_marked {
                return Ok(row.language);
            }
        }
        let marks: Vec<String> = LANGUAGES.iter().map(|row| row.mark.to_string()).collect();
        Err(BuildError::UnknownLanguage { folder: folder.to_owned(), marks: marks.join(", ") })
    }
}

impl LanguageRow {
    /// Builds a source folder of this language. Runs for up to some minutes.
    ///
    /// # Errors
    /// When a tool is missing or fails, or the result is not a guest.
    pub fn build(&self, folder: &Path) -> Result<Component, BuildError> {
        (self.build)(folder)
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(name) => write!(f, "`{name}`"),
            Self::Ending(ending) => write!(f, "a `.{ending}` file"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_has_its_row_and_names_of_its_own() {
        let mut seen = Vec::new();
        for (at, row) in LANGUAGES.iter().enumerate() {
            assert_eq!((row.language as usize, row.language.row().name), (at, row.name));
            for alias in row.aliases {
                assert_eq!(Language::of_name(&alias.to_uppercase()), Some(row.language));
                assert!(!seen.contains(alias), "{alias} names two languages");
                seen.push(alias);
            }
            assert!(!row.aliases.is_empty() && !row.tools.is_empty(), "{}", row.name);
        }
    }

    #[test]
    fn a_folder_is_known_by_its_mark() {
        for row in &LANGUAGES {
            let folder = tempfile::tempdir().unwrap();
            let file = match row.mark {
                Mark::File(name) => name.to_owned(),
                Mark::Ending(ending) => format!("guest.{ending}"),
            };
            std::fs::write(folder.path().join(file), "").unwrap();
            assert_eq!(Language::of_folder(folder.path()).unwrap(), row.language);
        }
        let empty = tempfile::tempdir().unwrap();
        let error = Language::of_folder(empty.path()).unwrap_err().to_string();
        assert!(LANGUAGES.iter().all(|row| error.contains(&row.mark.to_string())), "{error}");
    }
}
