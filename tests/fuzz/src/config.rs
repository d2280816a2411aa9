//! Settings out of nowhere, and a cache under those that are taken.

use std::sync::Arc;

use arbitrary::Arbitrary;
use innkeeper_core::{
    Budget, CacheConfig, Clock, LimitError, Limits, Name, NativeLru, OpenError, Overflow, Owner, Owners,
    Property, Reader, Refusal, Role, Secret, SizeClass,
};

/// Settings, and the steps under them.
#[derive(Arbitrary, Debug)]
pub struct Attempt {
    own: Settings,
    maxima: Settings,
    /// The limits of a budget that is not the cache's own.
    budget: Option<Settings>,
    readers: Value,
    tenant: String,
    is_client: bool,
    invalidates_all: bool,
    properties: Vec<(String, String)>,
    threads: u8,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
struct Settings {
    is_large: bool,
    /// For each limit, in the order of [`Limits::ALL`].
    values: [Value; Limits::ALL.len()],
}

/// A number that replaces a default.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Value {
    Default,
    Near(i8),
    Least,
    Most,
    Power(u8, i8),
    Any(u64),
}

#[derive(Arbitrary, Debug)]
enum Step {
    Update(u8, u16),
    Delete(u8),
    Lookup(u8),
    Take(u8),
    Post(u8, u16),
    Select(u8),
    Fold,
    Size,
    Sweep,
    Revoke,
    Upgrade,
    Advance(u32),
}

/// The most steps of one run.
const STEPS_MAX: usize = 40;

/// True if an error may name it.
fn is_limit(name: &str) -> bool {
    name == "readers" || Limits::ALL.iter().any(|limit| limit.name == name)
}

impl Value {
    fn number(self, default: u64) -> u64 {
        match self {
            Self::Default => default,
            Self::Near(by) => default.saturating_add_signed(by.into()),
            Self::Least => 0,
            Self::Most => u64::MAX,
            Self::Power(bits, by) => (1_u64 << (bits % 64)).saturating_add_signed(by.into()),
            Self::Any(number) => number,
        }
    }
}

impl Settings {
    fn limits(&self) -> Limits {
        let mut limits = Limits::new(if self.is_large { SizeClass::Large } else { SizeClass::Small });
        for (limit, value) in Limits::ALL.iter().zip(&self.values) {
            let default = limit.of(&limits);
            limit.set(&mut limits, value.number(default));
        }
        limits
    }
}

/// Tries it all, and panics where the host does what it must not.
pub fn run(attempt: &Attempt) {
    let limits = attempt.own.limits();
    let checked = limits.check();
    checked.as_ref().err().into_iter().for_each(check_error);
    check_within(&limits, &attempt.maxima.limits());
    let readers = usize::try_from(attempt.readers.number(1)).unwrap_or(usize::MAX);
    let is_good = checked.is_ok() && (1..=CacheConfig::READERS_MAX).contains(&readers);
    let owners = Owners::new(usize::from(attempt.threads % 3), Clock::manual());
    match owners.open(attempt.config(limits.clone(), readers), Arc::new(NativeLru)) {
        Ok((owner, reader)) => {
            assert!(is_good, "a cache opens under bad settings");
            serve(&owners, owner, &reader, &limits, &attempt.steps);
        }
        Err(OpenError::Limit(error)) => {
            assert!(!is_good, "good settings are refused: {error}");
            check_error(&error);
        }
        Err(error) => panic!("the native guest does not open: {error}"),
    }
}

fn check_error(error: &LimitError) {
    assert!(is_limit(error.name), "an unknown limit: {error}");
    assert!(error.value < error.least || error.value > error.most, "{error}");
    assert!(error.to_string().contains(error.name));
}

fn check_within(limits: &Limits, maxima: &Limits) {
    match limits.check_within(maxima) {
        Ok(()) => assert!(Limits::ALL.iter().all(|limit| limit.of(limits) <= limit.of(maxima))),
        Err(error) => {
            assert!(is_limit(error.name) && error.value > error.most, "{error}");
        }
    }
}

impl Attempt {
    fn config(&self, limits: Limits, readers: usize) -> CacheConfig {
        let role = if self.is_client { Role::Client } else { Role::Server };
        let mut config = CacheConfig::new(self.tenant.clone(), role, limits);
        config.readers = readers;
        if self.invalidates_all {
            config.overflow = Overflow::InvalidateAll;
        }
        let property = |(name, value): &(String, String)| Property { name: name.clone(), value: value.clone() };
        config.properties = self.properties.iter().map(property).collect();
        config.budget = self.budget.as_ref().map(|settings| Budget::new(&settings.limits()));
        config
    }
}

fn id(number: &u8) -> Name<'_> {
    Name { partial: b"a", id: std::slice::from_ref(number) }
}

/// A session that tells its name.
fn secret(number: u8, bytes: u16) -> Secret {
    Secret::new(vec![number; bytes.into()])
}

fn serve(owners: &Owners, mut owner: Owner<Secret>, reader: &Reader<Secret>, limits: &Limits, steps: &[Step]) {
    let check = |number: u8, found: Option<Secret>| {
        assert!(found.is_none_or(|found| found.expose().iter().all(|byte| *byte == number)), "another session");
    };
    for step in steps.iter().take(STEPS_MAX) {
        match step {
            Step::Update(number, bytes) => {
                let (bytes, limit) = (2 + usize::from(*bytes), limits.session_bytes.min(limits.vault_bytes));
                let fits = if bytes > limit { Err(Refusal::TooLarge { bytes, limit }) } else { Ok(()) };
                let length = u16::try_from(bytes - 2).unwrap_or(u16::MAX);
                assert_eq!(owner.update(id(number), secret(*number, length)), fits);
            }
            Step::Delete(number) => _ = owner.delete(id(number)),
            Step::Lookup(number) => check(*number, reader.lookup(id(number))),
            Step::Take(number) => check(*number, reader.take(id(number))),
            Step::Post(number, bytes) => _ = reader.mailbox().update(id(number), secret(*number, *bytes)),
            Step::Select(most) => {
                let found = reader.select_session(b"a", (*most).into());
                assert!(found.len() <= usize::from(*most));
                found.into_iter().for_each(|found| check(found.name.name().id[0], Some(found.value)));
            }
            Step::Fold => {
                _ = reader.foldl((), |(), found| check(found.name.name().id[0], Some(found.value)));
            }
            Step::Size => assert!(reader.size().held as u64 <= u64::from(limits.sessions)),
            Step::Sweep => owner.sweep(),
            Step::Revoke => _ = reader.mailbox().revoke(),
            Step::Upgrade => _ = owner.upgrade(Arc::new(NativeLru)),
            Step::Advance(ms) => owners.clock().advance((*ms).into()),
        }
        let stats = owner.stats();
        assert!(stats.sessions <= u64::from(limits.sessions) && stats.vault_bytes <= limits.vault_bytes as u64);
        assert_eq!(stats.faults.iter().sum::<u64>(), 0, "the native guest has no fault");
    }
    owner.terminate();
    assert!(reader.lookup(id(&0)).is_none());
}
