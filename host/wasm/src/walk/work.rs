//! The memory that a compiler takes, as far as it can be told beforehand, by what it takes it for.

/// What memory is taken for.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Instructions, each by what a compiler makes of it.
    Instructions,
    /// Values that blocks, branches, calls and returns carry.
    Carried,
    /// Locals, once for each block in which they may be alive.
    Locals,
    /// Entries of tables and pieces of memory that code puts in place, and what globals begin with.
    Startup,
}

/// For each kind, its name in a message, and a remedy.
const KINDS: [(&str, &str); 4] = [
    ("mostly for its instructions", "split the function"),
    ("mostly for values that blocks and calls carry", "let blocks and calls have fewer parameters and results"),
    ("mostly for locals that may be alive in many blocks", "split the function"),
    ("mostly for table entries and data that code puts in place", "use one segment, at a constant offset"),
];

/// Bytes of each kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work([u64; KINDS.len()]);

impl Work {
    pub(super) fn add(&mut self, kind: Kind, amount: u64) {
        let sum = &mut self.0[kind as usize];
        *sum = sum.saturating_add(amount);
    }

    pub(super) fn total(&self) -> u64 {
        self.0.iter().fold(0, |total, amount| total.saturating_add(*amount))
    }

    /// What most of it is for.
    pub(super) fn mostly(&self) -> &'static str {
        self.largest().0
    }

    /// What to do about that.
    pub(super) fn hint(&self) -> &'static str {
        self.largest().1
    }

    fn largest(&self) -> (&'static str, &'static str) {
        let largest = self.0.iter().zip(KINDS).max_by_key(|(amount, _)| **amount);
        largest.map_or(KINDS[0], |(_, kind)| kind)
    }
}
