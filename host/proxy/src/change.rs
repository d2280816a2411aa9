//! From the tenants that are served to those that are wanted, their guests aside: no guest is asked, and nothing waits. What is
//! wrong with one tenant is that tenant's.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use innkeeper_core::{UpgradeError, UpgradeReport};

use crate::{
    StartError, TenantFront,
    directory::{Directory, Entry},
    setup::{Readers, Setup},
    tenant::Tenant,
};

/// A tenant as it is to be, its guest aside.
pub enum Wanted {
    /// As it is, by name, but for server names that a tenant that is set is to have.
    Kept(String),
    /// Set up so, whether it is there or not. It keeps its caches; a new one has none, and serves full handshakes until
    /// [`Proxy::set_guest`](crate::Proxy::set_guest).
    Set(Box<TenantFront>),
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
    /// Something is wrong with how it is to be served. It is as it was; one that is new is not served.
    Refused(StartError),
}

/// A directory that nobody sees yet, and what is to be done once everybody does.
pub(crate) struct Planned {
    directory: Directory,
    refused: Vec<Change>,
    added: Vec<String>,
    /// Each as it was and as it is to be.
    changed: Vec<(Entry, Entry)>,
    removed: Vec<Entry>,
}

/// A tenant in its place, which is that of the file.
enum Place {
    Kept(Entry),
    Set(Entry),
}

impl Planned {
    pub(crate) fn new(served: &Directory, wanted: Vec<Wanted>) -> Self {
        let mut left = served.entries.clone();
        let (mut seen, mut claimed) = (HashSet::new(), HashMap::new());
        let (mut places, mut refused, mut added, mut changed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for wanted in wanted {
            let (name, front) = match wanted {
                Wanted::Kept(name) => (name, None),
                Wanted::Set(front) => (front.name.clone(), Some(front)),
            };
            let mut refuse = |error| refused.push(Change { tenant: name.clone(), what: What::Refused(error) });
            if !seen.insert(name.clone()) {
                refuse(StartError::TenantTwice(name.clone()));
                continue;
            }
            let before = left.swap_remove(&name);
            let after = match front {
                Some(front) => set(&front, before.as_ref(), &claimed),
                None if before.is_none() => Err(StartError::NotThere(name.clone())),
                None => {
                    places.extend(before.map(Place::Kept));
                    continue;
                }
            };
            match after {
                Ok(after) => {
                    let names = after.server_names.iter();
                    claimed.extend(names.map(|server_name| (server_name.clone(), name.clone())));
                    places.push(Place::Set(after.clone()));
                    match before {
                        Some(before) => changed.push((before, after)),
                        None => added.push(name),
                    }
                }
                Err(error) => {
                    refuse(error);
                    places.extend(before.map(Place::Kept));
                }
            }
        }
        let mut directory = Directory::default();
        for place in places {
            directory.put(match place {
                Place::Set(entry) => entry,
                Place::Kept(entry) => entry.without(|server_name| claimed.contains_key(server_name)),
            });
        }
        Self { directory, refused, added, changed, removed: left.into_values().collect() }
    }

    /// Who is to be served.
    pub(crate) fn directory(&self) -> Directory {
        self.directory.clone()
    }

    /// To be called once the directory is in use. Waits for no guest.
    pub(crate) fn finish(self) -> Vec<Change> {
        let Self { refused, added, changed, removed, .. } = self;
        let mut changes = refused;
        changes.extend(added.into_iter().map(|tenant| Change { tenant, what: What::Added }));
        for (before, after) in &changed {
            let what = What::Changed { wiped: wipe(before, after), moved: None, upgrade: None };
            changes.push(Change { tenant: after.tenant.name.clone(), what });
        }
        for entry in removed {
            entry.revoke();
            entry.tenant.leave();
            changes.push(Change { tenant: entry.tenant.name.clone(), what: What::Removed });
        }
        changes
    }
}

/// A tenant as it is to be, with the caches that it has.
fn set(front: &TenantFront, before: Option<&Entry>, claimed: &HashMap<String, String>) -> Result<Entry, StartError> {
    let server_names = Entry::server_names_of(front)?;
    if let Some((server_name, first)) = server_names.iter().find_map(|name| claimed.get_key_value(name)) {
        let (server_name, first, second) = (server_name.clone(), first.clone(), front.name.clone());
        return Err(StartError::ServerNameTwice { server_name, first, second });
    }
    let setup = Setup::new(front, before.map(|before| &*before.setup));
    let setup = setup.map_err(|source| StartError::Certificate { tenant: front.name.clone(), source })?;
    let tenant = before.map_or_else(|| Arc::new(Tenant::new(front.name.clone())), |before| Arc::clone(&before.tenant));
    Ok(Entry { tenant, setup: Arc::new(setup), server_names })
}

/// Wipes what is of no use any more, in the caches that sessions are moved from too. Waits for no guest. Says how many sessions
/// there were.
fn wipe(before: &Entry, after: &Entry) -> usize {
    let is_trust_kept = before.setup.is_trust_kept(&after.setup);
    let is_upstream_kept = before.setup.is_upstream_kept(&after.setup);
    let one = |Readers { server, client }: Readers| {
        let server = if is_trust_kept { 0 } else { server.mailbox().revoke() };
        let client = client.filter(|_| !is_upstream_kept);
        server + client.map_or(0, |client| client.mailbox().revoke())
    };
    after.acted_on().map(one).sum()
}
