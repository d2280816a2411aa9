//! Figures of the prose: first words of doc comments, lengths of lines, widths of tables.

use std::path::PathBuf;

use crate::files_under;

/// Words that a doc comment should not begin with: a noun or a verb says it at once.
pub const ASKING: [&str; 8] = ["What", "How", "Whether", "Where", "Who", "When", "Which", "Why"];

/// Columns of a Markdown table, at most.
pub const TABLE_COLUMNS_MAX: usize = 100;

/// Doc comments of some files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Docs {
    /// All doc comments.
    pub all: usize,
    /// Doc comments that begin with a word of [`ASKING`].
    pub asking: usize,
}

impl Docs {
    /// The share that begins with such a word, in percent.
    pub fn percent(self) -> f64 {
        100.0 * self.asking as f64 / self.all.max(1) as f64
    }
}

/// Counts the doc comments of the Rust files under a folder.
pub fn docs(folder: &str) -> Docs {
    let texts = files_under(folder, "rs");
    texts
        .iter()
        .map(|(_, text)| docs_of(text))
        .fold(Docs::default(), |sum, docs| Docs { all: sum.all + docs.all, asking: sum.asking + docs.asking })
}

fn docs_of(text: &str) -> Docs {
    let mut docs = Docs::default();
    let mut is_within = false;
    for line in text.lines().map(str::trim) {
        let doc = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
        if let (Some(doc), false) = (doc, is_within) {
            docs.all += 1;
            let first = doc.split_whitespace().next().unwrap_or_default();
            docs.asking +=
                usize::from(ASKING.contains(&first.trim_end_matches(|letter: char| !letter.is_alphabetic())));
        }
        is_within = doc.is_some();
    }
    docs
}

/// The longest line of the Rust files under a folder, in columns.
pub fn longest_line(folder: &str) -> usize {
    let texts = files_under(folder, "rs");
    texts.iter().flat_map(|(_, text)| text.lines()).map(|line| line.chars().count()).max().unwrap_or(0)
}

/// Lines of Markdown tables under a folder that have more than [`TABLE_COLUMNS_MAX`] columns, each with its number.
pub fn wide_tables(folder: &str) -> Vec<(PathBuf, usize)> {
    let mut wide = Vec::new();
    for (file, text) in files_under(folder, "md") {
        let mut is_block = false;
        for (number, line) in (1..).zip(text.lines()) {
            is_block ^= line.trim_start().starts_with("```");
            if !is_block && line.starts_with('|') && line.chars().count() > TABLE_COLUMNS_MAX {
                wide.push((file.clone(), number));
            }
        }
    }
    wide
}

#[cfg(test)]
mod tests {
    use super::{Docs, docs_of};

    #[test]
    fn a_doc_comment_counts_once_by_its_first_word() {
        let text =
            "//! How it is.\n//! What else.\n\n/// A thing.\n/// Whether.\nfn a() {}\n\n/// Whether.\nfn b() {}\n";
        assert_eq!(docs_of(text), Docs { all: 3, asking: 2 });
    }
}
