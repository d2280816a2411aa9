//! What is known of each tenant of the file: how it is served, which guest it wants, what came of it, and what is wrong. What is
//! wrong with one is that tenant's, and every other goes on.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use innkeeper_proxy::{Change, StartError, TenantFront, Wanted, What};
use tokio::sync::watch;

use crate::{
    config::{Bytes, Digest, Part, Problem, Problems, Settings, TenantProblems, TenantSettings},
    tenant_info::GuestInfo,
};

/// What becomes of a tenant that something is wrong with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is served as it was, or with the guest that it had.
    Kept,
    /// It is served without a guest: each handshake is a full one.
    WithoutGuest,
    /// It is not served: its server names are unknown.
    NotServed,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kept, Self::WithoutGuest, Self::NotServed];

    /// Its name in metrics, tables and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::WithoutGuest => "without-guest",
            Self::NotServed => "not-served",
        }
    }
}

/// What is wrong with a tenant.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Trouble {
    /// What becomes of the tenant.
    pub standing: Standing,
    /// Since when.
    pub since: SystemTime,
    /// All that is wrong, as the log has it.
    pub problems: Vec<String>,
    /// Whether it is a guest that failed its upgrade, or was rolled back.
    pub is_upgrade: bool,
}

/// What is wrong with a part of a tenant.
#[derive(Clone)]
struct Said {
    since: SystemTime,
    problems: Vec<String>,
    is_upgrade: bool,
}

/// More of one tenant would help nobody.
const PROBLEMS_MAX: usize = 20;
const PROBLEM_BYTES_MAX: usize = 2_048;

impl Said {
    fn new(problems: impl IntoIterator<Item = String>, is_upgrade: bool, before: Option<&Self>) -> Self {
        let cut = |mut problem: String| {
            problem.truncate(problem.floor_char_boundary(PROBLEM_BYTES_MAX));
            problem
        };
        let problems: Vec<String> = problems.into_iter().take(PROBLEMS_MAX).map(cut).collect();
        // Tells people when; nothing is decided by it.
        let since = before.map_or_else(SystemTime::now, |before| before.since);
        Self { since, problems, is_upgrade }
    }
}

/// What came of the guest that a tenant wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seat {
    /// Nothing yet: the next reload sets it.
    Open,
    /// It is being compiled, opened or upgraded, or waits for that.
    Pending,
    /// It serves.
    Taken,
    /// It was refused.
    Refused,
}

/// What is known of one tenant.
struct Own {
    /// Held through a change of the guest, so that they come one after another.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The number of the newest change of the guest. Those before it are skipped.
    newest: watch::Sender<u64>,
    is_served: bool,
    /// Of how it is served; none if the next reload is to set it again.
    front: Option<Digest>,
    /// The guest that the file wants, with the digest of its settings; none where something is wrong with those.
    wanted: Option<(Digest, GuestInfo)>,
    seat: Seat,
    front_trouble: Option<Said>,
    guest_trouble: Option<Said>,
    /// When a guest that did not open is tried again, and how often that has been done.
    retry_at_ms: Option<u64>,
    retries: u32,
}

/// A guest that does not open is tried again after so long, then after twice as long, up to 64 times as long.
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
            seat: Seat::Open,
            front_trouble: None,
            guest_trouble: None,
            retry_at_ms: None,
            retries: 0,
        }
    }

    /// Has every change of the guest that is not under way be skipped.
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

/// A change of a tenant's guest that is to be made.
pub(crate) struct Job {
    pub(crate) tenant: String,
    pub(crate) number: u64,
    pub(crate) newest: watch::Receiver<u64>,
    pub(crate) turn: Arc<tokio::sync::Mutex<()>>,
    pub(crate) guest: GuestInfo,
    /// None if the file is to be read again.
    pub(crate) component: Option<Bytes>,
    /// Whether the guest is exchanged even for the same one.
    pub(crate) is_forced: bool,
}

impl Job {
    /// Waits until there is a newer one.
    pub(crate) async fn superseded(&self) {
        let mut newest = self.newest.clone();
        // An error means that the tenant is gone.
        let _ = newest.wait_for(|newest| *newest != self.number).await;
    }
}

/// What is known of the tenants of the file, by name.
#[derive(Default)]
pub(crate) struct Tenants(HashMap<String, Own>);

impl Tenants {
    /// Whether a tenant's guest is what its settings want, so that it has its room already.
    pub(crate) fn is_seated(&self, tenant: &str) -> bool {
        self.0.get(tenant).is_some_and(|own| own.seat == Seat::Taken)
    }

    /// How each tenant is to be served.
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

