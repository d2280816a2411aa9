//! The state of each tenant of the file: its settings in force, the guest it wants, the outcome of that guest's
//! installation, and its problems. A problem of one tenant affects that tenant alone.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use innkeeper_proxy::{Change, StartError, TenantFront, Wanted, What};
use tokio::sync::watch;

use crate::{
    config::{Bytes, Digest, Part, Problem, Problems, Settings, TenantProblems, TenantSettings},
    tenant_info::GuestInfo,
};

/// The service that a tenant with problems still gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The tenant is served with its old settings, or with its old guest.
    Kept,
    /// The tenant is served without a guest: each handshake is a full one.
    WithoutGuest,
    /// The tenant is not served: its server names are unknown.
    NotServed,
}

impl Standing {
    /// All standings.
    pub const ALL: [Self; 3] = [Self::Kept, Self::WithoutGuest, Self::NotServed];

    /// The name in metrics, tables and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::WithoutGuest => "without-guest",
            Self::NotServed => "not-served",
        }
    }
}

/// The problems of a tenant.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Trouble {
    /// The service that the tenant still gets.
    pub standing: Standing,
    /// The time of the first problem.
    pub since: SystemTime,
    /// Every problem, as the log tells it.
    pub problems: Vec<String>,
    /// True if the guest failed its upgrade, or was rolled back.
    pub is_upgrade: bool,
}

/// The problems of a part of a tenant.
#[derive(Clone)]
struct Said {
    since: SystemTime,
    problems: Vec<String>,
    is_upgrade: bool,
}

/// The problems that are kept of one tenant.
const PROBLEMS_MAX: usize = 20;
const PROBLEM_BYTES_MAX: usize = 2_048;

impl Said {
    fn new(problems: impl IntoIterator<Item = String>, is_upgrade: bool, before: Option<&Self>) -> Self {
        let cut = |mut problem: String| {
            problem.truncate(problem.floor_char_boundary(PROBLEM_BYTES_MAX));
            problem
        };
        let problems: Vec<String> = problems.into_iter().take(PROBLEMS_MAX).map(cut).collect();
        // For people to read; no decision depends on it.
        let since = before.map_or_else(SystemTime::now, |before| before.since);
        Self { since, problems, is_upgrade }
    }
}

/// The installation of the guest that a tenant wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Installation {
    /// The next reload installs the guest.
    Due,
    /// The guest is being compiled, opened or upgraded, or waits for that.
    Pending,
    /// The guest serves.
    Done,
    /// The guest was refused.
    Refused,
}

/// The state of one tenant.
struct Own {
    /// Locked during an installation of a guest, so installations come one after another.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The number of the newest job. Jobs before it are skipped.
    newest: watch::Sender<u64>,
    is_served: bool,
    /// The digest of the settings in force, the guest aside. None if the next reload has to set them again.
    front: Option<Digest>,
    /// The guest that the file wants, with the digest of its settings. None if the settings are invalid.
    wanted: Option<(Digest, GuestInfo)>,
    installation: Installation,
    front_trouble: Option<Said>,
    guest_trouble: Option<Said>,
    /// The time of the next try of a guest that failed to open, and the number of tries so far.
    retry_at_ms: Option<u64>,
    retries: u32,
}

/// The time before a guest that failed to open is tried again. Each further try doubles it, up to 64 times.
const RETRY_MS: u64 = 30 * 1_000;
const RETRY_DOUBLINGS_MAX: u32 = 6;

impl Own {
    fn new() -> Self {
        Self {
            turn: Arc::default(),
            newest: watch::Sender::new(0),
            is_served: false,
            front: None,
            wanted: None,
            installation: Installation::Due,
            front_trouble: None,
            guest_trouble: None,
            retry_at_ms: None,
            retries: 0,
        }
    }

    /// Skips every job that has not begun. Returns the number for the next job.
    fn supersede(&self) -> u64 {
        self.newest.send_modify(|newest| *newest += 1);
        *self.newest.borrow()
    }

    fn job(&mut self, tenant: &str, guest: GuestInfo, component: Option<Bytes>, is_forced: bool) -> Job {
        let number = self.supersede();
        self.retry_at_ms = None;
        let (turn, newest) = (Arc::clone(&self.turn), self.newest.subscribe());
        Job { tenant: tenant.to_owned(), number, newest, turn, guest, component, is_forced }
    }
}

/// A guest to install for a tenant.
pub(crate) struct Job {
    pub(crate) tenant: String,
    pub(crate) number: u64,
    pub(crate) newest: watch::Receiver<u64>,
    pub(crate) turn: Arc<tokio::sync::Mutex<()>>,
    pub(crate) guest: GuestInfo,
    /// None to read the file again.
    pub(crate) component: Option<Bytes>,
    /// True to replace the guest even by the same one.
    pub(crate) is_forced: bool,
}

