//! The glue between a cache and the component's exports.

use std::{cell::RefCell, marker::PhantomData};

use crate::{
    bindings::{exports::innkeeper::session_cache::callbacks::Guest, innkeeper::session_cache::types},
    cache::{Fold, SessionCache},
    contract::{InitArgs, PartialKey, Role, Session},
};

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
    /// Stands for the component in a native build.
    pub const NATIVE: Self = Self(PhantomData);
}

impl<T: SessionCache> Guest for Exported<T> {
    fn init(args: types::InitArgs) -> Result<u64, String> {
        // A trap has no message; the panic's message goes to the tenant's log first.
        #[cfg(target_family = "wasm")]
        std::panic::set_hook(Box::new(|panic| {
            crate::host::log(crate::contract::Level::Error, &panic.to_string());
        }));
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
        let mut fold = Fold::new(fun, acc);
        with_cache(cache, |cache| cache.foldl(&mut fold));
        fold.into_acc()
    }

    fn lookup(cache: u64, key: types::Key) -> Option<u64> {
        with_cache(cache, |cache| cache.lookup(key.into())).map(|session| session.0)
    }
}
