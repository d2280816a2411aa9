//! The host's functions natively: a double for each thread.

use std::{cell::RefCell, collections::BTreeMap};

use crate::contract::{Key, Level, Session, SessionInfo};

/// The calls of the double on this thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Sessions evicted, in order.
    pub evicted: Vec<Session>,
    /// Log lines, whole, in order.
    pub log: Vec<(Level, String)>,
}

#[derive(Default)]
pub(crate) struct Double {
    pub(crate) now_ms: u64,
    pub(crate) info: BTreeMap<u64, SessionInfo>,
    pub(crate) folded: Vec<(Key, Session)>,
    pub(crate) seen: Seen,
}

thread_local!(pub(crate) static DOUBLE: RefCell<Double> = RefCell::default());

pub(crate) fn describe(session: u64) -> Option<SessionInfo> {
    DOUBLE.with_borrow(|double| double.info.get(&session).copied())
}

pub(crate) fn evict(session: u64) {
    DOUBLE.with_borrow_mut(|double| double.seen.evicted.push(Session(session)));
}

pub(crate) fn now_ms() -> u64 {
    DOUBLE.with_borrow(|double| double.now_ms)
}

pub(crate) fn log(level: Level, message: &str) {
    DOUBLE.with_borrow_mut(|double| double.seen.log.push((level, message.to_owned())));
}

pub(crate) fn apply(_: u64, element: (Key, Session), acc: u64) -> u64 {
    DOUBLE.with_borrow_mut(|double| double.folded.push(element));
    acc + 1
}
