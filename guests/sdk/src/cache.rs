//! The trait that a guest implements, its types, and the glue to the component's exports.

use std::{cell::RefCell, marker::PhantomData};

use crate::bindings::{
    exports::innkeeper::session_cache::callbacks::Guest,
    innkeeper::session_cache::{host, types},
};

/// Whom a session is with: a keyed fingerprint, below 2^53.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartialKey(pub u64);

/// Which of their sessions it is: a keyed fingerprint, below 2^53.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// A session in the host's vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Session(pub u64);

/// What a session is filed under. Keys of one partial key are neighbours in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Whom the session is with.
    pub partial: PartialKey,
    /// Which of their sessions it is.
    pub id: SessionId,
}

impl Key {
    /// Every key that a partial key can have, for the range of an ordered map.
    pub fn all_of(partial: PartialKey) -> std::ops::RangeInclusive<Self> {
        Self { partial, id: SessionId(0) }..=Self { partial, id: SessionId(u64::MAX) }
    }
}

/// Which end of a TLS connection a cache serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The host is the TLS client.
    Client,
    /// The host is the TLS server.
    Server,
}

/// What a cache is told when it is opened.
#[derive(Clone, Debug)]
pub struct InitArgs {
    /// Which end of the connections the cache serves.
    pub role: Role,
    /// How many sessions the vault holds at most.
    pub sessions_max: usize,
    /// How long the vault keeps a session, in milliseconds.
    pub lifetime_ms: u64,
    /// The operator's settings: names and values, in the order in which they were written.
    pub properties: Vec<(String, String)>,
}

impl InitArgs {
    /// The value of the last setting with a name.
    pub fn property(&self, name: &str) -> Option<&str> {
        let mut named = self.properties.iter().rev().filter(|(own_name, _)| own_name == name);
        named.next().map(|(_, value)| value.as_str())
    }
}

/// One fold over the sessions of a cache.
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

    /// Shows one session to the fold's function.
    pub fn apply(&mut self, key: Key, session: Session) {
        self.acc = crate::host::apply(self.fun, key, session, self.acc);
    }
}

/// As many sessions as `select_session` should look at: more than the host asks for, and well within a call's fuel.
pub const SELECTED_MAX: usize = 256;

/// The logic of a session cache. One value is one cache; the host may have several instances of the same cache.
pub trait SessionCache: 'static {
    /// Opens a cache.
    ///
    /// # Errors
    /// What the operator is to be told, such as a setting that makes no sense; the cache is then refused.
    fn init(args: InitArgs) -> Result<Self, String>
    where
        Self: Sized;

    /// Closes the cache. It is dropped afterwards.
    fn terminate(&mut self) {}

    /// Registers a session. It replaces the one under the same key, which is dead.
    fn update(&mut self, key: Key, session: Session);

    /// Forgets the session under a key, if it is known.
    fn delete(&mut self, key: Key);

    /// Finds the session under a key. The host asks only for keys that its vault holds; none means: do not resume.
    fn lookup(&mut self, key: Key) -> Option<Session>;

    /// Gives the sessions of a partial key, best first. No more than [`SELECTED_MAX`].
    fn select_session(&mut self, partial: PartialKey) -> Vec<Session>;

    /// Counts the sessions.
    fn size(&self) -> u64;

    /// Shows each session to the fold once.
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
