//! The guests of the demo, compiled from source when this crate is built. `guests/corpus` has all others.

/// An example guest.
#[derive(Clone, Copy, Debug)]
pub struct Artifact {
    /// The name, such as `rust-lru`.
    pub name: &'static str,
    /// The language; `file` for bytes that no compiler made.
    pub language: &'static str,
    /// True if it attacks the host.
    pub is_hostile: bool,
    /// The attack, in at most 60 characters. Empty for an honest guest.
    pub what: &'static str,
    /// The callbacks it can be told to strike in, by the property `strike`. Empty for a guest that is not told.
    pub strikes: &'static [&'static str],
    /// The stage at which the host has to refuse it, under the default limits of a small guest and without WASI. None
    /// for a guest that opens and serves badly; with `strike` set to `init`, it may still fail there.
    pub refused: Option<Stage>,
    /// The component, or the reason why the build left it out.
    pub component: Result<&'static [u8], &'static str>,
}

/// The stage at which the host refuses a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The file is checked, compiled and linked.
    Load,
    /// The component is instantiated, and `init` is called.
    Open,
}

/// Every callback, by its WIT name.
pub const CALLBACKS: &[&str] = &["init", "terminate", "update", "delete", "select-session", "size", "foldl", "lookup"];

/// The guests of the demo.
pub static ARTIFACTS: &[Artifact] = include!(concat!(env!("OUT_DIR"), "/artifacts.rs"));

/// The guest of the demo with a name.
pub fn artifact(name: &str) -> Option<&'static Artifact> {
    ARTIFACTS.iter().find(|artifact| artifact.name == name)
}
