//! The change from the tenants that are served to those that are wanted, their guests aside. It asks no guest and waits
//! for nothing. An error in one tenant affects that tenant alone.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use innkeeper_core::{UpgradeError, UpgradeReport};

use crate::{
    error::StartError,
    settings::tenant::TenantFront,
    tenants::{
        caches::Readers,
        configuration::Configuration,
        directory::{Directory, Entry},
        tenant::Tenant,
    },
};

/// A wanted tenant, its guest aside.
pub enum Wanted {
    /// A tenant that stays as it is, by name. It loses server names that a tenant in `Set` has.
    Kept(String),
    /// A new or changed tenant. An existing one keeps its caches. A new one has none, and serves full handshakes until
    /// [`Proxy::set_guest`](crate::Proxy::set_guest).
    Set(Box<TenantFront>),
}

/// The outcome for one tenant.
#[derive(Debug)]
pub struct Change {
    /// Its name.
    pub tenant: String,
    /// The change.
    pub what: What,
}

/// The change of one tenant.
#[derive(Debug)]
#[non_exhaustive]
pub enum What {
    /// The tenant is new.
    Added,
    /// The tenant is no longer served.
    Removed,
    /// The tenant's settings have changed.
    Changed {
        /// Sessions wiped because the basis of their trust has changed.
        wiped: usize,
        /// Sessions handed over to caches with other limits or properties, if the caches were opened anew.
        moved: Option<usize>,
        /// The outcome of the upgrade, if the guest is another one.
        upgrade: Option<Result<UpgradeReport, UpgradeError>>,
    },
    /// The wanted settings are invalid. The tenant stays as it was; a new one is not served.
    Refused(StartError),
}

/// A directory that is not in use yet, and the work that follows once it is.
pub(crate) struct Planned {
    directory: Directory,
    refused: Vec<Change>,
    added: Vec<String>,
    /// The old and the new entry of each.
    changed: Vec<(Entry, Entry)>,
    removed: Vec<Entry>,
}

/// A tenant in the order of the wanted ones.
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

    /// The directory to put in use.
    pub(crate) fn directory(&self) -> Directory {
        self.directory.clone()
    }

    /// Ends removed tenants and wipes invalid sessions. Call it once the directory is in use. Waits for no guest.
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

/// The new entry of a tenant, with the caches that it has.
fn set(front: &TenantFront, before: Option<&Entry>, claimed: &HashMap<String, String>) -> Result<Entry, StartError> {
    let server_names = Entry::server_names_of(front)?;
    if let Some((server_name, first)) = server_names.iter().find_map(|name| claimed.get_key_value(name)) {
        let (server_name, first, second) = (server_name.clone(), first.clone(), front.name.clone());
        return Err(StartError::ServerNameTwice { server_name, first, second });
    }
    let configuration = Configuration::new(front, before.map(|before| &*before.configuration));
    let configuration =
        configuration.map_err(|source| StartError::Certificate { tenant: front.name.clone(), source })?;
    let tenant = before.map_or_else(|| Arc::new(Tenant::new(front.name.clone())), |before| Arc::clone(&before.tenant));
    Ok(Entry { tenant, configuration: Arc::new(configuration), server_names })
}

/// Wipes the sessions that a change invalidates, also in caches whose handover is in progress. Waits for no guest.
/// Returns the number of sessions.
fn wipe(before: &Entry, after: &Entry) -> usize {
    let is_trust_kept = before.configuration.is_trust_kept(&after.configuration);
    let is_upstream_kept = before.configuration.is_upstream_kept(&after.configuration);
    let one = |Readers { server, client }: Readers| {
        let server = if is_trust_kept { 0 } else { server.mailbox().revoke() };
        let client = client.filter(|_| !is_upstream_kept);
        server + client.map_or(0, |client| client.mailbox().revoke())
    };
    after.acted_on().map(one).sum()
}
