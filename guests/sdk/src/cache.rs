//! The trait that a guest implements.

use crate::contract::{InitArgs, Key, PartialKey, Session};

/// One fold over the sessions of a cache. It holds the function and the accumulator, and passes the latter on.
///
/// Only the host begins a fold:
///
/// ```compile_fail,E0451
/// let fold = innkeeper_guest::Fold { fun: 1, acc: 1 };
/// ```
///
/// A fold begins once:
///
/// ```compile_fail,E0599
/// # use innkeeper_guest::{Fold, testing::key, Session};
/// fn foldl(fold: &mut Fold) {
///     let mut again = fold.clone();
///     fold.apply(key(1, 1), Session(11));
///     again.apply(key(1, 1), Session(11));
/// }
/// ```
///
/// It ends with the callback:
///
/// ```compile_fail,E0521
/// # use {innkeeper_guest::Fold, std::cell::Cell};
/// struct Keeps(Cell<Option<&'static mut Fold>>);
///
/// impl Keeps {
///     fn foldl(&self, fold: &mut Fold) {
///         self.0.set(Some(fold));
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Fold {
    fun: u64,
    acc: u64,
}

impl Fold {
    pub(crate) fn new(fun: u64, acc: u64) -> Self {
        Self { fun, acc }
    }

    /// The accumulator after the last session.
    pub(crate) fn into_acc(self) -> u64 {
        self.acc
    }

    /// Shows one session to the fold's function. One call of the host: 200 units of fuel. Traps after more calls than
    /// twice `sessions_max` and 1024.
    ///
    /// ```
    /// # use innkeeper_guest::{Fold, Key, Session};
    /// fn foldl(sessions: &[(Key, Session)], fold: &mut Fold) {
    ///     sessions.iter().for_each(|(key, session)| fold.apply(*key, *session));
    /// }
    /// ```
    pub fn apply(&mut self, key: Key, session: Session) {
        self.acc = crate::host::apply(self.fun, key, session, self.acc);
    }
}

/// The most sessions that `select_session` should look at: more than the host asks for, and well within a call's fuel.
pub const SELECTED_MAX: usize = 256;

/// The logic of a session cache. One value is one cache; the host may have several instances of the same cache, and
/// never calls one of them twice at a time. The crate's first page has an example.
///
/// A lookup, selection, count or fold has a small grant of fuel, an `update` or `delete` a larger one. A call that runs
/// out of it, or panics, is a miss, and costs the instance. So only `foldl` should look at every session.
///
/// Every callback but `terminate` is required:
///
/// ```compile_fail,E0046
/// # use innkeeper_guest::{InitArgs, Key, Session, SessionCache};
/// struct Forgetful;
///
/// impl SessionCache for Forgetful {
///     fn init(_: InitArgs) -> Result<Self, String> {
///         Ok(Self)
///     }
///     fn update(&mut self, _: Key, _: Session) {}
///     fn delete(&mut self, _: Key) {}
///     fn lookup(&mut self, _: Key) -> Option<Session> {
///         None
///     }
/// }
/// ```
///
/// The answer is a [`Session`], not any number:
///
/// ```compile_fail,E0053
/// # use innkeeper_guest::{Fold, InitArgs, Key, PartialKey, Session, SessionCache};
/// # struct Guess;
/// impl SessionCache for Guess {
///     fn lookup(&mut self, key: Key) -> Option<u64> {
///         Some(key.id.0)
///     }
/// #   fn init(_: InitArgs) -> Result<Self, String> { Ok(Self) }
/// #   fn update(&mut self, _: Key, _: Session) {}
/// #   fn delete(&mut self, _: Key) {}
/// #   fn select_session(&mut self, _: PartialKey) -> Vec<Session> { Vec::new() }
/// #   fn size(&self) -> u64 { 0 }
/// #   fn foldl(&self, _: &mut Fold) {}
///     // and the other callbacks
/// }
/// ```
///
/// A cache owns what it knows, since it outlives every call:
///
/// ```compile_fail,E0478
/// # use innkeeper_guest::{Fold, InitArgs, Key, PartialKey, Session, SessionCache};
/// struct Borrows<'a>(&'a [Session]);
///
/// impl<'a> SessionCache for Borrows<'a> {
/// #   fn lookup(&mut self, _: Key) -> Option<Session> { None }
/// #   fn init(_: InitArgs) -> Result<Self, String> { Ok(Self(&[])) }
/// #   fn update(&mut self, _: Key, _: Session) {}
/// #   fn delete(&mut self, _: Key) {}
/// #   fn select_session(&mut self, _: PartialKey) -> Vec<Session> { Vec::new() }
/// #   fn size(&self) -> u64 { 0 }
/// #   fn foldl(&self, _: &mut Fold) {}
///     // the callbacks
/// }
/// ```
pub trait SessionCache: 'static {
    /// Opens a cache: empty, even where the vault is not. The vault's sessions follow by `update`, oldest first.
    ///
    /// # Errors
    /// A message for the operator, such as an invalid setting; the host then refuses the cache.
    fn init(args: InitArgs) -> Result<Self, String>
    where
        Self: Sized;

    /// Closes the cache. It is dropped afterwards.
    fn terminate(&mut self) {}

    /// Registers a session. It replaces the one under the same key, which is dead. May [`evict`](crate::host::evict)
    /// others: those that the guest forgets of its own accord.
    fn update(&mut self, key: Key, session: Session);

    /// Forgets the session under a key, if it is known. May [`evict`](crate::host::evict) others.
    fn delete(&mut self, key: Key);

    /// Finds the session under a key. The host asks only for keys that its vault holds; none means: do not resume. Any
    /// other session but the live one under this key is a miss.
    fn lookup(&mut self, key: Key) -> Option<Session>;

    /// Gives the sessions of a partial key, best first. No more than [`SELECTED_MAX`].
    fn select_session(&mut self, partial: PartialKey) -> Vec<Session>;

    /// Counts the sessions that the guest remembers: as many as [`SessionCache::foldl`] shows.
    fn size(&self) -> u64;

    /// Shows each session to the fold once, in any order.
    fn foldl(&self, fold: &mut Fold);
}
