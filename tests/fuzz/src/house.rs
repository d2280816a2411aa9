//! A cache beside a naive model of what its vault may hold, driven by one byte string together with its guest.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use arbitrary::{Arbitrary, Unstructured};
use innkeeper_core::{
    CacheConfig, CacheState, Clock, Limits, Name, NativeLru, Overflow, Owner, Owners, Property, Reader, Refusal, Role,
    Secret, SizeClass, Terms,
};

use crate::puppet::{Act, Script, puppet};

/// One run: a cache, what its guests do, and what its users do.
#[derive(Debug)]
pub struct Run {
    setup: Setup,
    /// True if the threads end before the owner.
    ends_with_threads: bool,
    steps: Vec<Step>,
    /// The acts of the first guest; honest if empty.
    first: Vec<Act>,
    /// The acts of the guest of every upgrade.
    second: Vec<Act>,
}

impl<'a> Arbitrary<'a> for Run {
    /// Reads the lists' lengths first, so that each list has its share of few bytes.
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let (setup, ends_with_threads) = (u.arbitrary()?, u.arbitrary()?);
        let lengths: [u8; 3] = u.arbitrary()?;
        let steps = (0..usize::from(lengths[0]) % STEPS_MAX).map(|_| u.arbitrary()).collect::<Result<_, _>>()?;
        let mut acts = |length: u8| (0..length % ACTS_MAX).map(|_| u.arbitrary()).collect::<Result<_, _>>();
        let (first, second) = (acts(lengths[1])?, acts(lengths[2])?);
        Ok(Self { setup, ends_with_threads, steps, first, second })
    }
}

#[derive(Arbitrary, Debug)]
struct Setup {
    sessions: u8,
    session_bytes: u8,
    /// In twos.
    vault_bytes: u8,
    /// In sixteens, or in ones where it is short.
    lifetime_ms: u16,
    is_lifetime_short: bool,
    invalidates_all: bool,
    readers: u8,
    mailbox: u8,
    log_line_bytes: u8,
    log_lines_per_s: u8,
    property: Option<(String, String)>,
}

/// One of few names, so that they collide.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Which {
    partial: u8,
    id: u8,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Update(Which, u8),
    Delete(Which),
    Lookup(Which),
    Take(Which),
    Select(u8, u8),
    Fold,
    Size,
    Sweep,
    Revoke,
    /// Remembers the current terms.
    Terms {
        lifetime_ms: Option<u16>,
        until_ms: Option<u16>,
    },
    /// Posts on the last remembered terms, or on the current ones.
    Post {
        which: Which,
        bytes: u8,
        is_on_old_terms: bool,
    },
    PostDelete(Which),
    /// Posts and reads at once, before the owner may have handled the post.
    PostAndTake(Which, u8),
    PostMany(Which),
    Upgrade {
        is_honest: bool,
    },
    Advance(u16),
    /// Moves the clock by less than a sweep's period.
    Tick(u8),
    AdvanceHour,
}

/// The bound of the number of steps of one run, exclusive.
const STEPS_MAX: usize = 64;

/// The bound of the number of acts of a guest, exclusive.
const ACTS_MAX: u8 = 24;

const HOUR_MS: u64 = 60 * 60 * 1_000;

const PARTIALS: [&[u8]; 3] = [b"a", b"bb", b""];
const IDS: u8 = 6;

impl Which {
    fn all() -> impl Iterator<Item = Self> {
        (0..3).flat_map(|partial| (0..IDS).map(move |id| Self { partial, id }))
    }

    fn reduced(self) -> Self {
        Self { partial: self.partial % 3, id: self.id % IDS }
    }

    fn partial(self) -> &'static [u8] {
        PARTIALS[usize::from(self.partial % 3)]
    }

    /// An id with as many bytes as its number, possibly zero.
    fn id(self) -> &'static [u8] {
        const BYTES: [u8; IDS as usize] = [9; IDS as usize];
        &BYTES[..usize::from(self.id % IDS)]
    }

    fn name(self) -> Name<'static> {
        Name { partial: self.partial(), id: self.id() }
    }
}

