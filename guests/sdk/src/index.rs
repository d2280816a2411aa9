//! Index structures that most guests need. All are deterministic: the same calls in the same order give the same
//! content.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher as _, BuildHasherDefault, Hasher},
};

use crate::contract::{Key, PartialKey};

/// A map by key, whose calls cost O(1). [`ByPartial`] also finds the keys of one partial key. Keys are keyed
/// fingerprints already, so its hash only spreads their bits.
///
/// ```
/// use innkeeper_guest::{KeyMap, Session, testing::key};
///
/// let mut sessions = KeyMap::default();
/// sessions.insert(key(1, 1), Session(11));
/// assert_eq!(sessions.get(&key(1, 1)), Some(&Session(11)));
/// ```
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

/// A map by key that also finds the keys of one partial key, in the order of their ids: for `lookup` and
/// `select_session` both. [`ByPartial::get`] costs O(1), a change of the map O(log n), iterators O(1) for each element.
///
/// Every call costs about the same, unlike in a hash map that grows. The table has all its places from the start, and
/// takes memory for a few hundred at a time as they are needed. A call's fuel is bounded; a growing map of a hundred
/// thousand sessions would burn more.
///
/// ```
/// use innkeeper_guest::{PartialKey, Session, index::ByPartial, testing::key};
///
/// let mut sessions = ByPartial::with_capacity(1_000);
/// sessions.insert(key(2, 1), Session(21));
/// sessions.insert(key(1, 2), Session(12));
/// sessions.insert(key(1, 1), Session(11));
/// assert_eq!(sessions.get(key(1, 2)), Some(&Session(12)));
/// let of_one = sessions.of_partial(PartialKey(1)).map(|(_, session)| *session);
/// assert_eq!(of_one.collect::<Vec<_>>(), [Session(11), Session(12)]);
/// assert_eq!(sessions.remove(key(2, 1)), Some(Session(21)));
/// assert_eq!(sessions.len(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct ByPartial<T> {
    /// The first slot of each bucket, counted from one; nothing where it is empty. In chunks, each allocated for its
    /// first slot: a cache with few sessions takes little memory, whatever its maximum.
    buckets: Box<[Option<Box<Chunk>>]>,
    slots: Vec<Slot<T>>,
    /// The first free slot, counted from one.
    free: u32,
    keys: BTreeSet<Key>,
}

/// Some neighbouring buckets.
type Chunk = [u32; CHUNK];

const CHUNK: usize = 256;

#[derive(Clone, Debug)]
struct Slot<T> {
    entry: Option<(Key, T)>,
    /// The next slot of the bucket, or the next free one, counted from one.
    next: u32,
}

impl<T> ByPartial<T> {
    /// An empty map for so many keys. It takes more, but is slower then.
    pub fn with_capacity(keys: usize) -> Self {
        let chunks = keys.clamp(CHUNK, BUCKETS_MAX).next_power_of_two() / CHUNK;
        let slots = Vec::with_capacity(with_slack(keys));
        Self { buckets: vec![None; chunks].into(), slots, free: 0, keys: BTreeSet::new() }
    }

    /// The number of keys, of all partial keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// True if it is empty.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Files a value under a key, and returns the one it replaces.
    pub fn insert(&mut self, key: Key, value: T) -> Option<T> {
        if let Some(own) = self.get_mut(key) {
            return Some(std::mem::replace(own, value));
        }
        let slot = Slot { entry: Some((key, value)), next: self.first(key) };
        let at = match self.free {
            0 => {
                self.slots.push(slot);
                u32::try_from(self.slots.len()).expect("a vault has fewer sessions than 2^24")
            }
            free => {
                self.free = std::mem::replace(&mut self.slots[free as usize - 1], slot).next;
                free
            }
        };
        self.set_first(key, at);
        self.keys.insert(key);
        None
    }

    /// The value under a key.
    pub fn get(&self, key: Key) -> Option<&T> {
        let mut at = self.first(key);
        while at != 0 {
            let slot = &self.slots[at as usize - 1];
            match &slot.entry {
                Some((own, value)) if *own == key => return Some(value),
                _ => at = slot.next,
            }
        }
        None
    }

