//! Innkeeper's own subject: a cache over a guest or over native code.

use std::{sync::Arc, time::Duration};

use innkeeper_artifacts::artifact;
use innkeeper_core::{
    CacheConfig, Guest, Limits, Mailbox, Name, NativeLru, Owner, Owners, Reader, Role, Secret, SizeClass,
};
use innkeeper_wasm::{Checked, Compilation, Engine, EngineConfig, Wasi};
use innkeeper_work::{Named, SESSION, Subject};

use crate::subject::{Shared, sessions_max};

/// The native implementation, by the name of a guest.
pub(crate) const NATIVE: &str = "native";

pub(crate) struct Cache {
    owner: Owner<Secret>,
    mailbox: Mailbox<Secret>,
    reader: Reader<Secret>,
}

/// The limits of a benchmark's cache: the defaults, except the number and size of sessions, and the budget of a second,
/// which a tight loop would exceed. None of them makes a call cheaper.
pub(crate) fn limits(sessions: u32) -> Limits {
    let mut limits = Limits::new(SizeClass::Small);
    (limits.fuel_per_s, limits.fuel_burst) = (1 << 50, 1 << 50);
    (limits.time_per_s, limits.time_burst) = (Duration::from_secs(3_600), Duration::from_secs(3_600));
    // A round posts all its updates at once.
    limits.mailbox = 1 << 14;
    limits.sessions = sessions_max(sessions);
    limits.vault_bytes = limits.vault_bytes.max(limits.sessions as usize * 512);
    limits.memory_bytes = limits.memory_bytes.max(limits.sessions as usize * 512);
    // An index of a million sessions is that large from the start, or doubles now and then.
    limits.init.fuel = limits.init.fuel.max(u64::from(limits.sessions) * 1_000);
    limits.write.fuel = limits.write.fuel.max(u64::from(limits.sessions) * 200);
    if sessions > 262_144 {
        limits.write.time = Duration::from_secs(2);
    }
    limits
}

/// An engine whose instances may be as large as those limits say.
pub(crate) fn engine(sessions: u32, instances: u32) -> anyhow::Result<Engine> {
    let limits = limits(sessions);
    Ok(Engine::new(EngineConfig { instances, limits, ..EngineConfig::new(SizeClass::Small, Compilation::Trusted) })?)
}

/// A guest of the repository, or the native one.
pub(crate) fn guest(engine: &Engine, name: &str, sessions: u32) -> anyhow::Result<Arc<dyn Guest>> {
    if name == NATIVE {
        return Ok(Arc::new(NativeLru));
    }
    let component = artifact(name).and_then(|artifact| artifact.component.ok());
    let component = component.ok_or_else(|| anyhow::anyhow!("{name} was not built"))?;
    let limits = limits(sessions);
    Ok(Arc::new(Checked::new(component, &limits)?.compile(engine)?.link(Wasi::None)?))
}

impl Cache {
    pub(crate) fn open(owners: &Owners, guest: Arc<dyn Guest>, sessions: u32, readers: usize) -> anyhow::Result<Self> {
        let config = CacheConfig { readers, ..CacheConfig::new("bench", Role::Server, limits(sessions)) };
        let (owner, reader) = owners.open(config, guest)?;
        Ok(Self { mailbox: owner.mailbox(), owner, reader })
    }

    /// A reader for other threads.
    pub(crate) fn reader(&self) -> SharedReader {
        SharedReader(self.reader.clone())
    }
}

fn name(named: &Named) -> Name<'_> {
    Name { partial: &named.partial, id: &named.id }
}

/// A cache, as any thread sees it.
#[derive(Clone)]
pub(crate) struct SharedReader(pub(crate) Reader<Secret>);

impl Shared for SharedReader {
    fn lookup(&self, named: &Named) -> Option<usize> {
        self.0.lookup(name(named)).map(|session| session.into_exposed().len())
    }
}

impl Subject for Cache {
    fn update(&mut self, named: &Named) {
        assert!(
            self.mailbox.update(name(named), Secret::new(SESSION.to_vec())),
            "no more is posted than there is room for"
        );
    }

    fn settle(&mut self) {
        self.owner.settle();
    }

    fn lookup(&mut self, named: &Named) -> Option<usize> {
        self.reader.lookup(name(named)).map(|session| session.into_exposed().len())
    }

    fn take(&mut self, named: &Named) -> Option<usize> {
        self.reader.take(name(named)).map(|session| session.into_exposed().len())
    }

    fn delete(&mut self, named: &Named) {
        assert!(self.mailbox.delete(name(named)), "no more is posted than there is room for");
    }

    fn select(&mut self, partial: &[u8]) -> usize {
        self.reader.select_session(partial, 16).len()
    }

    fn foldl(&mut self) -> usize {
        self.reader.foldl(0, |seen, found| seen + usize::from(!found.value.expose().is_empty())).unwrap_or(0)
    }
}
