//! Answers by what differs between instances: when each was opened, and how often each was asked.

use innkeeper_guest::{InitArgs, Key, Session, host::now_ms};
use innkeeper_guest_hostile::{Crook, Guest, Known};

#[derive(Default)]
struct PerInstance {
    mood: u64,
}

impl Crook for PerInstance {
    fn init(&mut self, _: &InitArgs) {
        self.mood = now_ms();
    }

    fn lookup(&mut self, known: &Known, key: Key) -> Option<Session> {
        self.mood += 1;
        match self.mood % 3 {
            0 => known.get(&key).copied(),
            1 => known.values().next().copied(),
            _ => None,
        }
    }

    fn size(&self, known: &Known) -> u64 {
        known.len() as u64 ^ self.mood
    }
}

innkeeper_guest::export!(Guest<PerInstance>);
