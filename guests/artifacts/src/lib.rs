//! Every example guest, compiled from source when this crate is built.

/// One example guest.
#[derive(Clone, Copy, Debug)]
pub struct Artifact {
    /// Its name, such as `rust-lru`.
    pub name: &'static str,
    /// What it is written in.
    pub language: &'static str,
    /// Whether it attacks the host.
    pub is_hostile: bool,
    /// The component, or why it was left out of the build.
    pub component: Result<&'static [u8], &'static str>,
}

/// Every example guest.
pub static ARTIFACTS: &[Artifact] = include!(concat!(env!("OUT_DIR"), "/artifacts.rs"));

/// The example guest with a name.
pub fn artifact(name: &str) -> Option<&'static Artifact> {
    ARTIFACTS.iter().find(|artifact| artifact.name == name)
}
