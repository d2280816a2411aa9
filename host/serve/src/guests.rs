//! Compiled components. Each is compiled once for all its tenants, and kept as long as one has it. A refused component
//! is compiled again only on request.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use innkeeper_proxy::{
    GuestLoader, LoadError, LoaderConfig, Wasi,
    core::{Guest, SizeClass},
};

use crate::{
    config::{Bytes, Digest, digest_of},
    tenant_info::GuestInfo,
};

/// The key of a compiled component.
type Kind = (Digest, bool, bool);

/// The refusals that are remembered. Components beyond are compiled again.
const REFUSED_MAX: usize = 4_096;

/// The compiled components of all tenants.
pub(crate) struct Guests {
    loader: GuestLoader,
    /// Locked for an instant. A component's own lock is held while it is compiled, so only tenants of the same
    /// component wait.
    loaded: Mutex<HashMap<Kind, Arc<Mutex<Loaded>>>>,
}

/// The outcome of a component's compilation.
#[derive(Default)]
struct Loaded {
    guest: Option<Weak<dyn Guest>>,
    /// The refusal, and the digest of the limits that it was refused under.
    refused: Option<(Digest, Arc<LoadError>)>,
}

impl Loaded {
    fn is_of_use(&self) -> bool {
        self.refused.is_some() || self.guest.as_ref().is_some_and(|guest| guest.strong_count() > 0)
    }
}

impl Guests {
    pub(crate) fn new(config: LoaderConfig) -> Result<Self, LoadError> {
        Ok(Self { loader: GuestLoader::with(config)?, loaded: Mutex::default() })
    }

    /// Loads a guest, or returns the one that another tenant has. Blocking.
    pub(crate) fn load(&self, component: &Bytes, own: &GuestInfo) -> Result<Arc<dyn Guest>, Arc<LoadError>> {
        let kind = (component.digest, own.class == SizeClass::Large, own.wasi == Wasi::Closed);
        let place = self.place(kind);
        let mut loaded = lock(&place);
        if let Some(guest) = loaded.guest.as_ref().and_then(Weak::upgrade) {
            return Ok(guest);
        }
        // Any limit may cause a refusal, so all of them count.
        let limits = digest_of(format!("{:?}", own.limits).as_bytes());
        if let Some((_, error)) = loaded.refused.as_ref().filter(|(under, _)| *under == limits) {
            return Err(Arc::clone(error));
        }
        match self.loader.load(&component.bytes, own.class, own.wasi, &own.limits) {
            Ok(guest) => {
                *loaded = Loaded { guest: Some(Arc::downgrade(&guest)), refused: None };
                Ok(guest)
            }
            Err(error) => {
                let is_final = !is_passing(&error);
                let error = Arc::new(error);
                loaded.refused = is_final.then(|| (limits, Arc::clone(&error)));
                Err(error)
            }
        }
    }

    /// True if the outcome for a component is known, so it needs no compilation.
    pub(crate) fn has(&self, component: &Bytes, own: &GuestInfo) -> bool {
        let kind = (component.digest, own.class == SizeClass::Large, own.wasi == Wasi::Closed);
        let place = lock(&self.loaded).get(&kind).cloned();
        place.is_some_and(|place| place.try_lock().is_ok_and(|loaded| loaded.is_of_use()))
    }

    /// Forgets all refusals, so refused components are compiled again on demand.
    pub(crate) fn forget_refusals(&self) {
        let places: Vec<Arc<Mutex<Loaded>>> = lock(&self.loaded).values().cloned().collect();
        // A locked component is being compiled, so it has no refusal.
        places.iter().filter_map(|place| place.try_lock().ok()).for_each(|mut loaded| loaded.refused = None);
    }

    fn place(&self, kind: Kind) -> Arc<Mutex<Loaded>> {
        let mut all = lock(&self.loaded);
        if !all.contains_key(&kind) {
            let is_crowded = all.len() >= REFUSED_MAX;
            // A component in compilation is locked, or about to be: somebody else has a reference too.
            all.retain(|_, place| {
                Arc::strong_count(place) > 1
                    || place.try_lock().is_ok_and(|mut loaded| {
                        loaded.refused.take_if(|_| is_crowded);
                        loaded.is_of_use()
                    })
            });
        }
        Arc::clone(all.entry(kind).or_default())
    }
}

/// True if the same component may load at another time.
pub(crate) fn is_passing(error: &LoadError) -> bool {
    matches!(error, LoadError::CompilersBusy { .. } | LoadError::CompileTime { .. } | LoadError::Engine(_))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use innkeeper_proxy::{
        Compilation,
        core::{Limits, Overflow},
    };

    use super::*;

    #[test]
    fn what_was_refused_is_not_compiled_again_until_somebody_says_so() {
        let guests = Guests::new(LoaderConfig { instances_small: 2, ..LoaderConfig::new(Compilation::Trusted) });
        let guests = guests.expect("the engine starts");
        let mut own = GuestInfo {
            component: "guest.wasm".into(),
            digest: [0; 32],
            class: SizeClass::Small,
            wasi: Wasi::None,
            readers: 1,
            limits: Limits::new(SizeClass::Small),
            properties: Vec::new(),
            overflow: Overflow::default(),
            idle: None,
            instances: 1,
        };
        let garbage = Bytes::new(b"garbage".to_vec());
        let refuse = |own: &GuestInfo| guests.load(&garbage, own).err().expect("garbage is no guest");
        assert!(!guests.has(&garbage, &own));
        let first = refuse(&own);
        assert!(guests.has(&garbage, &own) && Arc::ptr_eq(&first, &refuse(&own)));
        guests.forget_refusals();
        assert!(!guests.has(&garbage, &own) && !Arc::ptr_eq(&first, &refuse(&own)));
        let before = refuse(&own);
        own.limits.component_bytes += 1;
        assert!(!Arc::ptr_eq(&before, &refuse(&own)), "other limits may let it pass");
    }
}
