//! Builds example guests and embeds them into a crate: the one machinery behind the build scripts of `guests/artifacts`
//! and `guests/corpus`.

mod compilers;
mod list;

use innkeeper_build::BuildError;

pub use crate::{
    compilers::{RustGuest, c_guest, cpp_guest, rust_guests, wasi_guest},
    list::{embed, top},
};

/// The end that a guest comes to in a sound host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It serves well.
    Honest,
    /// It opens, and serves badly.
    Serves,
    /// It opens, and serves until the callback that it was told to strike in.
    Strikes,
    /// It loads; the host refuses it when it is instantiated or in `init`.
    Open,
    /// It loads, and opens or fails in `init`, by what the host tells it.
    Either,
    /// The host refuses it before it is instantiated.
    Load,
}

/// A guest's row: its name, its attack in at most 60 characters (empty for an honest one), and its fate.
pub type Row = (&'static str, &'static str, Fate);

/// A guest that was built, or was left out because a tool is missing.
#[derive(Debug)]
pub struct Built {
    /// Its name, attack and fate.
    pub row: Row,
    /// The language's name in tables; `file` for bytes that no compiler made.
    pub language: &'static str,
    /// The component, or the tool that is missing.
    pub component: Result<Vec<u8>, BuildError>,
}
