//! Every example guest, compiled from source when this crate is built.

/// One example guest.
#[derive(Clone, Copy, Debug)]
pub struct Artifact {
    /// Its name, such as `rust-lru`.
    pub name: &'static str,
    /// What it is written in; `file` for bytes that no compiler made.
    pub language: &'static str,
    /// Whether it attacks the host.
    pub is_hostile: bool,
    /// What a hostile one does, in at most 60 characters. Empty for an honest one.
    pub what: &'static str,
    /// The callbacks it can be told to strike in, by the property `strike`. Empty for one that is not told.
    pub strikes: &'static [&'static str],
    /// Where the host has to refuse it, under the default limits of a small guest and without WASI. None when it opens
    /// and serves badly; with `strike` set to `init`, a guest may still fail there.
    pub refused: Option<Stage>,
    /// The component, or why it was left out of the build.
    pub component: Result<&'static [u8], &'static str>,
}

/// Where a guest is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// When the file is checked, compiled and linked.
    Load,
    /// When it is instantiated, or in `init`.
    Open,
}

/// Every callback, by its WIT name.
const CALLBACKS: &[&str] = &["init", "terminate", "update", "delete", "select-session", "size", "foldl", "lookup"];

/// Every example guest.
pub static ARTIFACTS: &[Artifact] = include!(concat!(env!("OUT_DIR"), "/artifacts.rs"));

/// The example guest with a name.
pub fn artifact(name: &str) -> Option<&'static Artifact> {
    ARTIFACTS.iter().find(|artifact| artifact.name == name)
}
