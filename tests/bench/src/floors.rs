//! Subjects without a sandbox: a map behind a lock, a concurrent cache, rustls's own store.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use innkeeper_work::{Named, SESSION, Subject, Work};
use rustls::server::{ServerSessionMemoryCache, StoresServerSessions};

use crate::subject::Shared;

/// A name's bytes in one slice, for maps with slices as keys.
struct Flat {
    bytes: [u8; 96],
    length: usize,
}

impl Flat {
    fn new(name: &Named) -> Self {
        let (mut bytes, length) = ([0; 96], name.id.len() + name.partial.len());
        bytes[..name.id.len()].copy_from_slice(&name.id);
        bytes[name.id.len()..length].copy_from_slice(&name.partial);
        Self { bytes, length }
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// An empty component, called like a guest.
pub(crate) struct EmptyCall<F>(pub(crate) F);

impl<F: FnMut()> Subject for EmptyCall<F> {
    fn update(&mut self, _: &Named) {}

    fn lookup(&mut self, _: &Named) -> Option<usize> {
        (self.0)();
        Some(SESSION.len())
    }

    fn take(&mut self, _: &Named) -> Option<usize> {
        None
    }

    fn delete(&mut self, _: &Named) {}

    fn select(&mut self, _: &[u8]) -> usize {
        0
    }

    fn foldl(&mut self) -> usize {
        0
    }

    fn can(&self, work: Work) -> bool {
        work == Work::LookupHit
    }
}

/// The simplest solution: a map behind a lock.
#[derive(Clone, Default)]
pub(crate) struct LockedMap(Arc<Mutex<Map>>);

type Map = HashMap<Box<[u8]>, Vec<u8>>;

impl LockedMap {
    fn with<T>(&self, ask: impl FnOnce(&mut Map) -> T) -> T {
        ask(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shared for LockedMap {
    fn lookup(&self, name: &Named) -> Option<usize> {
        let name = Flat::new(name);
        let found = self.with(|map| map.get(name.as_slice()).cloned());
        found.map(|session| session.len())
    }
}

impl Subject for LockedMap {
    fn update(&mut self, name: &Named) {
        let name = Flat::new(name);
        self.with(|map| map.insert(name.as_slice().into(), SESSION.to_vec()));
    }

    fn lookup(&mut self, name: &Named) -> Option<usize> {
        Shared::lookup(self, name)
    }

    fn take(&mut self, name: &Named) -> Option<usize> {
        let name = Flat::new(name);
        self.with(|map| map.remove(name.as_slice())).map(|session| session.len())
    }

    fn delete(&mut self, name: &Named) {
        self.take(name);
    }

    fn select(&mut self, _: &[u8]) -> usize {
        0
    }

    fn foldl(&mut self) -> usize {
        self.with(|map| map.values().filter(|session| !session.is_empty()).count())
    }

    fn can(&self, work: Work) -> bool {
        !matches!(work, Work::SelectOne | Work::SelectTen)
    }
}

/// The usual concurrent cache of Rust programs.
#[derive(Clone)]
pub(crate) struct Moka(moka::sync::Cache<Box<[u8]>, Vec<u8>>);

impl Moka {
    pub(crate) fn new(sessions_max: u32) -> Self {
        Self(moka::sync::Cache::new(sessions_max.into()))
    }
}

impl Shared for Moka {
    fn lookup(&self, name: &Named) -> Option<usize> {
        self.0.get(Flat::new(name).as_slice()).map(|session| session.len())
    }
}

impl Subject for Moka {
    fn update(&mut self, name: &Named) {
        self.0.insert(Flat::new(name).as_slice().into(), SESSION.to_vec());
    }

    fn lookup(&mut self, name: &Named) -> Option<usize> {
        Shared::lookup(self, name)
    }

    fn take(&mut self, name: &Named) -> Option<usize> {
        self.0.remove(Flat::new(name).as_slice()).map(|session| session.len())
    }

    fn delete(&mut self, name: &Named) {
        self.0.invalidate(Flat::new(name).as_slice());
    }

    fn select(&mut self, _: &[u8]) -> usize {
        0
    }

    fn foldl(&mut self) -> usize {
        self.0.iter().filter(|(_, session)| !session.is_empty()).count()
    }

    fn can(&self, work: Work) -> bool {
        !matches!(work, Work::SelectOne | Work::SelectTen)
    }
}

/// rustls's own session store.
#[derive(Clone)]
pub(crate) struct RustlsStore(Arc<ServerSessionMemoryCache>);

impl RustlsStore {
    pub(crate) fn new(sessions_max: u32) -> Self {
        Self(ServerSessionMemoryCache::new(sessions_max as usize))
    }
}

impl Shared for RustlsStore {
    fn lookup(&self, name: &Named) -> Option<usize> {
        self.0.get(Flat::new(name).as_slice()).map(|session| session.len())
    }
}

impl Subject for RustlsStore {
    fn update(&mut self, name: &Named) {
        self.0.put(Flat::new(name).as_slice().to_vec(), SESSION.to_vec());
    }

    fn lookup(&mut self, name: &Named) -> Option<usize> {
        Shared::lookup(self, name)
    }

    fn take(&mut self, name: &Named) -> Option<usize> {
        self.0.take(Flat::new(name).as_slice()).map(|session| session.len())
    }

    fn delete(&mut self, name: &Named) {
        self.take(name);
    }

    fn select(&mut self, _: &[u8]) -> usize {
        0
    }

    fn foldl(&mut self) -> usize {
        0
    }

    fn can(&self, work: Work) -> bool {
        !matches!(work, Work::SelectOne | Work::SelectTen | Work::Foldl)
    }
}
