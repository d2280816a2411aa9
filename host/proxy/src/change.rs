//! From the tenants that are served to those that are wanted: first everything that can fail, then the rest.

use std::sync::{Arc, Mutex, PoisonError};

use innkeeper_core::{Guest, Limits, Owner, Owners, UpgradeError, UpgradeReport};
use innkeeper_rustls::ClientSession;

use crate::{
    StartError, TenantConfig,
    caches::HandOverTerms,
    directory::{Directory, Entry},
    proxy::open,
    setup::{Readers, Setup},
    tenant::Tenant,
};

/// A tenant as it is to be.
pub enum Wanted {
    /// As it is, by name.
    Kept(String),
    /// Set up so, whether it is there or not.
    Set(Box<TenantConfig>),
}

/// What became of a tenant.
#[derive(Debug)]
pub struct Change {
    /// Its name.
    pub tenant: String,
    /// What was done.
    pub what: What,
}

/// What was done to a tenant.
#[derive(Debug)]
#[non_exhaustive]
pub enum What {
    /// It is new.
    Added,
    /// It is served no more.
    Removed,
    /// It is served otherwise.
    Changed {
        /// Sessions wiped since what their trust rested on has changed.
        wiped: usize,
        /// Sessions moved into caches with other limits or properties, where there are such.
        moved: Option<usize>,
        /// What came of the exchange of its guest, where there is another.
        upgrade: Option<Result<UpgradeReport, UpgradeError>>,
    },
}

/// A directory that nobody sees yet, and what is to be done once everybody does.
pub(crate) struct Planned {
    directory: Directory,
    commit: Commit,
}

/// What cannot fail any more.
pub(crate) struct Commit {
    added: Vec<String>,
    changed: Vec<Changed>,
    removed: Vec<Entry>,
}

/// A tenant that is there and is to be served otherwise.
struct Changed {
    before: Entry,
    after: Entry,
    guest: Arc<dyn Guest>,
    caches: NewCaches,
}

/// What becomes of a changed tenant's caches.
enum NewCaches {
    /// There are others, for limits or properties that are fixed when a cache is opened. The sessions move.
    All(HandOverTerms),
    /// The same, and one in the client role besides.
    Second(Owner<ClientSession>),
    /// The same, without the one in the client role.
    First,
    Same,
}

impl Planned {
    pub(crate) fn new(
        served: &Directory,
        maxima: Option<&Limits>,
        owners: &Owners,
        wanted: Vec<Wanted>,
    ) -> Result<Self, StartError> {
        let mut left = served.entries.clone();
        let mut directory = Directory::default();
        let mut commit = Commit { added: Vec::new(), changed: Vec::new(), removed: Vec::new() };
        for wanted in wanted {
            match wanted {
                Wanted::Kept(name) => {
                    let entry = left.swap_remove(&name).ok_or(StartError::NotThere(name))?;
                    directory.add(entry)?;
                }
                Wanted::Set(config) => match left.swap_remove(&config.name) {
                    Some(entry) => {
                        let changed = Changed::new(entry, maxima, owners, &config)?;
                        directory.add(changed.after.clone())?;
                        commit.changed.push(changed);
                    }
                    None => {
                        let (setup, caches) = open(maxima, owners, &config, None)?;
                        let tenant = Arc::new(Tenant::new(config.name.clone()));
                        directory.add(Entry::new(tenant, setup, caches, &config.server_names))?;
                        commit.added.push(config.name);
                    }
                },
            }
        }
        commit.removed = left.into_values().collect();
        Ok(Self { directory, commit })
    }

    pub(crate) fn into_parts(self) -> (Directory, Commit) {
        (self.directory, self.commit)
    }
}