    /// The value under a key, to be changed.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let mut at = self.first(key);
        while at != 0 && !self.has(at, key) {
            at = self.slots[at as usize - 1].next;
        }
        let slot = self.slots.get_mut((at as usize).checked_sub(1)?)?;
        slot.entry.as_mut().map(|(_, value)| value)
    }

    /// Takes the value under a key out.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let (mut before, mut at) = (0, self.first(key));
        while at != 0 && !self.has(at, key) {
            (before, at) = (at, self.slots[at as usize - 1].next);
        }
        let slot = self.slots.get_mut((at as usize).checked_sub(1)?)?;
        let (_, value) = slot.entry.take()?;
        let next = std::mem::replace(&mut slot.next, std::mem::replace(&mut self.free, at));
        match before {
            0 => self.set_first(key, next),
            before => self.slots[before as usize - 1].next = next,
        }
        self.keys.remove(&key);
        Some(value)
    }

    /// The keys of one partial key with their values, in the order of their ids.
    pub fn of_partial(&self, partial: PartialKey) -> impl Iterator<Item = (Key, &T)> {
        self.keys.range(Key::all_of(partial)).filter_map(|key| Some((*key, self.get(*key)?)))
    }

    /// All keys with their values: partial key after partial key, and each in the order of its ids.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.keys.iter().filter_map(|key| Some((*key, self.get(*key)?)))
    }

    /// The chunk of a key's bucket, and its place there.
    fn bucket(&self, key: Key) -> (usize, usize) {
        let hash = BuildHasherDefault::<KeyHasher>::default().hash_one(key) as usize;
        // There is a power of two of both.
        ((hash / CHUNK) & (self.buckets.len() - 1), hash % CHUNK)
    }

    /// The first slot of a key's bucket.
    fn first(&self, key: Key) -> u32 {
        let (chunk, place) = self.bucket(key);
        self.buckets[chunk].as_ref().map_or(0, |chunk| chunk[place])
    }

    fn set_first(&mut self, key: Key, at: u32) {
        let (chunk, place) = self.bucket(key);
        self.buckets[chunk].get_or_insert_with(|| Box::new([0; CHUNK]))[place] = at;
    }

    fn has(&self, at: u32, key: Key) -> bool {
        self.slots[at as usize - 1].entry.as_ref().is_some_and(|(own, _)| *own == key)
    }
}

/// The most buckets of a map.
const BUCKETS_MAX: usize = 1 << 18;

/// A guest hears of what the vault takes out only afterwards, so it may know of some more sessions than there can be.
fn with_slack(sessions: usize) -> usize {
    sessions.min(BUCKETS_MAX) + sessions.min(BUCKETS_MAX) / 16
}

/// Values in an order of their own, front to back, each at a fixed place: a list of the least recently used, or of the
/// oldest. Every call but [`Recency::iter`] costs O(1). It takes as much memory as the most values it ever had at once.
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

/// The place of a value in a [`Recency`], until it is removed. A later value may then have the place.
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
        Self::with_capacity(0)
    }

    /// An empty order for so many values: until there are more, no call has to move those that are there.
    pub fn with_capacity(values: usize) -> Self {
        let room = with_slack(values);
        Self { nodes: Vec::with_capacity(room), free: Vec::with_capacity(room), front: None, back: None }
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// True if it is empty.
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
    ///
    /// # Panics
    /// When there are 2^32 values already.
    pub fn push_back(&mut self, value: T) -> Place {
        let node = Node { value: Some(value), before: None, after: None };
        let place = match self.free.pop() {
            Some(place) => place,
            None => Place(u32::try_from(self.nodes.len()).expect("a guest has no memory for 2^32 values")),
        };
        match self.nodes.get_mut(place.0 as usize) {
            Some(free) => *free = node,
            None => self.nodes.push(node),
        }
        self.link_back(place);
        place
    }

    /// Moves the value at a place to the back.
    ///
    /// # Panics
    /// When it has been removed.
    pub fn move_to_back(&mut self, place: Place) {
        assert!(self.node(place).value.is_some(), "a place is good until its value is removed");
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

    /// The link to the place after `before`.
    fn after_of(&mut self, before: Option<Place>) -> &mut Option<Place> {
        match before {
            Some(before) => &mut self.node_mut(before).after,
            None => &mut self.front,
        }
    }
}
