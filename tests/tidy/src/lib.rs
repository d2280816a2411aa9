//! The shape of the sources, read from their text: `cargo xtask shape` prints it, and the tests hold it.

#![forbid(unsafe_code)]

mod imports;
mod modules;
mod prose;
mod source;

pub use crate::{
    modules::{Edge, Modules},
    prose::{ASKING, Docs, TABLE_COLUMNS_MAX, docs, longest_line, wide_tables},
    source::{Fields, code, fields, files, files_under, naming, top},
};