impl Changed {
    fn new(before: Entry, maxima: Option<&Limits>, owners: &Owners, config: &TenantConfig) -> Result<Self, StartError> {
        let guest = Arc::clone(&config.guest);
        let open_caches = before.caches();
        if !open_caches.do_for(&config.cache) {
            drop(open_caches);
            let (setup, caches) = open(maxima, owners, config, Some(&before.setup))?;
            let terms = caches.terms();
            let after = Entry::new(Arc::clone(&before.tenant), setup, caches, &config.server_names);
            return Ok(Self { before, after, guest, caches: NewCaches::All(terms) });
        }
        let Readers { server, mut client } = before.setup.readers().clone();
        let caches = match (config.upstream.tls.is_some(), open_caches.has_client()) {
            (true, false) => {
                let (owner, reader) = open_caches.second_role(config, owners)?;
                client = Some(reader);
                NewCaches::Second(owner)
            }
            (false, true) => {
                client = None;
                NewCaches::First
            }
            _ => NewCaches::Same,
        };
        drop(open_caches);
        let setup = Setup::new(config, Readers { server, client }, Some(&before.setup));
        let setup = setup.map_err(|source| StartError::Certificate { tenant: config.name.clone(), source })?;
        let after = before.with(setup, &config.server_names);
        Ok(Self { before, after, guest, caches })
    }

    /// Wipes what is of no use any more. Waits for no guest. Says how many sessions there were.
    fn wipe(&self) -> usize {
        let (before, after) = (&self.before.setup, &self.after.setup);
        let Readers { server, client } = before.readers();
        let server_wiped = if before.is_trust_kept(after) { 0 } else { server.mailbox().revoke() };
        let client = client.as_ref().filter(|_| !before.is_upstream_kept(after));
        server_wiped + client.map_or(0, |client| client.mailbox().revoke())
    }

    /// Moves sessions and exchanges the guest, as needed. Blocking.
    fn finish(self, wiped: usize) -> Change {
        let Self { before, after, guest, caches } = self;
        let mut open = after.caches();
        let (mut moved, mut upgrade) = (None, None);
        match caches {
            NewCaches::All(terms) => {
                moved = Some(before.caches().hand_over(&mut open, terms));
                before.end();
                after.setup.follow(None);
            }
            NewCaches::Second(owner) => upgrade = open.join(owner, Arc::clone(&guest)),
            NewCaches::First => open.end_client(),
            NewCaches::Same => {}
        }
        if upgrade.is_none() && !Arc::ptr_eq(&open.guest, &guest) {
            upgrade = Some(open.upgrade(guest));
        }
        let what = What::Changed { wiped, moved, upgrade };
        Change { tenant: after.tenant.name.clone(), what }
    }
}

/// How many tenants are changed at a time: one that takes its time holds up a part of the others only.
pub const CHANGED_AT_ONCE: usize = 4;

impl Commit {
    /// To be called before the directory is exchanged, with whoever suspends or revokes kept out: new caches are suspended where
    /// the old ones are, and what is done to them is done to the old ones too until those have ended.
    pub(crate) fn carry_over(&self) {
        for Changed { before, after, caches, .. } in &self.changed {
            let is_held = before.setup.readers().server.is_held();
            match caches {
                NewCaches::All(_) => after.setup.follow(Some(before.setup.readers().clone())),
                NewCaches::Second(_) => {}
                NewCaches::First | NewCaches::Same => continue,
            }
            if is_held {
                after.setup.suspend();
            }
        }
    }

    /// To be called once the directory is in use. Blocks for the guests of changed and removed tenants.
    pub(crate) fn finish(self) -> Vec<Change> {
        let Self { added, changed, removed } = self;
        let mut changes: Vec<Change> = added.into_iter().map(|tenant| Change { tenant, what: What::Added }).collect();
        // First of all, and at once: no guest is asked, and a session under the new trust is not there yet.
        let changed: Vec<(usize, Changed)> = changed.into_iter().map(|changed| (changed.wipe(), changed)).collect();
        for entry in &removed {
            entry.setup.revoke();
        }
        let threads = changed.len().min(CHANGED_AT_ONCE);
        let left = Mutex::new(changed.into_iter());
        let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
        let finish = || std::iter::from_fn(next).map(|(wiped, changed)| changed.finish(wiped)).collect::<Vec<_>>();
        let finished: Vec<Change> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(finish)).collect();
            // What panicked in one is our own bug; the others' changes are told.
            threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
        });
        changes.extend(finished);
        for entry in removed {
            changes.push(Change { tenant: entry.tenant.name.clone(), what: What::Removed });
            entry.end();
        }
        changes
    }
}
