//! An estimate of a compiler's memory, by purpose.

/// A purpose of memory.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Instructions, each weighted by its machine code.
    Instructions,
    /// Values that blocks, branches, calls and returns carry.
    Carried,
    /// Locals, once for each block where they may be live.
    Locals,
    /// Table entries and data that code puts in place, and initial values of globals.
    Startup,
}

/// The name of each kind in a message, and a remedy.
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

    /// The largest purpose.
    pub(super) fn mostly(&self) -> &'static str {
        self.largest().0
    }

    /// The remedy for the largest purpose.
    pub(super) fn hint(&self) -> &'static str {
        self.largest().1
    }

    fn largest(&self) -> (&'static str, &'static str) {
        let largest = self.0.iter().zip(KINDS).max_by_key(|(amount, _)| **amount);
        largest.map_or(KINDS[0], |(_, kind)| kind)
    }
}
