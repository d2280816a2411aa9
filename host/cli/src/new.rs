//! `innkeeper new`: a folder with a first guest, its tests and its build files.
//!
//! The folder is made of the repository's own guests, so an author begins with tested code.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use include_dir::{Dir, DirEntry, include_dir};
use innkeeper_build::{LANGUAGES, Language, LanguageRow, Starter};

/// Makes a folder with a new guest, its tests and a README.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The folder to make. Its last part is the guest's name: small letters, digits and `-`.
    name: PathBuf,
    #[arg(long, value_parser = parse_language, help = language_help())]
    lang: Start,
    /// The policy that the guest begins with.
    #[arg(long, default_value = "lru")]
    template: Template,
}

/// A language that a new guest can begin in.
#[derive(Clone, Copy)]
struct Start {
    language: Language,
    source: &'static Source,
}

fn parse_language(name: &str) -> Result<Start, String> {
    let Some(language) = Language::of_name(name) else {
        return Err(format!("unknown language; known languages: {}", names_with_starter()));
    };
    let source = source(language)?;
    Ok(Start { language, source })
}

fn language_help() -> String {
    format!("The language: {}", names_with_starter())
}

fn names_with_starter() -> String {
    let has_starter = |row: &&LanguageRow| matches!(row.starter, Starter::Folder(_));
    LANGUAGES.iter().filter(has_starter).map(|row| row.aliases[0]).collect::<Vec<_>>().join(", ")
}

/// The parts of a new guest, or the reason why a language has none.
fn source(language: Language) -> Result<&'static Source, String> {
    match (language, language.row().starter) {
        (_, Starter::Missing(why)) => Err(why.to_owned()),
        (Language::Rust, _) => Ok(&RUST),
        (Language::C, _) => Ok(&C),
        (Language::Cpp, _) => Ok(&CPP),
        (Language::JavaScript, _) => Ok(&JS),
        (Language::Python, _) => Ok(&PYTHON),
        (Language::Zig, Starter::Folder(folder)) => Err(format!("{folder} is not embedded")),
    }
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Template {
    /// Forgets the least recently used session once the vault is full.
    Lru,
    /// Forgets a session some time before the host would.
    Ttl,
    /// Keeps so many sessions of one partial key.
    Quota,
}

impl Template {
    fn name(self) -> &'static str {
        match self {
            Self::Lru => "lru",
            Self::Ttl => "ttl",
            Self::Quota => "quota",
        }
    }
}

/// The parts of a new folder, and their places in it.
struct Source {
    /// The build files and the README.
    new: Dir<'static>,
    /// The guests: lru, ttl, quota.
    templates: [Dir<'static>; 3],
    /// The template's place in the folder.
    template_at: &'static str,
    /// The kit that the guest is written against.
    kit: Dir<'static>,
    /// The kit's place.
    kit_at: &'static str,
    /// The WIT package's place.
    wit_at: &'static str,
    /// The first commands to try.
    commands: &'static [&'static str],
}

static WIT: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../wit");

static RUST: Source = Source {
    new: include_dir!("$CARGO_MANIFEST_DIR/../../guests/rust/new"),
    templates: [
        include_dir!("$CARGO_MANIFEST_DIR/../../guests/rust/lru/src"),
        include_dir!("$CARGO_MANIFEST_DIR/../../guests/rust/ttl/src"),
        include_dir!("$CARGO_MANIFEST_DIR/../../guests/rust/quota/src"),
    ],
    template_at: "src",
    kit: include_dir!("$CARGO_MANIFEST_DIR/../../guests/sdk/src"),
    kit_at: "innkeeper-guest/src",
    wit_at: "innkeeper-guest/wit",
    commands: &[
        "cargo test",
        "cargo build --release --target wasm32-unknown-unknown",
        "innkeeper check target/wasm32-unknown-unknown/release/{{crate}}.wasm",
    ],
};

static C: Source = Source {
    new: include_dir!("$CARGO_MANIFEST_DIR/../../guests/c/new"),
    templates: [
        include_dir!("$CARGO_MANIFEST_DIR/../../guests/c/lru"),
        include_dir!("$CARGO_MANIFEST_DIR/../../guests/c/ttl"),
        include_dir!("$CARGO_MANIFEST_DIR/../../guests/c/quota"),
    ],
    template_at: "",
    kit: include_dir!("$CARGO_MANIFEST_DIR/../../guests/c/kit"),
    kit_at: "kit",
    wit_at: "wit",
    commands: &["make test", "make", "make check"],
};

static CPP: Source = Source {
    new: include_dir!("$CARGO_MANIFEST_DIR/../../guests/cpp/new"),
    templates: [
        include_dir!("$CARGO_MANIFEST_DIR/../../guests/cpp/lru"),
        include_dir!("$CARGO_MANIFEST_DIR/../../guests/cpp/ttl"),
        include_dir!("$CARGO_MANIFEST_DIR/../../guests/cpp/quota"),
    ],
    template_at: "",
    kit: include_dir!("$CARGO_MANIFEST_DIR/../../guests/cpp/kit"),
    kit_at: "kit",
    wit_at: "wit",
    commands: &["make test", "make", "make check"],
};

