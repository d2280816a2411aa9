//! The trait that a guest implements, its types, and the glue to the component's exports.

use std::{cell::RefCell, marker::PhantomData};

use crate::bindings::{
    exports::innkeeper::session_cache::callbacks::Guest,
    innkeeper::session_cache::{host, types},
};

/// Whom a session is with: a keyed fingerprint of the server name (role server) or of the peer's host and port (role
/// client). Above zero and below 2^53; unrelated to the same name's number in another cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartialKey(pub u64);

/// Which of their sessions it is: a keyed fingerprint of the TLS session id or ticket id. Above zero and below 2^53.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// A session in the host's vault, by its number: above zero, below 2^53, and never used for another session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Session(pub u64);

/// What a session is filed under. At most one live session has a given key. Keys of one partial key are neighbours in the
/// order.
///
/// The two halves cannot be swapped:
///
/// ```compile_fail,E0308
/// # use innkeeper_guest::{Key, PartialKey, SessionId};
/// let key = Key { partial: SessionId(1), id: PartialKey(2) };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Whom the session is with.
    pub partial: PartialKey,
    /// Which of their sessions it is.
    pub id: SessionId,
}

impl Key {
    /// Every key that a partial key can have, for the range of an ordered map.
    ///
    /// ```
    /// use std::collections::BTreeSet;
    /// use innkeeper_guest::{Key, PartialKey, testing::key};
    ///
    /// let keys = BTreeSet::from([key(1, 7), key(2, 3), key(2, 9), key(3, 1)]);
    /// assert!(keys.range(Key::all_of(PartialKey(2))).eq(&[key(2, 3), key(2, 9)]));
    /// ```
    pub fn all_of(partial: PartialKey) -> std::ops::RangeInclusive<Self> {
        Self { partial, id: SessionId(0) }..=Self { partial, id: SessionId(u64::MAX) }
    }
}

/// Which end of a TLS connection a cache serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The host is the TLS client: sessions to resume with other servers.
    Client,
    /// The host is the TLS server: sessions that connecting clients may resume.
    Server,
}

/// What a cache is told when it is opened.
#[derive(Clone, Debug)]
pub struct InitArgs {
    /// Which end of the connections the cache serves.
    pub role: Role,
    /// How many sessions the vault holds at most, above zero. Past that the host takes out the oldest, or all, and tells the
    /// guest by `delete`.
    pub sessions_max: usize,
    /// How long the vault keeps a session, in milliseconds.
    pub lifetime_ms: u64,
    /// The operator's settings: names and values, in the order in which they were written.
    pub properties: Vec<(String, String)>,
}

impl InitArgs {
    /// The value of the last setting with a name, as the operator wrote it.
    ///
    /// ```
    /// use innkeeper_guest::{InitArgs, Role};
    ///
    /// let properties = vec![("ttl-ms".to_owned(), "500".to_owned())];
    /// let args = InitArgs { role: Role::Server, sessions_max: 10, lifetime_ms: 60_000, properties };
    /// assert_eq!(args.property("ttl-ms"), Some("500"));
    /// assert_eq!(args.property("quota"), None);
    /// ```
    pub fn property(&self, name: &str) -> Option<&str> {
        let mut named = self.properties.iter().rev().filter(|(own_name, _)| own_name == name);
        named.next().map(|(_, value)| value.as_str())
    }
}

/// One fold over the sessions of a cache. It holds the function and the accumulator, and passes the latter on.
///
/// Only the host begins a fold:
///
/// ```compile_fail,E0451
/// let fold = innkeeper_guest::Fold { fun: 1, acc: 1 };
/// ```
///
/// Nor can one be repeated from where it began:
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
/// Nor kept for after the callback:
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
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn new() -> Self {
        Self { fun: 0, acc: 0 }
    }

    /// Shows one session to the fold's function. One call of the host: 200 units of fuel. Traps when it is called more often
    /// than twice `sessions_max` and 1024.
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

/// As many sessions as `select_session` should look at: more than the host asks for, and well within a call's fuel.
pub const SELECTED_MAX: usize = 256;

