//! What every subject of the benchmarks is made to do, and how it is timed: the same names, the same sessions, the same
//! order, whether the subject is in this process or in another one.
//!
//! A [`Round`] is one stretch of calls. Where calls can be repeated, the first half of them is not timed: it brings back into
//! the processor's caches what the subjects before have displaced. Most of the others are timed together, which says what a
//! call costs, and the last ones each by itself, which says how it varies. Names are made before the clock starts.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod numbers;
mod served;

use std::time::Instant;

pub use crate::{
    numbers::{Keys, Numbers},
    served::{parse_line, parse_reply, request, serve},
};

/// What every subject keeps under each name.
pub const SESSION: [u8; 300] = [7; 300];

/// Calls at the end of a round that are timed each by itself.
pub const SINGLES: usize = 16;

/// What a session is filed under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Whom it is with.
    pub partial: Vec<u8>,
    /// Its id.
    pub id: [u8; 32],
}

impl Named {
    /// The name of a session by its number, among `sessions`. The first half are each with a peer of their own, the second
    /// half ten with each peer; from `sessions` on nobody has been registered.
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

/// What is done in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// Finds sessions that are there.
    LookupHit,
    /// Asks for sessions that nobody has registered.
    LookupMiss,
    /// Finds sessions and gives each away; they are registered before the clock starts.
    Take,
    /// Registers sessions anew under names that are there.
    Update,
    /// Forgets sessions, registered before the clock starts.
    Delete,
    /// Gives the session of a peer that has one.
    SelectOne,
    /// Gives the sessions of a peer that has ten.
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

    /// Whether it can be done again with the same sessions.
    fn is_repeatable(self) -> bool {
        !matches!(self, Self::Take | Self::Delete)
    }

    /// The work with a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|work| work.name() == name)
    }
}

/// A cache of some kind, as one thread sees it.
///
/// What changes it may be behind: [`Subject::settle`] waits until it is done, and its time counts.
pub trait Subject {
    /// Files [`SESSION`] under a name.
    fn update(&mut self, name: &Named);
    /// Waits until every change so far has been made.
    fn settle(&mut self) {}
    /// Says how many bytes are under a name.
    fn lookup(&mut self, name: &Named) -> Option<usize>;
    /// Says how many bytes were under a name, under which there is nothing then.
    fn take(&mut self, name: &Named) -> Option<usize>;
    /// Forgets what is under a name.
    fn delete(&mut self, name: &Named);
    /// Says how many sessions there are with a peer, all of which it has got hold of.
    fn select(&mut self, partial: &[u8]) -> usize;
    /// Says how many sessions there are, all of which it has got hold of.
    fn foldl(&mut self) -> usize;
    /// Whether it can do a work at all.
    fn can(&self, _work: Work) -> bool {
        true
    }
}

/// Files the sessions that a benchmark begins with.
pub fn fill(subject: &mut dyn Subject, sessions: u32) {
    for number in 0..sessions {
        subject.update(&Named::new(number, sessions));
        // What is posted has a place to wait, and places are bounded.
        if number % 512 == 511 {
            subject.settle();
        }
    }
    subject.settle();
}

/// What came of one stretch of calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// What a call took, of those timed together.
    pub ns: f64,
    /// What each call took that was timed by itself, the clock's own time included.
    pub singles_ns: Vec<u64>,
}

/// Has a subject do so much work, and times it.
///
/// # Panics
/// When the subject does not have what it ought to have: its time would mean nothing.
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

/// What changes a cache has ended once the change has been made.
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
