//! A double of the host for a guest's own native tests: one for each thread, without a vault.

use std::cell::RefCell;

use crate::{
    Fold, Key, Session, SessionCache,
    host::{Level, SessionInfo},
};

/// What the double has been asked on this thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Sessions evicted, in order.
    pub evicted: Vec<Session>,
    /// Log lines.
    pub log: Vec<(Level, String)>,
}

#[derive(Default)]
struct Double {
    now_ms: u64,
    info: Vec<(Session, SessionInfo)>,
    folded: Vec<(Key, Session)>,
    seen: Seen,
}

thread_local!(static DOUBLE: RefCell<Double> = RefCell::default());

/// Sets the time that [`crate::host::now_ms`] gives.
pub fn set_now_ms(now_ms: u64) {
    DOUBLE.with_borrow_mut(|double| double.now_ms = now_ms);
}

/// Makes [`crate::host::describe`] know a session.
pub fn set_info(session: Session, info: SessionInfo) {
    DOUBLE.with_borrow_mut(|double| double.info.push((session, info)));
}

/// Gives what has been asked since the last call.
pub fn seen() -> Seen {
    DOUBLE.with_borrow_mut(|double| std::mem::take(&mut double.seen))
}

/// Everything a cache shows in a fold, in its order.
pub fn fold(cache: &impl SessionCache) -> Vec<(Key, Session)> {
    let mut fold = Fold::new();
    cache.foldl(&mut fold);
    DOUBLE.with_borrow_mut(|double| std::mem::take(&mut double.folded))
}

pub(crate) fn describe(session: u64) -> Option<SessionInfo> {
    DOUBLE.with_borrow(|double| {
        let known = double.info.iter().rev().find(|(own, _)| own.0 == session);
        known.map(|(_, info)| *info)
    })
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