/// The logic of a session cache. One value is one cache; the host may have several instances of the same cache, and never
/// calls one of them twice at a time. The crate's first page has an example.
///
/// A lookup, selection, count or fold has a small grant of fuel, an `update` or `delete` a larger one; a call that runs out of
/// it, or panics, is a miss, and costs the instance. So no callback should look at every session, save `foldl`.
///
/// Every callback but `terminate` has to be there:
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
/// What is answered is a [`Session`], not any number:
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
    /// Opens a cache: empty, even where the vault is not. What the vault holds comes by `update`, oldest first.
    ///
    /// # Errors
    /// What the operator is to be told, such as a setting that makes no sense; the cache is then refused.
    fn init(args: InitArgs) -> Result<Self, String>
    where
        Self: Sized;

    /// Closes the cache. It is dropped afterwards.
    fn terminate(&mut self) {}

    /// Registers a session. It replaces the one under the same key, which is dead. May [`evict`](crate::host::evict) others:
    /// those that the guest forgets of its own accord.
    fn update(&mut self, key: Key, session: Session);

    /// Forgets the session under a key, if it is known. May [`evict`](crate::host::evict) others.
    fn delete(&mut self, key: Key);

    /// Finds the session under a key. The host asks only for keys that its vault holds; none means: do not resume. Any other
    /// session but the live one under this key is a miss.
    fn lookup(&mut self, key: Key) -> Option<Session>;

    /// Gives the sessions of a partial key, best first. No more than [`SELECTED_MAX`].
    fn select_session(&mut self, partial: PartialKey) -> Vec<Session>;

    /// Counts the sessions that the guest remembers: as many as [`SessionCache::foldl`] shows.
    fn size(&self) -> u64;

    /// Shows each session to the fold once, in any order.
    fn foldl(&self, fold: &mut Fold);
}

thread_local! {
    /// The caches of this instance; a cache-ref is a place here.
    static CACHES: RefCell<Vec<Option<Box<dyn SessionCache>>>> = const { RefCell::new(Vec::new()) };
}

fn with_cache<R>(cache_ref: u64, act: impl FnOnce(&mut dyn SessionCache) -> R) -> R {
    CACHES.with_borrow_mut(|caches| {
        let cache = usize::try_from(cache_ref).ok().and_then(|place| caches.get_mut(place)?.as_deref_mut());
        act(cache.expect("the host passes back what `init` returned"))
    })
}

/// The component that [`crate::export!`] makes of a cache.
pub struct Exported<T>(PhantomData<T>);

#[cfg(not(target_family = "wasm"))]
impl<T: SessionCache> Exported<T> {
    /// Stands for the component where there is none.
    pub const NATIVE: Self = Self(PhantomData);
}

impl<T: SessionCache> Guest for Exported<T> {
    fn init(args: types::InitArgs) -> Result<u64, String> {
        // A trap says nothing; what a panic says goes to the tenant's log first.
        #[cfg(target_family = "wasm")]
        std::panic::set_hook(Box::new(|panic| crate::host::log(crate::host::Level::Error, &panic.to_string())));
        let args = InitArgs {
            role: match args.role {
                types::Role::Client => Role::Client,
                types::Role::Server => Role::Server,
            },
            sessions_max: usize::try_from(args.max_sessions).unwrap_or(usize::MAX),
            lifetime_ms: args.lifetime_ms,
            properties: args.properties.into_iter().map(|property| (property.name, property.value)).collect(),
        };
        let cache = T::init(args)?;
        CACHES.with_borrow_mut(|caches| {
            caches.push(Some(Box::new(cache)));
            Ok(caches.len() as u64 - 1)
        })
    }

    fn terminate(cache: u64) {
        with_cache(cache, |cache| cache.terminate());
        CACHES.with_borrow_mut(|caches| caches[usize::try_from(cache).unwrap_or(usize::MAX)] = None);
    }

    fn update(cache: u64, key: types::Key, session: u64) {
        with_cache(cache, |cache| cache.update(key.into(), Session(session)));
    }

    fn delete(cache: u64, key: types::Key) {
        with_cache(cache, |cache| cache.delete(key.into()));
    }

    fn select_session(cache: u64, partial: u64) -> Vec<u64> {
        let sessions = with_cache(cache, |cache| cache.select_session(PartialKey(partial)));
        sessions.into_iter().map(|session| session.0).collect()
    }

    fn size(cache: u64) -> u64 {
        with_cache(cache, |cache| cache.size())
    }

    fn foldl(fun: u64, acc: u64, cache: u64) -> u64 {
        let mut fold = Fold { fun, acc };
        with_cache(cache, |cache| cache.foldl(&mut fold));
        fold.acc
    }

    fn lookup(cache: u64, key: types::Key) -> Option<u64> {
        with_cache(cache, |cache| cache.lookup(key.into())).map(|session| session.0)
    }
}

impl From<types::Key> for Key {
    fn from(key: types::Key) -> Self {
        Self { partial: PartialKey(key.partial), id: SessionId(key.id) }
    }
}

impl From<(Key, Session)> for host::Element {
    fn from((key, session): (Key, Session)) -> Self {
        let key = types::Key { partial: key.partial.0, id: key.id.0 };
        Self { key, session: session.0 }
    }
}