impl Job {
    /// Waits until a newer job exists.
    pub(crate) async fn superseded(&self) {
        let mut newest = self.newest.clone();
        // An error means that the tenant is gone.
        let _ = newest.wait_for(|newest| *newest != self.number).await;
    }
}

/// The state of every tenant of the file, by name.
#[derive(Default)]
pub(crate) struct Tenants(HashMap<String, Own>);

impl Tenants {
    /// True if the guest that a tenant's settings want serves, so it has its room already.
    pub(crate) fn is_installed(&self, tenant: &str) -> bool {
        self.0.get(tenant).is_some_and(|own| own.installation == Installation::Done)
    }

    /// The wanted tenants.
    pub(crate) fn wanted(&self, settings: &Settings) -> Vec<Wanted> {
        let set = settings.tenants.iter().map(|tenant| {
            let own = self.0.get(&tenant.name).filter(|own| own.is_served);
            match own.is_some_and(|own| own.front == Some(tenant.digest)) {
                true => Wanted::Kept(tenant.name.clone()),
                false => Wanted::Set(Box::new(front_of(tenant))),
            }
        });
        let in_trouble = settings.troubled.iter().filter(|troubled| troubled.part == Part::Front);
        let served = in_trouble.filter(|troubled| self.0.get(&troubled.tenant).is_some_and(|own| own.is_served));
        set.chain(served.map(|troubled| Wanted::Kept(troubled.tenant.clone()))).collect()
    }

    /// Notes the settings in force, and returns the jobs that follow: for tenants that want another guest, and, if the
    /// reload was asked for, for tenants whose guest was refused. `problem_of` describes the error of a tenant that the
    /// proxy refused.
    pub(crate) fn note(
        &mut self,
        settings: &Settings,
        changes: &[Change],
        is_asked_for: bool,
        problem_of: impl Fn(&StartError) -> Problem,
    ) -> Vec<Job> {
        let names = settings.tenants.iter().map(|tenant| &tenant.name);
        let names = names.chain(settings.troubled.iter().map(|troubled| &troubled.tenant));
        let mut before = std::mem::take(&mut self.0);
        for name in names {
            let own = before.remove(name);
            self.0.entry(name.clone()).or_insert_with(|| own.unwrap_or_else(Own::new));
        }
        for own in before.values() {
            own.supersede();
        }
        let refused: HashMap<&str, &StartError> = changes.iter().filter_map(refusal).collect();
        let mut jobs = Vec::new();
        for tenant in &settings.tenants {
            let Some(own) = self.0.get_mut(&tenant.name) else { continue };
            if let Some(error) = refused.get(tenant.name.as_str()) {
                self.note_trouble(&tenant.name, Part::Front, &problem_of(error).into());
                continue;
            }
            own.front = Some(tenant.digest);
            own.is_served = true;
            own.front_trouble = None;
            let Some(guest) = &tenant.guest else { continue };
            let is_same = own.wanted.as_ref().is_some_and(|(digest, _)| *digest == guest.digest);
            let is_done = match own.installation {
                Installation::Done | Installation::Pending => true,
                Installation::Refused => !is_asked_for,
                Installation::Due => false,
            };
            if is_same && is_done {
                continue;
            }
            let info = GuestInfo::new(guest, tenant.instances());
            own.wanted = Some((guest.digest, info.clone()));
            (own.installation, own.retries) = (Installation::Pending, 0);
            jobs.push(own.job(&tenant.name, info, Some(guest.component.clone()), false));
        }
        for TenantProblems { tenant, part, problems } in &settings.troubled {
            self.note_trouble(tenant, *part, problems);
        }
        jobs
    }

    fn note_trouble(&mut self, tenant: &str, part: Part, problems: &Problems) {
        let Some(own) = self.0.get_mut(tenant) else { return };
        let problems = problems.iter().map(ToString::to_string);
        match part {
            Part::Front => {
                // Valid settings are set again then, whatever happens to the server names meanwhile.
                own.front = None;
                own.front_trouble = Some(Said::new(problems, false, own.front_trouble.as_ref()));
            }
            Part::Guest => {
                own.supersede();
                (own.wanted, own.installation, own.retry_at_ms) = (None, Installation::Refused, None);
                own.guest_trouble = Some(Said::new(problems, false, own.guest_trouble.as_ref()));
            }
        }
    }

    /// The job of an operator's upgrade: it replaces a tenant's guest by its file, or installs the first one. None if
    /// the settings want no valid guest.
    pub(crate) fn job(&mut self, tenant: &str) -> Option<Job> {
        let own = self.0.get_mut(tenant).filter(|own| own.is_served)?;
        let (_, guest) = own.wanted.clone()?;
        Some(own.job(tenant, guest, None, true))
    }

