//! Claims random numbers.

use innkeeper_guest::{Key, Session};
use innkeeper_guest_hostile::{Crook, Guest, Known};

struct RandomClaims(u64);

impl Default for RandomClaims {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Crook for RandomClaims {
    fn lookup(&mut self, _: &Known, _: Key) -> Option<Session> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // Of any size, so that small numbers are among them, which are likelier to be somebody's.
        Some(Session(self.0 >> (self.0 % 64)))
    }
}

innkeeper_guest::export!(Guest<RandomClaims>);