    /// Notes how tenants are served now, and gives what is to be done about their guests: about those that want another one, and,
    /// where the reload was asked for, about those whose guest was refused. `problem_of` tells why the proxy refused a tenant.
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
            let is_done = match own.seat {
                Seat::Taken | Seat::Pending => true,
                Seat::Refused => !is_asked_for,
                Seat::Open => false,
            };
            if is_same && is_done {
                continue;
            }
            let info = GuestInfo::new(guest, tenant.instances());
            own.wanted = Some((guest.digest, info.clone()));
            (own.seat, own.retries) = (Seat::Pending, 0);
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
                // Once it is mended it is set, whatever became of its server names meanwhile.
                own.front = None;
                own.front_trouble = Some(Said::new(problems, false, own.front_trouble.as_ref()));
            }
            Part::Guest => {
                own.supersede();
                (own.wanted, own.seat, own.retry_at_ms) = (None, Seat::Refused, None);
                own.guest_trouble = Some(Said::new(problems, false, own.guest_trouble.as_ref()));
            }
        }
    }

    /// Exchanging a tenant's guest for what its file has now, or a first try to open it, as an operator wants. None where the
    /// settings want no guest that could be tried.
    pub(crate) fn job(&mut self, tenant: &str) -> Option<Job> {
        let own = self.0.get_mut(tenant).filter(|own| own.is_served)?;
        let (_, guest) = own.wanted.clone()?;
        Some(own.job(tenant, guest, None, true))
    }

    /// Those whose guest did not open, and that are to be tried again by now.
    pub(crate) fn due(&mut self, now_ms: u64) -> Vec<Job> {
        let mut jobs = Vec::new();
        for (name, own) in &mut self.0 {
            let is_due = own.seat == Seat::Refused && own.retry_at_ms.is_some_and(|at_ms| at_ms <= now_ms);
            if !is_due {
                continue;
            }
            let Some((_, guest)) = own.wanted.clone() else { continue };
            own.seat = Seat::Pending;
            own.retries = own.retries.saturating_add(1);
            jobs.push(own.job(name, guest, None, false));
        }
        jobs
    }

    /// Notes that a job's guest serves, one of a digest.
    pub(crate) fn seated(&mut self, job: &Job, component: Digest) {
        let Some(own) = self.newest_of(job) else { return };
        let is_wanted = own.wanted.as_ref().is_some_and(|(_, wanted)| wanted.digest == component);
        // Of another file than the last reload has seen: the next one looks again.
        own.seat = if is_wanted { Seat::Taken } else { Seat::Open };
        (own.guest_trouble, own.retry_at_ms, own.retries) = (None, None, 0);
    }

    /// Notes that a job's guest was refused. One that may be taken at another time is tried again then.
    pub(crate) fn refused(&mut self, job: &Job, why: String, is_upgrade: bool, retry_from_ms: Option<u64>) {
        let Some(own) = self.newest_of(job) else { return };
        // The next reload looks whether what serves is what the file has then.
        own.seat = if job.is_forced { Seat::Open } else { Seat::Refused };
        let wait_ms = RETRY_MS << own.retries.min(RETRY_DOUBLINGS_MAX);
        own.retry_at_ms = retry_from_ms.map(|now_ms| now_ms.saturating_add(wait_ms));
        own.guest_trouble = Some(Said::new([why], is_upgrade, own.guest_trouble.as_ref()));
    }

    /// Notes that the guest from before an upgrade serves again. Says whether that is news.
    pub(crate) fn rolled_back(&mut self, tenant: &str, why: &str) -> bool {
        let Some(own) = self.0.get_mut(tenant).filter(|own| own.guest_trouble.is_none()) else { return false };
        own.guest_trouble = Some(Said::new([why.to_owned()], true, None));
        true
    }

    fn newest_of(&mut self, job: &Job) -> Option<&mut Own> {
        self.0.get_mut(&job.tenant).filter(|own| *own.newest.borrow() == job.number)
    }

    /// What is wrong with a tenant, if anything is. `has_guest` tells whether it has a guest by now.
    pub(crate) fn trouble(&self, tenant: &str, has_guest: impl Fn(&str) -> bool) -> Option<Trouble> {
        self.0.get(tenant)?.trouble(has_guest(tenant))
    }

    /// Everything that is wrong, by tenant.
    pub(crate) fn troubles(&self, has_guest: impl Fn(&str) -> bool) -> Vec<(String, Trouble)> {
        let all = self.0.iter();
        let mut all: Vec<_> =
            all.filter_map(|(name, own)| Some((name.clone(), own.trouble(has_guest(name))?))).collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    /// Whether a guest is being compiled, opened or upgraded, or waits for that.
    pub(crate) fn is_pending(&self, tenant: &str) -> bool {
        self.0.get(tenant).is_some_and(|own| own.seat == Seat::Pending)
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
