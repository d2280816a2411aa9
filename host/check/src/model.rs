//! The naive model that caches are compared with.

use std::collections::VecDeque;

use innkeeper_core::OwnedName;

/// Sessions by name, oldest registration first, never more than the maximum.
pub(crate) struct Model {
    sessions_max: usize,
    invalidates_all: bool,
    sessions: VecDeque<(OwnedName, Vec<u8>)>,
}

impl Model {
    pub(crate) fn new(sessions_max: usize, invalidates_all: bool) -> Self {
        Self { sessions_max, invalidates_all, sessions: VecDeque::new() }
    }

    pub(crate) fn update(&mut self, name: &OwnedName, value: Vec<u8>) {
        self.delete(name);
        if self.sessions.len() == self.sessions_max {
            match self.invalidates_all {
                true => self.sessions.clear(),
                false => drop(self.sessions.pop_front()),
            }
        }
        self.sessions.push_back((name.clone(), value));
    }

    pub(crate) fn delete(&mut self, name: &OwnedName) -> bool {
        let before = self.sessions.len();
        self.sessions.retain(|(own, _)| own != name);
        self.sessions.len() < before
    }

    pub(crate) fn lookup(&self, name: &OwnedName) -> Option<&[u8]> {
        let mut named = self.sessions.iter().filter(|(own, _)| own == name);
        named.next().map(|(_, value)| value.as_slice())
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }
}

/// A small generator of numbers, the same each time: splitmix64.
pub struct Numbers(pub u64);

impl Numbers {
    /// The next number, below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % end
    }
}
