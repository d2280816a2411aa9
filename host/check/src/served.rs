//! The cases of a guest in a cache, seen through its owner and its readers, from several threads.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Sender, channel},
    },
    time::Duration,
};

use innkeeper_core::{
    CacheConfig, Clock, FaultKind, Found, Name, Overflow, OwnedName, Owner, Owners, Reader, Refusal, Role, Secret,
    Value, ZeroizeOnDrop,
};

use crate::{
    failure::{Failure, holds, same},
    model::{Model, Numbers},
    subject::Subject,
};

/// Owner threads on a clock that stands still.
fn owners() -> Owners {
    Owners::new(2, Clock::manual())
}

fn config(subject: &Subject, readers: usize) -> CacheConfig {
    let mut config = CacheConfig::new("check", Role::Server, subject.limits.clone());
    config.readers = readers;
    config.properties.clone_from(&subject.properties);
    config
}

fn open_with<V: Value>(
    owners: &Owners,
    subject: &Subject,
    config: CacheConfig,
) -> Result<(Owner<V>, Reader<V>), Failure> {
    let opened = owners.open(config, Arc::clone(&subject.guest));
    let (owner, reader) = opened.map_err(|error| Failure::new("the cache opens", error.to_string()))?;
    let stats = reader.clone();
    FAULTS.with_borrow_mut(|faults| {
        let kinds = move || FaultKind::ALL.into_iter().map(|kind| (kind, stats.stats().faults(kind))).collect();
        faults.push(Box::new(kinds));
    });
    Ok((owner, reader))
}

/// The faults of a cache so far, by kind.
type Faults = Box<dyn Fn() -> Vec<(FaultKind, u64)>>;

thread_local! {
    /// Of the caches that the running case has opened.
    static FAULTS: RefCell<Vec<Faults>> = const { RefCell::new(Vec::new()) };
}

/// Runs a case, and adds the guest's faults to its failure: a fault is a miss, and a miss has no reason.
pub(crate) fn run(case: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    FAULTS.take();
    let done = case();
    let faults: Vec<(FaultKind, u64)> = FAULTS.take().iter().flat_map(|faults| faults()).collect();
    let faults: Vec<String> = faults
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{} {count}", kind.name()))
        .collect();
    done.map_err(|failure| match faults.is_empty() {
        true => failure,
        false => Failure { seen: format!("{}; faults of the guest: {}", failure.seen, faults.join(", ")), ..failure },
    })
}

fn open(owners: &Owners, subject: &Subject, readers: usize) -> Result<(Owner<Secret>, Reader<Secret>), Failure> {
    open_with(owners, subject, config(subject, readers))
}

fn name<'a>(partial: &'a str, id: &'a [u8]) -> Name<'a> {
    Name { partial: partial.as_bytes(), id }
}

/// A name among many: four under each partial key, few enough for any quota that makes sense.
fn owned(number: u32) -> OwnedName {
    Name { partial: format!("host{}", number / 4).as_bytes(), id: &number.to_be_bytes() }.into()
}

fn secret(bytes: impl Into<Vec<u8>>) -> Secret {
    Secret::new(bytes.into())
}

fn text(secret: &Secret) -> String {
    String::from_utf8_lossy(secret.expose()).into_owned()
}

fn update<V: Value>(owner: &mut Owner<V>, name: Name<'_>, value: V) -> Result<(), Failure> {
    let refused = |refusal: Refusal| Failure::new("the vault takes the session", refusal.to_string());
    owner.update(name, value).map_err(refused)
}

/// Fails if a call of the guest failed or an answer was wrong.
fn is_honest<V: Value>(reader: &Reader<V>) -> Result<(), Failure> {
    let stats = reader.stats();
    same("faults of the guest", stats.faults.iter().sum::<u64>(), 0_u64)?;
    same("false claims of the guest", stats.false_claims, 0_u64)
}

pub(crate) fn empty(subject: &Subject, readers: usize) -> Result<(), Failure> {
    let owners = owners();
    let (_owner, reader) = open(&owners, subject, readers)?;
    let size = reader.size();
    same("size, held and claimed", (size.held, size.claimed), (0, Some(0)))?;
    same("lookup", reader.lookup(name("a", b"1")), None::<Secret>)?;
    same("take", reader.take(name("a", b"1")), None::<Secret>)?;
    same("sessions selected", reader.select_session(b"a", 9).len(), 0_usize)?;
    same("foldl from 41", reader.foldl(41, |acc, _| acc + 1), Ok(41))?;
    is_honest(&reader)
}