/// The sessions that the vault may hold under a name, and their end.
struct Entry {
    value: Vec<u8>,
    expires_ms: u64,
}

/// Terms that a test remembers, with what it knows of them.
#[derive(Clone, Copy)]
struct Remembered {
    terms: Terms,
    epoch: u64,
    lifetime_ms: u64,
    expires_ms: u64,
}

struct House {
    owners: Owners,
    owner: Owner<Secret>,
    reader: Reader<Secret>,
    limits: Limits,
    neighbour: (Owner<Secret>, Reader<Secret>),
    /// The acts of the current guest.
    script: Arc<Script>,
    second: Arc<Script>,
    /// True if every guest so far is the native one with a single instance: then no read misses.
    is_honest: bool,
    model: HashMap<Which, Entry>,
    epoch: u64,
    remembered: Option<Remembered>,
    /// The number of sessions that the cache has reported as removed.
    lost: u64,
    /// Makes every value another one.
    values: u32,
}

/// Runs everything, and panics if the host misbehaves.
pub fn run(run: &Run) {
    let mut house = House::open(run);
    for step in &run.steps {
        house.step(step);
    }
    house.end(run.ends_with_threads);
}

impl House {
    fn open(run: &Run) -> Self {
        let owners = Owners::new(1, Clock::manual());
        let config = run.setup.config();
        let limits = config.limits.clone();
        let (first, second) = (Arc::new(Script::new(&run.first)), Arc::new(Script::new(&run.second)));
        let is_honest = first.is_honest() && config.readers == 1;
        let mut neighbour_config = CacheConfig::new("neighbour", Role::Client, Limits::new(SizeClass::Small));
        neighbour_config.limits.read.time = limits.read.time;
        // Longer than all steps on the clock.
        neighbour_config.limits.lifetime = Duration::from_millis(7 * 24 * HOUR_MS);
        let mut neighbour = owners.open(neighbour_config, Arc::new(NativeLru)).expect("the native guest opens");
        neighbour.0.update(NEIGHBOURS, Secret::new(b"neighbour".to_vec())).expect("there is room");
        let honest = || owners.open(config.clone(), Arc::new(NativeLru)).expect("the native guest opens");
        // If the guest fails to open, the tenant has another.
        let (owner, reader) = owners.open(config.clone(), puppet(&first, &limits)).unwrap_or_else(|_| honest());
        let mut house = Self {
            owners,
            owner,
            reader,
            limits,
            neighbour,
            script: first,
            second,
            is_honest,
            model: HashMap::new(),
            epoch: 0,
            remembered: None,
            lost: 0,
            values: 0,
        };
        house.remember(None, None);
        house
    }

    fn now_ms(&self) -> u64 {
        self.owners.clock().now_ms()
    }

    fn step(&mut self, step: &Step) {
        let mut may_be_lost = None;
        match step {
            Step::Update(which, bytes) => self.update(which.reduced(), *bytes),
            Step::Delete(which) => {
                self.owner.delete(which.name());
                self.model.remove(&which.reduced());
            }
            Step::Lookup(which) => self.lookup(which.reduced()),
            Step::Take(which) => {
                self.take(which.reduced());
                may_be_lost = Some(which.reduced());
            }
            Step::Select(partial, sessions_max) => self.select(*partial, (*sessions_max).into()),
            Step::Fold => self.fold(),
            Step::Size => self.size(),
            Step::Sweep => self.owner.sweep(),
            Step::Revoke => self.revoke(),
            Step::Terms { lifetime_ms, until_ms } => self.remember(*lifetime_ms, *until_ms),
            Step::Post { which, bytes, is_on_old_terms } => self.post(which.reduced(), *bytes, *is_on_old_terms),
            Step::PostDelete(which) => {
                if self.reader.mailbox().delete(which.name()) {
                    self.model.remove(&which.reduced());
                }
            }
            Step::PostAndTake(which, bytes) => {
                self.post_and_take(which.reduced(), *bytes);
                may_be_lost = Some(which.reduced());
            }
            Step::PostMany(which) => self.post_many(which.reduced()),
            Step::Upgrade { is_honest } => self.upgrade(*is_honest),
            Step::Advance(ms) => self.owners.clock().advance((*ms).into()),
            Step::Tick(ms) => self.owners.clock().advance(u64::from(*ms) % 10),
            Step::AdvanceHour => self.owners.clock().advance(HOUR_MS),
        }
        self.reconcile(may_be_lost);
    }

