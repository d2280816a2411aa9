//! A double of the host for a guest's own native tests: one for each thread, without a vault. `cargo test` gives each
//! test a thread of its own, unless it is told `--test-threads=1`.
//!
//! ```
//! use innkeeper_guest::{PartialKey, Session, SessionCache, testing};
//! # use innkeeper_guest::{Fold, InitArgs, Key, host};
//! # struct Last(Option<(Key, Session)>);
//! # impl SessionCache for Last {
//! #     fn init(_: InitArgs) -> Result<Self, String> { Ok(Self(None)) }
//! #     fn update(&mut self, key: Key, session: Session) {
//! #         self.0.replace((key, session)).filter(|(own, _)| *own != key).into_iter().for_each(|(_, old)| host::evict(old));
//! #     }
//! #     fn delete(&mut self, key: Key) { self.0.take_if(|(own, _)| *own == key); }
//! #     fn lookup(&mut self, key: Key) -> Option<Session> {
//! #         self.0.filter(|(own, _)| *own == key).map(|(_, session)| session)
//! #     }
//! #     fn select_session(&mut self, partial: PartialKey) -> Vec<Session> {
//! #         self.0.iter().filter(|(own, _)| own.partial == partial).map(|(_, session)| *session).collect()
//! #     }
//! #     fn size(&self) -> u64 { self.0.iter().count() as u64 }
//! #     fn foldl(&self, fold: &mut Fold) { self.0.iter().for_each(|(key, session)| fold.apply(*key, *session)) }
//! # }
//!
//! // `Last` is a guest that remembers one session.
//! let mut last = testing::open::<Last>(1, &[])?;
//! last.update(testing::key(1, 1), Session(11));
//! last.update(testing::key(1, 2), Session(12));
//! assert_eq!(last.lookup(testing::key(1, 2)), Some(Session(12)));
//! assert_eq!(testing::fold(&last), [(testing::key(1, 2), Session(12))]);
//! assert_eq!(testing::seen().evicted, [Session(11)]);
//! # Ok::<(), String>(())
//! ```

use crate::{
    cache::{Fold, SessionCache},
    contract::{InitArgs, Key, PartialKey, Role, Session, SessionId, SessionInfo},
    double::DOUBLE,
};

pub use crate::double::Seen;

/// The time that the vault keeps a session of a cache that [`open`] opens.
pub const LIFETIME_MS: u64 = 3_600_000;

/// Opens a cache of role server, with a maximum and the operator's properties.
///
/// # Errors
/// Those of the guest's `init`.
///
/// ```
/// # use innkeeper_guest::*;
/// # #[derive(Debug)]
/// # struct Picky;
/// # impl SessionCache for Picky {
/// #     fn init(args: InitArgs) -> Result<Self, String> {
/// #         args.property("size").map_or(Ok(Self), |_| Err("unknown property `size`".to_owned()))
/// #     }
/// #     fn update(&mut self, _: Key, _: Session) {}
/// #     fn delete(&mut self, _: Key) {}
/// #     fn lookup(&mut self, _: Key) -> Option<Session> { None }
/// #     fn select_session(&mut self, _: PartialKey) -> Vec<Session> { Vec::new() }
/// #     fn size(&self) -> u64 { 0 }
/// #     fn foldl(&self, _: &mut Fold) {}
/// # }
/// let refusal = testing::open::<Picky>(100, &[("size", "3")]).unwrap_err();
/// assert_eq!(refusal, "unknown property `size`");
/// ```
pub fn open<C: SessionCache>(sessions_max: usize, properties: &[(&str, &str)]) -> Result<C, String> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let properties = properties.iter().map(owned).collect();
    C::init(InitArgs { role: Role::Server, sessions_max, lifetime_ms: LIFETIME_MS, properties })
}

/// A key of two numbers.
pub const fn key(partial: u64, id: u64) -> Key {
    Key { partial: PartialKey(partial), id: SessionId(id) }
}

/// Sets the time of [`crate::host::now_ms`], zero at first.
pub fn set_now_ms(now_ms: u64) {
    DOUBLE.with_borrow_mut(|double| double.now_ms = now_ms);
}

/// Makes a session known to [`crate::host::describe`], which knows none at first.
pub fn set_info(session: Session, info: SessionInfo) {
    DOUBLE.with_borrow_mut(|double| double.info.insert(session.0, info));
}

/// Returns the calls of the double on this thread since the last time.
pub fn seen() -> Seen {
    DOUBLE.with_borrow_mut(|double| std::mem::take(&mut double.seen))
}

/// The sessions that a cache shows in a fold, in its order.
pub fn fold(cache: &impl SessionCache) -> Vec<(Key, Session)> {
    let mut fold = Fold::new(0, 0);
    cache.foldl(&mut fold);
    DOUBLE.with_borrow_mut(|double| std::mem::take(&mut double.folded))
}
