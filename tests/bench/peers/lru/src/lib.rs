//! A cache of byte strings that evicts the least recently used: the logic of the Rust guest `lru`, for a guest that
//! keeps the sessions itself.

use std::collections::{BTreeSet, HashMap};

/// The key of a session: the peer, and the session's id.
pub type Key = (Vec<u8>, Vec<u8>);

/// The cache.
pub struct Lru {
    sessions_max: usize,
    places: HashMap<Key, usize>,
    /// The same keys, partial key after partial key.
    keys: BTreeSet<Key>,
    nodes: Vec<Node>,
    free: Vec<usize>,
    /// The least recently used, and the most recently used.
    front: usize,
    back: usize,
}

struct Node {
    key: Key,
    session: Vec<u8>,
    before: usize,
    after: usize,
}

const NONE: usize = usize::MAX;

impl Lru {
    /// Makes an empty cache for a number of sessions.
    pub fn new(sessions_max: usize) -> Self {
        Self {
            sessions_max,
            places: HashMap::new(),
            keys: BTreeSet::new(),
            nodes: Vec::new(),
            free: Vec::new(),
            front: NONE,
            back: NONE,
        }
    }

    /// Stores a session. It replaces the one under its key, or the least recently used one if the cache is full.
    pub fn update(&mut self, key: Key, session: Vec<u8>) {
        self.delete(&key);
        if self.places.len() >= self.sessions_max && self.front != NONE {
            let oldest = self.nodes[self.front].key.clone();
            self.delete(&oldest);
        }
        let node = Node { key: key.clone(), session, before: NONE, after: NONE };
        let place = match self.free.pop() {
            Some(place) => {
                self.nodes[place] = node;
                place
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
        };
        self.link_back(place);
        self.keys.insert(key.clone());
        self.places.insert(key, place);
    }

    /// Removes and returns the session under a key.
    pub fn delete(&mut self, key: &Key) -> Option<Vec<u8>> {
        let place = self.places.remove(key)?;
        self.keys.remove(key);
        self.unlink(place);
        self.free.push(place);
        Some(std::mem::take(&mut self.nodes[place].session))
    }

    /// Finds the session under a key.
    pub fn lookup(&mut self, key: &Key) -> Option<&[u8]> {
        let place = *self.places.get(key)?;
        self.unlink(place);
        self.link_back(place);
        Some(&self.nodes[place].session)
    }

    /// The sessions of a partial key.
    pub fn select(&self, partial: &[u8]) -> impl Iterator<Item = &[u8]> {
        let of_partial = self.keys.range((partial.to_vec(), Vec::new())..);
        of_partial.take_while(move |(own, _)| own == partial).map(|key| &*self.nodes[self.places[key]].session)
    }

    /// Every session with its key, least recently used first.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &[u8])> {
        let next = |place: &usize| Some(self.nodes[*place].after).filter(|after| *after != NONE);
        let places = std::iter::successors(Some(self.front).filter(|front| *front != NONE), next);
        places.map(|place| (&self.nodes[place].key, &*self.nodes[place].session))
    }

    fn link_back(&mut self, place: usize) {
        let before = std::mem::replace(&mut self.back, place);
        match before {
            NONE => self.front = place,
            before => self.nodes[before].after = place,
        }
        (self.nodes[place].before, self.nodes[place].after) = (before, NONE);
    }

    fn unlink(&mut self, place: usize) {
        let (before, after) = (self.nodes[place].before, self.nodes[place].after);
        match before {
            NONE => self.front = after,
            before => self.nodes[before].after = after,
        }
        match after {
            NONE => self.back = before,
            after => self.nodes[after].before = before,
        }
    }
}