pub(crate) fn byte_for_byte(subject: &Subject, readers: usize) -> Result<(), Failure> {
    let owners = owners();
    let config = config(subject, readers);
    let value_max = config.limits.session_bytes - 32 - 8;
    let (mut owner, reader) = open_with::<Secret>(&owners, subject, config)?;
    for id_len in 0..=32_u8 {
        let id: Vec<u8> = (0..id_len).collect();
        let partial = format!("host{}", id_len / 4);
        for value_len in [1, 2, 255, 256, 4_095, value_max] {
            let value: Vec<u8> = (0..value_len).map(|place| (place % 251) as u8 ^ id_len).collect();
            update(&mut owner, name(&partial, &id), secret(value.clone()))?;
            let found = reader.lookup(name(&partial, &id));
            let is_same = found.is_some_and(|found| found.expose() == value);
            holds(&format!("a session of {value_len} bytes under an id of {id_len} is found unchanged"), is_same)?;
        }
    }
    same("sessions held", reader.size().held, 33_usize)?;
    is_honest(&reader)
}

pub(crate) fn overwrite(subject: &Subject, readers: usize) -> Result<(), Failure> {
    let owners = owners();
    let (mut owner, reader) = open(&owners, subject, readers)?;
    update(&mut owner, name("a", b"1"), secret("old"))?;
    update(&mut owner, name("a", b"1"), secret("new"))?;
    let size = reader.size();
    same("size, held and claimed", (size.held, size.claimed), (1, Some(1)))?;
    let selected = reader.select_session(b"a", 9);
    same("sessions selected", selected.iter().map(|found| text(&found.value)).collect::<Vec<_>>(), ["new"])?;
    same("take", reader.take(name("a", b"1")).as_ref().map(text), Some("new".to_owned()))?;
    same("take again", reader.take(name("a", b"1")), None::<Secret>)?;
    is_honest(&reader)
}

pub(crate) fn delete_absent(subject: &Subject, readers: usize) -> Result<(), Failure> {
    let owners = owners();
    let (mut owner, reader) = open(&owners, subject, readers)?;
    update(&mut owner, name("a", b"1"), secret("one"))?;
    holds("delete of an absent id deletes nothing", !owner.delete(name("a", b"2")))?;
    holds("delete under an absent partial key deletes nothing", !owner.delete(name("b", b"1")))?;
    let size = reader.size();
    same("size, held and claimed", (size.held, size.claimed), (1, Some(1)))?;
    holds("delete of what is there deletes it", owner.delete(name("a", b"1")))?;
    holds("delete once more deletes nothing", !owner.delete(name("a", b"1")))?;
    let size = reader.size();
    same("size, held and claimed", (size.held, size.claimed), (0, Some(0)))?;
    is_honest(&reader)
}

pub(crate) fn select(subject: &Subject, readers: usize) -> Result<(), Failure> {
    let owners = owners();
    let (mut owner, reader) = open(&owners, subject, readers)?;
    for (partial, id) in [("a:11", "x"), ("a1:1", "y"), ("a:11", "z"), ("a:1", "1x"), ("", "a:11")] {
        update(&mut owner, name(partial, id.as_bytes()), secret(format!("{partial} {id}")))?;
    }
    let select = |partial: &str| -> Vec<String> {
        reader.select_session(partial.as_bytes(), 9).iter().map(|found| text(&found.value)).collect()
    };
    let first = select("a:11");
    let of_partial: BTreeSet<&str> = first.iter().map(String::as_str).collect();
    same("sessions of a:11", of_partial, BTreeSet::from(["a:11 x", "a:11 z"]))?;
    same("sessions of a:11, asked again", select("a:11"), first)?;
    same("sessions of a1:1", select("a1:1"), ["a1:1 y"])?;
    same("sessions of the empty partial key", select(""), [" a:11"])?;
    same("sessions of a, which has none", select("a").len(), 0_usize)?;
    owner.delete(name("a:11", b"x"));
    same("sessions of a:11, one deleted", select("a:11"), ["a:11 z"])?;
    is_honest(&reader)
}

