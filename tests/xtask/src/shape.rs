//! The figures of the sources' shape: circles, fields, first words of doc comments, widths.

use std::path::Path;

use innkeeper_tidy::{Modules, docs, fields, files_under, longest_line, naming, top, wide_tables};

/// Crates whose files are looked at.
const CRATES: [&str; 9] = [
    "host/core",
    "host/wasm",
    "host/rustls",
    "host/proxy",
    "host/serve",
    "host/build",
    "host/check",
    "host/cli",
    "guests/sdk",
];

/// Folders whose prose is looked at.
const FOLDERS: [&str; 6] = ["host", "guests", "tests", "host/core", "host/wasm", "host/proxy"];

/// Limits and counters that stand for all others: the files of the host that name each are those a new one touches.
const FACTS: [(&str, &str); 5] = [
    ("limit", "log_lines_per_s"),
    ("limit", "compile_memory_bytes"),
    ("limit", "log_line_bytes"),
    ("counter", "posts_dropped"),
    ("counter", "rollbacks"),
];

/// Prints the figures.
pub(crate) fn shape() {
    println!("{:<16}{:>7}{:>8}{:>7}{:>9}{:>15}", "crate", "files", "uses", "pairs", "circles", "files in them");
    for folder in CRATES {
        let modules = Modules::of(folder);
        let circles = modules.circles();
        let within: usize = circles.iter().map(Vec::len).sum();
        let (files, edges, pairs) = (modules.files().count(), modules.edges().len(), modules.pairs().len());
        println!("{folder:<16}{files:>7}{edges:>8}{pairs:>7}{:>9}{within:>15}", circles.len());
        for circle in circles {
            println!("    {}", circle.join(" "));
        }
    }
    println!("\npairs: two files that use each other; circles: groups in which each file uses every other by some way");
    let core = files_under("host/core/src", "rs");
    if let Some(fields) = core.iter().find_map(|(_, text)| fields(text, "Cache")) {
        println!("\nfields of `Cache` in host/core: {}, of these flags: {}", fields.all, fields.flags);
    }
    println!();
    for (kind, name) in FACTS {
        let files = naming(name);
        println!("{kind} `{name}`: named in {} files: {}", files.len(), files.join(" "));
    }
    println!("\n{:<16}{:>14}{:>10}{:>10}{:>14}", "folder", "doc comments", "asking", "percent", "longest line");
    for folder in FOLDERS {
        let docs = docs(folder);
        let longest = longest_line(folder);
        println!("{folder:<16}{:>14}{:>10}{:>10.1}{longest:>14}", docs.all, docs.asking, docs.percent());
    }
    println!("\nasking: the first word is What, How, Whether, Where, Who, When, Which or Why");
    let wide = wide_tables("");
    println!("\nlines of Markdown tables over 100 columns: {}", wide.len());
    let mut files: Vec<String> = wide.into_iter().map(|(file, _)| relative(&file)).collect();
    files.dedup();
    for file in files {
        println!("    {file}");
    }
}

fn relative(file: &Path) -> String {
    file.strip_prefix(top()).unwrap_or(file).display().to_string()
}