    fn value(&mut self, bytes: u8) -> Vec<u8> {
        self.values += 1;
        let word = self.values.to_be_bytes();
        word.into_iter().cycle().take(word.len() + usize::from(bytes)).collect()
    }

    /// Checks the size of a session.
    fn fits(&self, which: Which, value: &[u8]) -> Result<(), Refusal> {
        let bytes = which.partial().len() + which.id().len() + value.len();
        let limit = self.limits.session_bytes.min(self.limits.vault_bytes);
        if bytes > limit { Err(Refusal::TooLarge { bytes, limit }) } else { Ok(()) }
    }

    fn lifetime_ms(&self) -> u64 {
        u64::try_from(self.limits.lifetime.as_millis()).expect("a test's lifetime is short")
    }

    fn put(&mut self, which: Which, value: Vec<u8>) {
        let expires_ms = self.now_ms() + self.lifetime_ms();
        self.model.insert(which, Entry { value, expires_ms });
    }

    fn update(&mut self, which: Which, bytes: u8) {
        let value = self.value(bytes);
        let fits = self.fits(which, &value);
        assert_eq!(self.owner.update(which.name(), Secret::new(value.clone())), fits);
        if fits.is_ok() {
            self.put(which, value);
        }
    }

    /// Checks that a read may return this under a name.
    fn check(&self, which: Which, found: &Secret) {
        let entry = self.model.get(&which).filter(|entry| entry.expires_ms > self.now_ms());
        assert_eq!(entry.map(|entry| &*entry.value), Some(found.expose()), "{which:?} is another session");
    }

    fn lookup(&self, which: Which) {
        match self.reader.lookup(which.name()) {
            Some(found) => self.check(which, &found),
            None => self.check_miss(which),
        }
    }

    fn check_miss(&self, which: Which) {
        let is_held = self.model.get(&which).is_some_and(|entry| entry.expires_ms > self.now_ms());
        assert!(!(self.is_honest && is_held), "an honest guest misses {which:?}");
    }

    fn take(&mut self, which: Which) {
        match self.reader.take_or_why(which.name()).ok() {
            Some(taken) => {
                self.check(which, &taken.value);
                let entry = self.model.remove(&which);
                assert_eq!(entry.map(|entry| entry.expires_ms), Some(taken.expires_ms));
                assert!(self.reader.take(which.name()).is_none() && !self.reader.holds(which.name()), "taken twice");
            }
            None => self.check_miss(which),
        }
    }

    fn select(&self, partial: u8, sessions_max: usize) {
        let partial = PARTIALS[usize::from(partial % 3)];
        let found = self.reader.select_session(partial, sessions_max);
        assert!(found.len() <= sessions_max);
        let mut seen = Vec::new();
        for found in found {
            let which = which(found.name.name());
            assert_eq!(which.partial(), partial);
            self.check(which, &found.value);
            assert!(!seen.contains(&which), "{which:?} twice");
            seen.push(which);
        }
    }

    fn fold(&self) {
        self.script.was_fold_bad();
        let found = self.reader.foldl(Vec::new(), |mut all, found| {
            all.push(found);
            all
        });
        let is_bad = self.script.was_fold_bad();
        let Ok(found) = found else { return assert!(!self.is_honest, "an honest guest breaks a fold") };
        assert!(!is_bad, "a bad fold passes");
        let mut seen = Vec::new();
        for found in found {
            let which = which(found.name.name());
            self.check(which, &found.value);
            assert!(!seen.contains(&which), "{which:?} twice");
            seen.push(which);
        }
        let is_live = |entry: &&Entry| entry.expires_ms > self.now_ms();
        assert!(!self.is_honest || seen.len() == self.model.values().filter(is_live).count());
    }