pub(crate) fn fold(subject: &Subject, readers: usize) -> Result<(), Failure> {
    let owners = owners();
    let (mut owner, reader) = open(&owners, subject, readers)?;
    for number in 0..100 {
        update(&mut owner, owned(number).name(), secret(number.to_be_bytes()))?;
    }
    let this_thread = std::thread::current().id();
    let is_elsewhere = AtomicBool::new(false);
    let is_other = AtomicBool::new(false);
    let seen = reader.foldl(Vec::new(), |mut seen, Found { name, value }| {
        is_elsewhere.fetch_or(std::thread::current().id() != this_thread, Ordering::AcqRel);
        is_other.fetch_or(name.name().id != value.expose(), Ordering::AcqRel);
        seen.push(value.expose().to_vec());
        seen
    });
    holds("the function runs on the calling thread", !is_elsewhere.into_inner())?;
    holds("each session is shown under its own name", !is_other.into_inner())?;
    let seen = seen.map_err(|error| Failure::new("the fold ends well", error.to_string()))?;
    same("elements", seen.len(), 100_usize)?;
    same("elements that differ", seen.into_iter().collect::<BTreeSet<_>>().len(), 100_usize)?;
    is_honest(&reader)
}

pub(crate) fn fold_reenters(subject: &Subject, readers: usize) -> Result<(), Failure> {
    let owners = owners();
    let (mut owner, reader) = open(&owners, subject, readers)?;
    for number in 0..10 {
        update(&mut owner, owned(number).name(), secret("one"))?;
    }
    let found = reader.foldl(0, |found, one| {
        let is_there = reader.holds(one.name.name()) || reader.lookup(one.name.name()).is_none();
        found + usize::from(reader.mailbox().delete(one.name.name()) && is_there)
    });
    same("elements, each looked up and deleted within the fold", found, Ok(10))?;
    owner.settle();
    same("sessions held", reader.size().held, 0_usize)?;
    update(&mut owner, name("a", b"x"), secret("x"))?;
    let fold = || reader.foldl((), |(), _| resume_unwind(Box::new("its own fault")));
    holds("a panic of the function is its caller's", catch_unwind(AssertUnwindSafe(fold)).is_err())?;
    same("lookup after it", reader.lookup(name("a", b"x")).as_ref().map(text), Some("x".to_owned()))?;
    same("foldl after it", reader.foldl(0, |n, _| n + 1), Ok(1))?;
    is_honest(&reader)
}

pub(crate) fn fold_while_writing(subject: &Subject, readers: usize) -> Result<(), Failure> {
    let owners = owners();
    let (mut owner, reader) = open(&owners, subject, readers)?;
    for id in 0..48_u8 {
        update(&mut owner, name(&format!("stays{}", id / 4), &[id]), secret([id]))?;
    }
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let written = (0..200_u32).try_for_each(|round| {
                update(&mut owner, name("moves", &round.to_be_bytes()), secret("moves"))?;
                holds("what was registered is deleted", owner.delete(name("moves", &round.to_be_bytes())))
            });
            is_done.store(true, Ordering::Release);
            written
        });
        let mut folded = Ok(());
        while folded.is_ok() && !is_done.load(Ordering::Acquire) {
            let stayed = reader.foldl(0, |n, found| n + usize::from(found.name.name().partial.starts_with(b"stays")));
            folded = same("elements that were there all the time", stayed, Ok(48));
        }
        let written = joined(writer);
        folded.and(written)
    })
}

fn joined(thread: std::thread::ScopedJoinHandle<'_, Result<(), Failure>>) -> Result<(), Failure> {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

pub(crate) fn never_torn(subject: &Subject, readers: usize) -> Result<(), Failure> {
    let owners = owners();
    let (mut owner, reader) = open(&owners, subject, readers)?;
    let value = |version: u32| secret(version.to_be_bytes().repeat(75));
    update(&mut owner, name("a", b"1"), value(0))?;
    let written = AtomicUsize::new(0);
    let read = || -> Result<(), Failure> {
        let mut last = 0;
        while written.load(Ordering::Acquire) < 500 {
            let Some(found) = reader.lookup(name("a", b"1")) else { continue };
            let version = found.expose().first_chunk().map_or(u32::MAX, |bytes| u32::from_be_bytes(*bytes));
            holds("a value is one that was written, whole", found == value(version))?;
            holds("no value is older than one seen before", version >= last)?;
            last = version;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(read)).collect();
        let write = (1..=500).try_for_each(|version| {
            update(&mut owner, name("a", b"1"), value(version))?;
            written.store(version as usize, Ordering::Release);
            Ok(())
        });
        written.store(500, Ordering::Release);
        threads.into_iter().map(joined).fold(write, Result::and)
    })?;
    holds("the last value is found in the end", reader.lookup(name("a", b"1")) == Some(value(500)))
}

