//! Every example guest of the size class `small`, honest and hostile: those of `guests/artifacts`, and the others,
//! compiled from source when this crate is built.

use innkeeper_artifacts::{ARTIFACTS, CALLBACKS};

pub use innkeeper_artifacts::{Artifact, Stage};

/// Every guest but those of the demo.
static OTHERS: &[Artifact] = include!(concat!(env!("OUT_DIR"), "/artifacts.rs"));

/// Every example guest.
pub fn artifacts() -> impl Iterator<Item = &'static Artifact> {
    ARTIFACTS.iter().chain(OTHERS)
}

/// Every guest that attacks the host.
pub fn hostile() -> impl Iterator<Item = &'static Artifact> {
    artifacts().filter(|artifact| artifact.is_hostile)
}

/// The example guest with a name.
pub fn artifact(name: &str) -> Option<&'static Artifact> {
    artifacts().find(|artifact| artifact.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_guests() {
        let mut names: Vec<&str> = artifacts().map(|artifact| artifact.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|two| two[0] != two[1]), "{names:?}");
    }

    #[test]
    fn the_documents_count_right() {
        let guests = format!("{} hostile guests", hostile().count());
        let attacks: usize = hostile().map(|artifact| artifact.strikes.len().max(1)).sum();
        let attacks = format!("{attacks} attacks");
        for document in [include_str!("../../../README.md"), include_str!("../../../SECURITY.md")] {
            assert!(document.contains(&guests) && document.contains(&attacks), "the documents say {guests}, {attacks}");
        }
    }
}