    fn size(&self) {
        let size = self.reader.size();
        assert!(size.held <= self.limits.sessions as usize);
        assert!(!self.is_honest || size.claimed == Some(size.held as u64), "{size:?}");
    }

    fn revoke(&mut self) {
        let held = Which::all().filter(|which| self.reader.holds(which.name())).count();
        assert!(self.reader.mailbox().revoke() >= held);
        assert!(Which::all().all(|which| !self.reader.holds(which.name())), "revoked");
        self.model.clear();
        self.epoch += 1;
    }

    fn remember(&mut self, lifetime_ms: Option<u16>, until_ms: Option<u16>) {
        let mut terms = self.reader.mailbox().terms();
        let mut remembered = Remembered { terms, epoch: self.epoch, lifetime_ms: u64::MAX, expires_ms: u64::MAX };
        if let Some(ms) = lifetime_ms {
            terms = terms.lifetime(Duration::from_millis(ms.into()));
            remembered.lifetime_ms = ms.into();
        }
        if let Some(ms) = until_ms {
            remembered.expires_ms = self.now_ms() + u64::from(ms);
            terms = terms.until(remembered.expires_ms);
        }
        self.remembered = Some(Remembered { terms, ..remembered });
    }

    fn post(&mut self, which: Which, bytes: u8, is_on_old_terms: bool) {
        let value = self.value(bytes);
        let Some(remembered) = self.remembered.filter(|_| is_on_old_terms) else {
            let fits = self.fits(which, &value).is_ok();
            assert!(self.reader.mailbox().update(which.name(), Secret::new(value.clone())), "the mailbox is empty");
            if fits {
                self.put(which, value);
            }
            return;
        };
        let secret = Secret::new(value.clone());
        assert!(self.reader.mailbox().update_on(which.name(), secret, remembered.terms), "the mailbox is empty");
        let now_ms = self.now_ms();
        let expires_ms =
            now_ms.saturating_add(self.lifetime_ms().min(remembered.lifetime_ms)).min(remembered.expires_ms);
        if self.fits(which, &value).is_ok() && remembered.epoch == self.epoch && expires_ms > now_ms {
            self.model.insert(which, Entry { value, expires_ms });
        }
    }

    fn post_and_take(&mut self, which: Which, bytes: u8) {
        let old = self.model.remove(&which).filter(|entry| entry.expires_ms > self.now_ms());
        let value = self.value(bytes);
        let fits = self.fits(which, &value).is_ok();
        assert!(self.reader.mailbox().update(which.name(), Secret::new(value.clone())), "the mailbox is empty");
        let taken = self.reader.take(which.name()).map(Secret::into_exposed);
        self.owner.settle();
        match taken {
            Some(taken) if fits && taken == value => {}
            Some(taken) => {
                assert_eq!(old.map(|entry| entry.value), Some(taken), "{which:?} is another session");
                if fits {
                    self.put(which, value);
                }
            }
            None => {
                // Refused, lost to the guest, or present, in the new or the old version.
                assert!(!self.is_honest || !fits, "an honest guest misses what was posted");
                match old {
                    Some(old) if !fits => drop(self.model.insert(which, old)),
                    _ if fits => self.put(which, value),
                    _ => {}
                }
            }
        }
    }

    fn post_many(&mut self, from: Which) {
        for step in 0..IDS {
            let which = Which { id: from.id + step, ..from }.reduced();
            let value = self.value(4);
            let fits = self.fits(which, &value).is_ok();
            let is_posted = self.reader.mailbox().update(which.name(), Secret::new(value.clone()));
            assert!(is_posted || usize::from(step) >= self.limits.mailbox, "the mailbox is not full");
            if is_posted && fits {
                self.put(which, value);
            }
        }
    }