pub(crate) fn seen_by_all(subject: &Subject, readers: usize) -> Result<(), Failure> {
    let owners = owners();
    let (mut owner, reader) = open(&owners, subject, readers)?;
    std::thread::scope(|scope| {
        let mut askers: Vec<Sender<u32>> = Vec::new();
        let (answers, answered) = channel();
        for _ in 0..4 {
            let (ask, asked) = channel::<u32>();
            let (reader, answers) = (reader.clone(), answers.clone());
            scope.spawn(move || {
                for version in asked {
                    let found = reader.lookup(name("a", b"1"));
                    // Nobody listens once the case has failed.
                    let _ = answers.send(found == Some(secret(version.to_be_bytes())));
                }
            });
            askers.push(ask);
        }
        (0..200_u32).try_for_each(|version| {
            update(&mut owner, name("a", b"1"), secret(version.to_be_bytes()))?;
            let is_asked = askers.iter().all(|ask| ask.send(version).is_ok());
            let is_seen = is_asked && (0..askers.len()).all(|_| answered.recv() == Ok(true));
            holds("each thread sees the update at once", is_seen)
        })
    })
}

pub(crate) fn size_is_exact(subject: &Subject, readers: usize) -> Result<(), Failure> {
    let owners = owners();
    let (mut owner, reader) = open(&owners, subject, readers)?;
    let mut model = Model::new(usize::MAX, false);
    let mut numbers = Numbers(11);
    for step in 0..10_000_u32 {
        let owned = owned(numbers.below(400) as u32);
        match numbers.below(5) {
            0 | 1 => {
                update(&mut owner, owned.name(), secret(step.to_be_bytes()))?;
                model.update(&owned, step.to_be_bytes().to_vec());
            }
            2 => same("what delete says", owner.delete(owned.name()), model.delete(&owned))?,
            3 => {
                let taken = reader.take(owned.name());
                same("take", taken.as_ref().map(Secret::expose), model.lookup(&owned))?;
                model.delete(&owned);
            }
            _ => same("lookup", reader.lookup(owned.name()).as_ref().map(Secret::expose), model.lookup(&owned))?,
        }
        same("sessions held", reader.size().held, model.len())?;
    }
    owner.settle();
    same("size that the guest claims, told of all", reader.size().claimed, Some(model.len() as u64))?;
    is_honest(&reader)
}

pub(crate) fn independent(subject: &Subject, readers: usize) -> Result<(), Failure> {
    let owners = owners();
    let mut client_config = config(subject, readers);
    client_config.role = Role::Client;
    let (mut server, server_reader) = open(&owners, subject, readers)?;
    let (mut client, client_reader) = open_with::<Secret>(&owners, subject, client_config)?;
    let found = |reader: &Reader<Secret>| reader.lookup(name("a", b"1")).as_ref().map(text);
    update(&mut server, name("a", b"1"), secret("server"))?;
    same("lookup in the client's cache", found(&client_reader), None::<String>)?;
    update(&mut client, name("a", b"1"), secret("client"))?;
    same("lookup in the server's cache", found(&server_reader), Some("server".to_owned()))?;
    holds("delete in the server's cache deletes", server.delete(name("a", b"1")))?;
    same("lookup in the client's cache", found(&client_reader), Some("client".to_owned()))?;
    server.terminate();
    same("lookup in the client's cache", found(&client_reader), Some("client".to_owned()))?;
    is_honest(&client_reader)
}

/// A value that reports its drop.
struct Told(Sender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        // Nobody listens once the case has ended.
        let _ = self.0.send(());
    }
}

impl ZeroizeOnDrop for Told {}

impl Value for Told {
    fn stored_bytes(&self) -> usize {
        1
    }
}

pub(crate) fn terminate(subject: &Subject, readers: usize) -> Result<(), Failure> {
    ends(subject, readers, Owner::terminate)
}

pub(crate) fn owner_gone(subject: &Subject, readers: usize) -> Result<(), Failure> {
    ends(subject, readers, drop)
}

