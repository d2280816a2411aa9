//! Settings out of nowhere, and a cache under those that are taken.

use std::{sync::Arc, time::Duration};

use arbitrary::Arbitrary;
use innkeeper_core::{
    CacheConfig, Clock, Budget, Grant, LimitError, Limits, Name, NativeLru, OpenError, Overflow, Owner, Owners,
    Property, Reader, Refusal, Role, Secret, SizeClass,
};

/// Settings, and what is done under them.
#[derive(Arbitrary, Debug)]
pub struct Attempt {
    own: Settings,
    maxima: Settings,
    /// Whose the budget is, where it is not the cache's own.
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
    /// For each limit, in the order of [`Settings::limits`].
    values: [Value; 22],
}

/// A number in place of a default.
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

/// How many steps one run has at most.
const STEPS_MAX: usize = 40;

/// Every limit that an error may name.
const NAMES: [&str; 23] = [
    "read.fuel",
    "read.time_ms",
    "write.fuel",
    "write.time_ms",
    "init.fuel",
    "init.time_ms",
    "whole.fuel",
    "whole.time_ms",
    "fuel_per_s",
    "fuel_burst",
    "memory_bytes",
    "table_elements",
    "component_bytes",
    "compile_ms",
    "host_call_bytes",
    "log_line_bytes",
    "log_lines_per_s",
    "sessions",
    "session_bytes",
    "vault_bytes",
    "lifetime_ms",
    "mailbox",
    "readers",
];

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
        let default = Limits::new(if self.is_large { SizeClass::Large } else { SizeClass::Small });
        let mut values = self.values.iter();
        let mut number = |default: u64| values.next().map_or(default, |value| value.number(default));
        let mut size = |default: usize| usize::try_from(number(default as u64)).unwrap_or(usize::MAX);
        let (memory_bytes, table_elements) = (size(default.memory_bytes), size(default.table_elements));
        let (component_bytes, host_call_bytes) = (size(default.component_bytes), size(default.host_call_bytes));
        let (log_line_bytes, session_bytes) = (size(default.log_line_bytes), size(default.session_bytes));
        let (vault_bytes, mailbox) = (size(default.vault_bytes), size(default.mailbox));
        // In nanoseconds, so that some are not whole milliseconds.
        let time = |number: u64| Duration::from_nanos(number);
        let nanos = |default: Duration| u64::try_from(default.as_nanos()).unwrap_or(u64::MAX);
        let mut grant = |default: Grant| Grant { fuel: number(default.fuel), time: time(number(nanos(default.time))) };
        Limits {
            read: grant(default.read),
            write: grant(default.write),
            init: grant(default.init),
            whole: grant(default.whole),
            compile: time(number(nanos(default.compile))),
            lifetime: time(number(nanos(default.lifetime))),
            fuel_per_s: number(default.fuel_per_s),
            fuel_burst: number(default.fuel_burst),
            log_lines_per_s: u32::try_from(number(default.log_lines_per_s.into())).unwrap_or(u32::MAX),
            sessions: u32::try_from(number(default.sessions.into())).unwrap_or(u32::MAX),
            memory_bytes,
            table_elements,
            component_bytes,
            host_call_bytes,
            log_line_bytes,
            session_bytes,
            vault_bytes,
            mailbox,
        }
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
    assert!(NAMES.contains(&error.name), "an unknown limit: {error}");
    assert!(error.value < error.least || error.value > error.most, "{error}");
    assert!(error.to_string().contains(error.name));
}

fn check_within(limits: &Limits, maxima: &Limits) {
    match limits.check_within(maxima) {
        Ok(()) => {
            let sizes = |limits: &Limits| {
                let Limits { memory_bytes, table_elements, component_bytes, host_call_bytes, .. } = *limits;
                let Limits { log_line_bytes, session_bytes, vault_bytes, mailbox, .. } = *limits;
                let own = [memory_bytes, table_elements, component_bytes, host_call_bytes];
                [own, [log_line_bytes, session_bytes, vault_bytes, mailbox]].concat()
            };
            let grants = |limits: &Limits| {
                let grants = [limits.read, limits.write, limits.init, limits.whole];
                grants.map(|grant| [u128::from(grant.fuel), grant.time.as_millis()]).concat()
            };
            assert!(sizes(limits).into_iter().zip(sizes(maxima)).all(|(own, most)| own <= most));
            assert!(grants(limits).into_iter().zip(grants(maxima)).all(|(own, most)| own <= most));
            assert!(limits.sessions <= maxima.sessions && limits.log_lines_per_s <= maxima.log_lines_per_s);
            assert!(limits.lifetime.as_millis() <= maxima.lifetime.as_millis());
        }
        Err(error) => {
            assert!(NAMES.contains(&error.name) && error.value > error.most, "{error}");
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
