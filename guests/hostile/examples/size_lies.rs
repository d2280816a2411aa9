//! Counts what is not there.

use innkeeper_guest_hostile::{Crook, Guest, Known};

#[derive(Default)]
struct SizeLies;

impl Crook for SizeLies {
    fn size(&self, known: &Known) -> u64 {
        u64::MAX - known.len() as u64
    }
}

innkeeper_guest::export!(Guest<SizeLies>);