fn ends(subject: &Subject, readers: usize, end: impl FnOnce(Owner<Told>)) -> Result<(), Failure> {
    const SESSIONS: u32 = 20;
    let owners = owners();
    let (mut owner, reader) = open_with::<Told>(&owners, subject, config(subject, readers))?;
    let (tell, told) = channel();
    for number in 0..SESSIONS {
        update(&mut owner, owned(number).name(), Told(tell.clone()))?;
    }
    drop(tell);
    end(owner);
    for _ in 0..SESSIONS {
        holds("every session is wiped", told.recv_timeout(Duration::from_secs(60)).is_ok())?;
    }
    holds("no session is left", told.recv_timeout(Duration::from_secs(60)).is_err())?;
    holds("take finds nothing", reader.take(owned(1).name()).is_none())?;
    same("sessions held", reader.size().held, 0_usize)?;
    holds("nobody reads the mailbox", !reader.mailbox().delete(owned(1).name()))
}

pub(crate) fn oldest_goes(subject: &Subject, readers: usize) -> Result<(), Failure> {
    at_the_maximum(subject, readers, Overflow::EvictOldest)
}

pub(crate) fn all_go(subject: &Subject, readers: usize) -> Result<(), Failure> {
    at_the_maximum(subject, readers, Overflow::InvalidateAll)
}

/// A guest's own evictions come before the policy. Without any, the model knows the sessions that are left.
fn at_the_maximum(subject: &Subject, readers: usize, overflow: Overflow) -> Result<(), Failure> {
    const MAX: usize = 48;
    const IDS: u64 = 120;
    let owners = owners();
    let mut config = config(subject, readers);
    config.overflow = overflow;
    config.limits.sessions = MAX as u32;
    config.limits.mailbox = 2 * POSTED as usize;
    let (mut owner, reader) = open_with::<Secret>(&owners, subject, config)?;
    let mut model = Model::new(MAX, overflow == Overflow::InvalidateAll);
    let mut last = vec![None; IDS as usize];
    let mut numbers = Numbers(16);
    let is_over = AtomicBool::new(false);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Acquire) {
                is_over.fetch_or(reader.stats().sessions > MAX as u64, Ordering::AcqRel);
                std::thread::yield_now();
            }
        });
        let written = (0..REGISTRATIONS).try_for_each(|step| {
            let number = numbers.below(IDS) as u32;
            let owned = owned(number);
            last[number as usize] = Some(step);
            model.update(&owned, step.to_be_bytes().to_vec());
            if step % POSTED == 0 {
                owner.settle();
            }
            let is_posted = reader.mailbox().update(owned.name(), secret(step.to_be_bytes()));
            holds("the mailbox has room for what is posted", is_posted)
        });
        is_done.store(true, Ordering::Release);
        written
    })?;
    holds("the size is never seen past the maximum", !is_over.into_inner())?;
    owner.settle();
    let size = reader.size();
    holds("the vault holds some sessions, and no more than its maximum", (1..=MAX).contains(&size.held))?;
    same("size that the guest claims, told of all", size.claimed, Some(size.held as u64))?;
    let leaves_it_to_the_host = reader.stats().evicted == 0;
    let mut found = 0;
    for number in 0..IDS as u32 {
        let owned = owned(number);
        let session = reader.lookup(owned.name());
        found += usize::from(session.is_some());
        if leaves_it_to_the_host {
            same("lookup, the host choosing", session.as_ref().map(Secret::expose), model.lookup(&owned))?;
        } else if let Some(session) = session {
            let newest = last[number as usize].map(|step: u32| step.to_be_bytes().to_vec());
            same("lookup", Some(session.expose().to_vec()), newest)?;
        }
    }
    same("sessions that lookup finds", found, size.held)?;
    is_honest(&reader)
}

/// Registrations at the maximum.
const REGISTRATIONS: u32 = 100_000;
/// Registrations that are posted before a wait: fewer than a mailbox holds.
const POSTED: u32 = 256;

pub(crate) fn died_after_select(subject: &Subject, readers: usize) -> Result<(), Failure> {
    let owners = owners();
    let (mut owner, reader) = open(&owners, subject, readers)?;
    update(&mut owner, name("a", b"1"), secret("one"))?;
    let selected = reader.select_session(b"a", 1).pop();
    let selected = selected.ok_or_else(|| Failure::new("the session is selected", "it is not"))?;
    holds("it is deleted", owner.delete(selected.name.name()))?;
    same("lookup", reader.lookup(selected.name.name()), None::<Secret>)?;
    same("take", reader.take(selected.name.name()), None::<Secret>)?;
    is_honest(&reader)
}
