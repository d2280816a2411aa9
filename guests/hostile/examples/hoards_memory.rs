//! Keeps every key it was ever told of, with a block of memory for each.

use innkeeper_guest::{Key, Session};
use innkeeper_guest_hostile::{Crook, Guest, Known};

#[derive(Default)]
struct HoardsMemory {
    hoard: Vec<(Key, Vec<u8>)>,
}

impl Crook for HoardsMemory {
    fn update(&mut self, known: &mut Known, key: Key, session: Session) {
        self.hoard.push((key, vec![1; 16 << 10]));
        known.insert(key, session);
    }
}

innkeeper_guest::export!(Guest<HoardsMemory>);
