//! The load of every subject of the benchmarks, and its timing: the same names, the same sessions, the same order, in
//! this process or in another one.
//!
//! A [`Round`] is one stretch of calls. If calls are repeatable, the first half is untimed: it refills the processor's
//! caches after the subjects before. Most of the others are timed together, which gives the cost of a call. The last
//! ones are timed singly, which gives its variation. Names are made before the clock starts.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod numbers;
mod served;

use std::time::Instant;

pub use crate::{
    numbers::{Keys, Numbers},
    served::{parse_line, parse_reply, request, serve},
};

/// The session under every name.
pub const SESSION: [u8; 300] = [7; 300];

/// The number of calls at the end of a round that are timed singly.
pub const SINGLES: usize = 16;

/// The name of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The peer of the session.
    pub partial: Vec<u8>,
    /// Its id.
    pub id: [u8; 32],
}

impl Named {
    /// Makes the name of a session from its number, among `sessions`. In the first half each session has its own peer;
    /// in the second half each peer has ten sessions. Numbers from `sessions` on are unregistered.
    pub fn new(number: u32, sessions: u32) -> Self {
        let half = sessions / 2;
        let partial = match number {
            _ if number >= half && number < sessions => format!("ten-{}.example", (number - half) / 10),
            _ => format!("one-{number}.example"),
        };
        let mut id = [3; 32];
        id[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_be_bytes());
        id[4..8].copy_from_slice(&number.to_be_bytes());
        Self { partial: partial.into_bytes(), id }
    }
}

/// The call of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// Finds registered sessions.
    LookupHit,
    /// Asks for unregistered sessions.
    LookupMiss,
    /// Takes sessions, which are registered before the clock starts.
    Take,
    /// Registers sessions anew under existing names.
    Update,
    /// Deletes sessions, which are registered before the clock starts.
    Delete,
    /// Selects the session of a peer with one.
    SelectOne,
    /// Selects the sessions of a peer with ten.
    SelectTen,
    /// Visits every session.
    Foldl,
}

impl Work {
    /// All, in the order of the tables.
    pub const ALL: [Self; 8] = [
        Self::LookupHit,
        Self::LookupMiss,
        Self::Take,
        Self::Update,
        Self::Delete,
        Self::SelectOne,
        Self::SelectTen,
        Self::Foldl,
    ];

    /// Its name in tables and between processes.
    pub fn name(self) -> &'static str {
        match self {
            Self::LookupHit => "lookup-hit",
            Self::LookupMiss => "lookup-miss",
            Self::Take => "take",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::SelectOne => "select-1",
            Self::SelectTen => "select-10",
            Self::Foldl => "foldl",
        }
    }

    /// True if it can be repeated with the same sessions.
    fn is_repeatable(self) -> bool {
        !matches!(self, Self::Take | Self::Delete)
    }

    /// The work with a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|work| work.name() == name)
    }
}

/// A cache of some kind, for one thread.
///
/// Changes may be asynchronous: [`Subject::settle`] waits for them, and its time counts.
pub trait Subject {
    /// Files [`SESSION`] under a name.
    fn update(&mut self, name: &Named);
    /// Waits until every change so far has been made.
    fn settle(&mut self) {}
    /// Returns the number of bytes under a name.
    fn lookup(&mut self, name: &Named) -> Option<usize>;
    /// Removes the session under a name, and returns its number of bytes.
    fn take(&mut self, name: &Named) -> Option<usize>;
    /// Deletes the session under a name.
    fn delete(&mut self, name: &Named);
    /// Gets all sessions of a peer, and returns their number.
    fn select(&mut self, partial: &[u8]) -> usize;
    /// Gets all sessions, and returns their number.
    fn foldl(&mut self) -> usize;
    /// True if the subject can do a work at all.
    fn can(&self, _work: Work) -> bool {
        true
    }
}

/// Stores the sessions that a benchmark begins with.
pub fn fill(subject: &mut dyn Subject, sessions: u32) {
    for number in 0..sessions {
        subject.update(&Named::new(number, sessions));
        // The mailbox is bounded.
        if number % 512 == 511 {
            subject.settle();
        }
    }
    subject.settle();
}

/// The result of one stretch of calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// The mean time of the calls that were timed together.
    pub ns: f64,
    /// The times of the calls that were timed singly, including the clock's own time.
    pub singles_ns: Vec<u64>,
}

/// Times a stretch of work in a subject.
///
/// # Panics
/// If the subject lacks a session that it should have: its time would mean nothing.
pub fn round(subject: &mut dyn Subject, work: Work, numbers: &[u32], sessions: u32) -> Round {
    let names: Vec<Named> = numbers.iter().map(|number| Named::new(*number, sessions)).collect();
    if matches!(work, Work::Take | Work::Delete) {
        names.iter().for_each(|name| subject.update(name));
        subject.settle();
    }
    let warm_up = if work.is_repeatable() { names.len() / 2 } else { 0 };
    let (warm_up, names) = names.split_at(warm_up);
    warm_up.iter().for_each(|name| one(subject, work, name, sessions));
    settle(subject, work);
    let (together, singly) = names.split_at(names.len().saturating_sub(SINGLES).max(1));
    let start = Instant::now();
    together.iter().for_each(|name| one(subject, work, name, sessions));
    settle(subject, work);
    let ns = start.elapsed().as_nanos() as f64 / together.len() as f64;
    let single = |name| {
        let start = Instant::now();
        one(subject, work, name, sessions);
        settle(subject, work);
        u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    };
    Round { ns, singles_ns: singly.iter().map(single).collect() }
}

/// Waits until a change has been made, for works that change a cache.
fn settle(subject: &mut dyn Subject, work: Work) {
    if matches!(work, Work::Take | Work::Update | Work::Delete) {
        subject.settle();
    }
}

fn one(subject: &mut dyn Subject, work: Work, name: &Named, sessions: u32) {
    match work {
        Work::LookupHit => assert_eq!(subject.lookup(name), Some(SESSION.len()), "the session is there"),
        Work::LookupMiss => assert_eq!(subject.lookup(name), None, "nobody has registered it"),
        Work::Take => assert_eq!(subject.take(name), Some(SESSION.len()), "the session was there"),
        Work::Update => subject.update(name),
        Work::Delete => subject.delete(name),
        Work::SelectOne => assert_eq!(subject.select(&name.partial), 1, "the peer has one"),
        Work::SelectTen => assert_eq!(subject.select(&name.partial), 10, "the peer has ten"),
        Work::Foldl => assert_eq!(subject.foldl(), sessions as usize, "all are there"),
    }
}
