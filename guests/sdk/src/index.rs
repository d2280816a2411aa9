//! Index structures that most guests need.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use crate::Key;

/// A map by key. Keys are keyed fingerprints already, so its hash only spreads their bits.
pub type KeyMap<T> = HashMap<Key, T, BuildHasherDefault<KeyHasher>>;

/// The hash of [`KeyMap`].
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

/// Values in an order of their own, front to back, each at a fixed place: a list of the least recently used, or of the
/// oldest. Every call but [`Recency::iter`] costs O(1).
///
/// ```
/// let mut recency = innkeeper_guest::index::Recency::new();
/// let a = recency.push_back("a");
/// let b = recency.push_back("b");
/// recency.move_to_back(a);
/// assert_eq!(recency.front(), Some(b));
/// assert_eq!(recency.remove(b), "b");
/// assert_eq!(recency.iter().collect::<Vec<_>>(), [&"a"]);
/// ```
#[derive(Debug)]
pub struct Recency<T> {
    nodes: Vec<Node<T>>,
    free: Vec<Place>,
    front: Option<Place>,
    back: Option<Place>,
}

/// Where a value is in a [`Recency`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u32);

#[derive(Debug)]
struct Node<T> {
    value: Option<T>,
    before: Option<Place>,
    after: Option<Place>,
}

impl<T> Default for Recency<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Recency<T> {
    /// An empty order.
    pub fn new() -> Self {
        Self { nodes: Vec::new(), free: Vec::new(), front: None, back: None }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The place of the first value.
    pub fn front(&self) -> Option<Place> {
        self.front
    }

    /// The value at a place.
    ///
    /// # Panics
    /// When the value there has been removed.
    pub fn get(&self, place: Place) -> &T {
        self.node(place).value.as_ref().expect("a place is good until its value is removed")
    }

    /// Puts a value at the back.
    pub fn push_back(&mut self, value: T) -> Place {
        let node = Node { value: Some(value), before: None, after: None };
        let place = match self.free.pop() {
            Some(place) => place,
            None => Place(u32::try_from(self.nodes.len()).expect("a vault has fewer sessions than 2^24")),
        };
        match self.nodes.get_mut(place.0 as usize) {
            Some(free) => *free = node,
            None => self.nodes.push(node),
        }
        self.link_back(place);
        place
    }

    /// Moves the value at a place to the back.
    pub fn move_to_back(&mut self, place: Place) {
        if self.back != Some(place) {
            self.unlink(place);
            self.link_back(place);
        }
    }

    /// Takes the value at a place out.
    ///
    /// # Panics
    /// When it has been removed before.
    pub fn remove(&mut self, place: Place) -> T {
        let value = self.node_mut(place).value.take().expect("a place is good until its value is removed");
        self.unlink(place);
        self.free.push(place);
        value
    }

    /// The values, front to back.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let places = std::iter::successors(self.front, |place| self.node(*place).after);
        places.map(|place| self.get(place))
    }

    fn node(&self, place: Place) -> &Node<T> {
        &self.nodes[place.0 as usize]
    }

    fn node_mut(&mut self, place: Place) -> &mut Node<T> {
        &mut self.nodes[place.0 as usize]
    }

    fn link_back(&mut self, place: Place) {
        let before = self.back.replace(place);
        *self.after_of(before) = Some(place);
        let node = self.node_mut(place);
        (node.before, node.after) = (before, None);
    }

    fn unlink(&mut self, place: Place) {
        let Node { before, after, .. } = *self.node(place);
        *self.after_of(before) = after;
        match after {
            Some(after) => self.node_mut(after).before = before,
            None => self.back = before,
        }
    }

    /// What points at the place after `before`.
    fn after_of(&mut self, before: Option<Place>) -> &mut Option<Place> {
        match before {
            Some(before) => &mut self.node_mut(before).after,
            None => &mut self.front,
        }
    }
}