static JS: Source = Source {
    new: include_dir!("$CARGO_MANIFEST_DIR/../../guests/js/new"),
    templates: [
        include_dir!("$CARGO_MANIFEST_DIR/../../guests/js/lru"),
        include_dir!("$CARGO_MANIFEST_DIR/../../guests/js/ttl"),
        include_dir!("$CARGO_MANIFEST_DIR/../../guests/js/quota"),
    ],
    template_at: "",
    kit: include_dir!("$CARGO_MANIFEST_DIR/../../guests/js/kit"),
    kit_at: "kit",
    wit_at: "wit",
    commands: &["npm install", "npm test", "npm run build", "npm run check"],
};

static PYTHON: Source = Source {
    new: include_dir!("$CARGO_MANIFEST_DIR/../../guests/python/new"),
    templates: [
        include_dir!("$CARGO_MANIFEST_DIR/../../guests/python/lru"),
        include_dir!("$CARGO_MANIFEST_DIR/../../guests/python/ttl"),
        include_dir!("$CARGO_MANIFEST_DIR/../../guests/python/quota"),
    ],
    template_at: "",
    kit: include_dir!("$CARGO_MANIFEST_DIR/../../guests/python/kit"),
    kit_at: "kit",
    wit_at: "wit",
    commands: &[
        "python3 -m unittest",
        "python3 -m venv .venv",
        ".venv/bin/pip install -r requirements.txt",
        "innkeeper build . --output guest.wasm",
        "innkeeper check guest.wasm",
    ],
};

/// Folders that tools leave in a source folder: no part of a guest.
const LEFT_BEHIND: [&str; 3] = ["__pycache__", "node_modules", ".venv"];

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let folder = &options.name;
    let name = name(folder)?;
    let Start { language, source } = options.lang;
    let text = |text: &str| {
        let text = text.replace("{{name}}", name).replace("{{crate}}", &name.replace('-', "_"));
        text.replace("{{template}}", options.template.name()).replace("../kit", "./kit")
    };
    make_folder(folder)?;
    write(&source.new, folder, &text)?;
    write(&source.templates[options.template as usize], &folder.join(source.template_at), &text)?;
    write(&source.kit, &folder.join(source.kit_at), &text)?;
    write(&WIT, &folder.join(source.wit_at), &text)?;
    if matches!(language, Language::C | Language::Cpp) {
        for (name, contents) in innkeeper_build::c_bindings()? {
            write_file(&folder.join("bindings").join(name), &contents)?;
        }
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}: a guest with tests; README.md in it is the guide. Next:\n", folder.display())?;
    writeln!(out, "  cd {}", folder.display())?;
    for command in source.commands {
        writeln!(out, "  {}", text(command))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the folder, which must not exist yet.
fn make_folder(folder: &Path) -> anyhow::Result<()> {
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent.filter(|parent| !parent.is_dir()) {
        bail!("{} is not a folder; make it first", parent.display());
    }
    fs::create_dir(folder).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            anyhow::anyhow!("{} exists already; take another name, since nothing is overwritten", folder.display())
        }
        _ => anyhow::Error::from(error).context(format!("cannot make the folder {}", folder.display())),
    })
}

/// Names that a package of the new folder has taken.
const TAKEN: [&str; 1] = ["innkeeper-guest"];

/// A name that is valid for a package in each language.
fn name(folder: &Path) -> anyhow::Result<&str> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !is_plain
        || name.len() > 64
        || !name.starts_with(|first: char| first.is_ascii_lowercase())
        || name.ends_with('-')
    {
        let name = if name.is_empty() { folder.display().to_string() } else { name.to_owned() };
        bail!(
            "`{name}` is not a valid name for a guest; take small letters, digits and `-`, a letter first, 64 at most"
        );
    }
    if TAKEN.contains(&name) {
        bail!("`{name}` is the name of the kit; take another");
    }
    Ok(name)
}

/// Writes a folder of the repository with everything in it.
fn write(source: &Dir<'_>, target: &Path, text: &impl Fn(&str) -> String) -> anyhow::Result<()> {
    for entry in source.entries() {
        let Some(name) = entry.path().file_name() else { continue };
        if LEFT_BEHIND.iter().any(|left| *left == name) {
            continue;
        }
        match entry {
            DirEntry::Dir(folder) => write(folder, &target.join(name), text)?,
            DirEntry::File(file) => match file.contents_utf8() {
                Some(contents) => write_file(&target.join(name), text(contents).as_bytes())?,
                None => write_file(&target.join(name), file.contents())?,
            },
        }
    }
    Ok(())
}

fn write_file(path: &Path, contents: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    fs::write(path, contents).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_has_the_starter_of_its_row_or_a_reason() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for row in &LANGUAGES {
            match (row.starter, source(row.language)) {
                (Starter::Folder(folder), Ok(source)) => {
                    let readme = fs::read(top.join(folder).join("new/README.md")).expect("the starter has a guide");
                    let embedded = source.new.get_file("README.md").expect("the starter has a guide");
                    assert_eq!(embedded.contents(), readme, "{} begins with another folder", row.name);
                }
                (Starter::Missing(why), Err(said)) => assert_eq!(said, why),
                (starter, _) => panic!("{}: {starter:?} and `source` differ", row.name),
            }
        }
    }
}