    /// The jobs of guests that failed to open and are due for another try.
    pub(crate) fn due(&mut self, now_ms: u64) -> Vec<Job> {
        let mut jobs = Vec::new();
        for (name, own) in &mut self.0 {
            let is_due =
                own.installation == Installation::Refused && own.retry_at_ms.is_some_and(|at_ms| at_ms <= now_ms);
            if !is_due {
                continue;
            }
            let Some((_, guest)) = own.wanted.clone() else { continue };
            own.installation = Installation::Pending;
            own.retries = own.retries.saturating_add(1);
            jobs.push(own.job(name, guest, None, false));
        }
        jobs
    }

    /// Notes that a job's guest serves, and the digest of its component.
    pub(crate) fn installed(&mut self, job: &Job, component: Digest) {
        let Some(own) = self.newest_of(job) else { return };
        let is_wanted = own.wanted.as_ref().is_some_and(|(_, wanted)| wanted.digest == component);
        // The file has changed since the last reload, so the next one compares again.
        own.installation = if is_wanted { Installation::Done } else { Installation::Due };
        (own.guest_trouble, own.retry_at_ms, own.retries) = (None, None, 0);
    }

    /// Notes that a job's guest was refused. With `retry_from_ms` it is tried again later.
    pub(crate) fn refused(&mut self, job: &Job, why: String, is_upgrade: bool, retry_from_ms: Option<u64>) {
        let Some(own) = self.newest_of(job) else { return };
        // The next reload compares the guest that serves with the file.
        own.installation = if job.is_forced { Installation::Due } else { Installation::Refused };
        let wait_ms = RETRY_MS << own.retries.min(RETRY_DOUBLINGS_MAX);
        own.retry_at_ms = retry_from_ms.map(|now_ms| now_ms.saturating_add(wait_ms));
        own.guest_trouble = Some(Said::new([why], is_upgrade, own.guest_trouble.as_ref()));
    }

    /// Notes that the guest from before an upgrade serves again. False if that is known already.
    pub(crate) fn rolled_back(&mut self, tenant: &str, why: &str) -> bool {
        let Some(own) = self.0.get_mut(tenant).filter(|own| own.guest_trouble.is_none()) else { return false };
        own.guest_trouble = Some(Said::new([why.to_owned()], true, None));
        true
    }

    fn newest_of(&mut self, job: &Job) -> Option<&mut Own> {
        self.0.get_mut(&job.tenant).filter(|own| *own.newest.borrow() == job.number)
    }

    /// The problems of a tenant, if any. `has_guest` tells if it has a guest now.
    pub(crate) fn trouble(&self, tenant: &str, has_guest: impl Fn(&str) -> bool) -> Option<Trouble> {
        self.0.get(tenant)?.trouble(has_guest(tenant))
    }

    /// The problems of every tenant, by name.
    pub(crate) fn troubles(&self, has_guest: impl Fn(&str) -> bool) -> Vec<(String, Trouble)> {
        let all = self.0.iter();
        let mut all: Vec<_> =
            all.filter_map(|(name, own)| Some((name.clone(), own.trouble(has_guest(name))?))).collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    /// True if a guest is being compiled, opened or upgraded, or waits for that.
    pub(crate) fn is_pending(&self, tenant: &str) -> bool {
        self.0.get(tenant).is_some_and(|own| own.installation == Installation::Pending)
    }
}

impl Own {
    fn trouble(&self, has_guest: bool) -> Option<Trouble> {
        let said = [&self.front_trouble, &self.guest_trouble].into_iter().flatten();
        let since = said.clone().map(|said| said.since).min()?;
        let standing = match (self.is_served, has_guest) {
            (false, _) => Standing::NotServed,
            (true, false) => Standing::WithoutGuest,
            (true, true) => Standing::Kept,
        };
        let is_upgrade = self.front_trouble.is_none() && self.guest_trouble.as_ref().is_some_and(|own| own.is_upgrade);
        let problems = said.flat_map(|said| said.problems.iter().cloned()).collect();
        Some(Trouble { standing, since, problems, is_upgrade })
    }
}

fn refusal(change: &Change) -> Option<(&str, &StartError)> {
    match &change.what {
        What::Refused(error) => Some((change.tenant.as_str(), error)),
        _ => None,
    }
}

fn front_of(tenant: &TenantSettings) -> TenantFront {
    let TenantSettings { name, server_names, tls, upstream, bounds, .. } = tenant.clone();
    TenantFront { name, server_names, tls, upstream, bounds }
}