    fn upgrade(&mut self, is_honest: bool) {
        let honest = Arc::new(Script::default());
        let script = if is_honest { honest } else { Arc::clone(&self.second) };
        let is_good = script.is_honest();
        match self.owner.upgrade(puppet(&script, &self.limits)) {
            Ok(report) => {
                assert!(report.sessions <= self.limits.sessions as usize && report.found <= report.asked);
                self.is_honest &= is_good;
                self.script = script;
            }
            Err(error) => assert!(!is_good, "an honest guest is refused: {error}"),
        }
    }

    /// Reduces the model to the sessions that the vault still holds, and counts the lost ones.
    fn reconcile(&mut self, may_be_lost: Option<Which>) {
        self.owner.settle();
        let now_ms = self.now_ms();
        self.model.retain(|_, entry| entry.expires_ms > now_ms);
        let mut lost = 0;
        for which in Which::all() {
            let is_held = self.reader.holds(which.name());
            assert!(!is_held || self.model.contains_key(&which), "the vault holds {which:?}, which has gone");
            if !is_held && self.model.remove(&which).is_some() && may_be_lost != Some(which) {
                lost += 1;
            }
        }
        let stats = self.reader.stats();
        let taken_out = stats.evicted + stats.overflowed;
        // Over all steps: a rebuilt guest may evict between the two readings.
        self.lost += lost;
        assert!(self.lost <= taken_out, "{} sessions lost, {taken_out} taken out", self.lost);
        assert!(stats.sessions <= u64::from(self.limits.sessions));
        assert!(stats.vault_bytes <= self.limits.vault_bytes as u64);
        assert!(!self.is_honest || stats.false_claims == 0 && stats.faults.iter().sum::<u64>() == 0);
        assert_eq!(stats.faults(innkeeper_core::FaultKind::Panic), 0);
        let neighbours = self.neighbour.1.lookup(NEIGHBOURS);
        assert_eq!(neighbours.as_ref().map(Secret::expose), Some(&b"neighbour"[..]), "another tenant's session");
    }

    fn end(self, ends_with_threads: bool) {
        let Self { owners, owner, reader, .. } = self;
        if ends_with_threads {
            drop(owners);
            drop(owner);
        } else {
            owner.terminate();
        }
        let stats = reader.stats();
        assert_eq!((stats.state, stats.sessions, stats.vault_bytes), (CacheState::Ended, 0, 0));
        assert!(Which::all().all(|which| reader.lookup(which.name()).is_none()));
        assert!(!reader.mailbox().delete(Which { partial: 0, id: 0 }.name()), "an ended cache takes no post");
    }
}

const NEIGHBOURS: Name<'static> = Name { partial: b"a", id: b"" };

/// The short form of a name.
fn which(name: Name<'_>) -> Which {
    Which::all().find(|which| which.name() == name).expect("the vault holds only what it was given")
}

impl Setup {
    fn config(&self) -> CacheConfig {
        let mut limits = Limits::new(SizeClass::Small);
        limits.sessions = u32::from(self.sessions % 8) + 1;
        limits.session_bytes = usize::from(self.session_bytes) + 1;
        limits.vault_bytes = usize::from(self.vault_bytes) * 2 + 1;
        let unit_ms = if self.is_lifetime_short { 1 } else { 16 };
        limits.lifetime = Duration::from_millis(u64::from(self.lifetime_ms % 1_024) * unit_ms + 1);
        limits.mailbox = usize::from(self.mailbox % 4) + 1;
        limits.log_line_bytes = self.log_line_bytes.into();
        limits.log_lines_per_s = self.log_lines_per_s.into();
        // A busy machine must cause no miss.
        limits.read.time = Duration::from_secs(60);
        // A wait for a budget would wait for a clock that only this thread moves.
        (limits.fuel_per_s, limits.fuel_burst) = (1 << 60, 1 << 60);
        let mut config = CacheConfig::new("tenant", Role::Server, limits);
        config.readers = usize::from(self.readers % 3) + 1;
        if self.invalidates_all {
            config.overflow = Overflow::InvalidateAll;
        }
        config.properties.extend(self.property.clone().map(|(name, value)| Property { name, value }));
        config
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes to {}", self.value.len(), self.expires_ms)
    }
}
