//! A doubly linked list over slot numbers: registration order or recency order without a search.

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Link {
    before: u32,
    after: u32,
}

/// An order of slots, front to back. Each slot is in it at most once. All calls but [`Order::iter`] cost O(1).
pub(crate) struct Order {
    links: Vec<Link>,
    front: u32,
    back: u32,
}

impl Order {
    pub(crate) fn new() -> Self {
        Self { links: Vec::new(), front: NONE, back: NONE }
    }

    /// Puts `slot`, which must not be in the order, at the back.
    pub(crate) fn push_back(&mut self, slot: u32) {
        let needed = slot as usize + 1;
        if self.links.len() < needed {
            self.links.resize(needed, Link { before: NONE, after: NONE });
        }
        self.links[slot as usize] = Link { before: self.back, after: NONE };
        match self.back {
            NONE => self.front = slot,
            back => self.links[back as usize].after = slot,
        }
        self.back = slot;
    }

    /// Takes `slot`, which must be in the order, out of it.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Link { before, after } = self.links[slot as usize];
        match before {
            NONE => self.front = after,
            before => self.links[before as usize].after = after,
        }
        match after {
            NONE => self.back = before,
            after => self.links[after as usize].before = before,
        }
    }

    pub(crate) fn front(&self) -> Option<u32> {
        (self.front != NONE).then_some(self.front)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let after = |slot: &u32| {
            let after = self.links[*slot as usize].after;
            (after != NONE).then_some(after)
        };
        std::iter::successors(self.front(), after)
    }
}
