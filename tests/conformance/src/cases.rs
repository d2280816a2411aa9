//! The cases, in the order of their numbers.

#![expect(clippy::unwrap_used, reason = "what fails here fails the case")]

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Sender, channel},
    },
    time::Duration,
};

use innkeeper_core::{Found, Overflow, OwnedName, Owner, Property, Reader, Role, Secret, Value, ZeroizeOnDrop};

use crate::{
    Case, Subject,
    model::{Model, Numbers},
    name, owners, secret,
};

/// Every case.
pub const CASES: &[Case] = &[
    Case { name: "01 an empty cache has nothing", check: empty },
    Case { name: "02 lookup gives what update was given", check: byte_for_byte },
    Case { name: "03 update twice overwrites", check: overwrite },
    Case { name: "04 delete of an absent key changes nothing", check: delete_absent },
    Case { name: "05 select gives the sessions of one partial key", check: select },
    Case { name: "05 select from ten thousand sessions of one partial key", check: select_from_many },
    Case { name: "06 foldl sees each session once, on this thread", check: fold },
    Case { name: "07 the fold's function may use the cache, and panic", check: fold_reenters },
    Case { name: "08 foldl ends while another thread writes", check: fold_while_writing },
    Case { name: "09 a read is old or new, never torn", check: never_torn },
    Case { name: "10 an update that returned is seen by every thread", check: seen_by_all },
    Case { name: "11 size is exact after 10 000 operations", check: size_is_exact },
    Case { name: "12 two caches of one guest are independent", check: independent },
    Case { name: "13 properties make no difference to the contract", check: properties },
    Case { name: "14 after terminate reads answer nothing and memory is back", check: terminate },
    Case { name: "15 an owner that goes away gives memory back", check: owner_gone },
    Case { name: "16a at the maximum the oldest goes", check: oldest_goes },
    Case { name: "16b at the maximum all go, if so configured", check: all_go },
    Case { name: "17 a session that died after select is a miss", check: died_after_select },
];

fn empty(subject: &Subject) {
    let owners = owners();
    let (_owner, reader) = subject.open::<Secret>(&owners, subject.config());
    let size = reader.size();
    assert_eq!((size.held, size.claimed), (0, Some(0)));
    assert_eq!(reader.lookup(name("a", b"1")), None);
    assert_eq!(reader.take(name("a", b"1")), None);
    assert!(reader.select_session(b"a", 9).is_empty());
    assert_eq!(reader.foldl(41, |acc, _| acc + 1), Ok(41));
}

fn byte_for_byte(subject: &Subject) {
    let owners = owners();
    let config = subject.config();
    let value_max = config.limits.session_bytes - 32 - 1;
    let (mut owner, reader) = subject.open::<Secret>(&owners, config);
    for id_len in 0..=32_u8 {
        let id: Vec<u8> = (0..id_len).collect();
        for value_len in [1, 2, 255, 256, 4_095, value_max] {
            let value: Vec<u8> = (0..value_len).map(|place| (place % 251) as u8 ^ id_len).collect();
            owner.update(name("a", &id), secret(value.clone())).unwrap();
            let found = reader.lookup(name("a", &id)).expect("what was registered is found");
            assert!(found.expose() == value, "{value_len} bytes under an id of {id_len}");
        }
    }
    assert_eq!(reader.size().held, 33);
}

fn overwrite(subject: &Subject) {
    let owners = owners();
    let (mut owner, reader) = subject.open::<Secret>(&owners, subject.config());
    owner.update(name("a", b"1"), secret("old")).unwrap();
    owner.update(name("a", b"1"), secret("new")).unwrap();
    let size = reader.size();
    assert_eq!((size.held, size.claimed), (1, Some(1)));
    let selected = reader.select_session(b"a", 9);
    assert_eq!(selected.iter().map(|found| found.value.expose()).collect::<Vec<_>>(), [b"new"]);
    assert_eq!(reader.take(name("a", b"1")).unwrap().expose(), b"new");
    assert_eq!(reader.take(name("a", b"1")), None, "the old session is dead");
}

fn delete_absent(subject: &Subject) {
    let owners = owners();
    let (mut owner, reader) = subject.open::<Secret>(&owners, subject.config());
    owner.update(name("a", b"1"), secret("one")).unwrap();
    assert!(!owner.delete(name("a", b"2")));
    assert!(!owner.delete(name("b", b"1")));
    assert_eq!(reader.size().held, 1);
    assert!(owner.delete(name("a", b"1")));
    assert!(!owner.delete(name("a", b"1")));
    let size = reader.size();
    assert_eq!((size.held, size.claimed), (0, Some(0)));
}

fn select(subject: &Subject) {
    let owners = owners();
    let (mut owner, reader) = subject.open::<Secret>(&owners, subject.config());
    for (partial, id) in [("a:11", "x"), ("a1:1", "y"), ("a:11", "z"), ("a:1", "1x"), ("", "a:11")] {
        owner.update(name(partial, id.as_bytes()), secret(format!("{partial} {id}"))).unwrap();
    }
    let select = |partial: &str| -> Vec<String> {
        let found = reader.select_session(partial.as_bytes(), 9);
        found.iter().map(|found| String::from_utf8(found.value.expose().to_vec()).unwrap()).collect()
    };
    let first = select("a:11");
    assert_eq!(first.iter().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(["a:11 x", "a:11 z"]));
    assert_eq!(select("a:11"), first, "the order is stable");
    assert_eq!(select("a1:1"), ["a1:1 y"]);
    assert_eq!(select(""), [" a:11"]);
    assert!(select("a").is_empty());
    owner.delete(name("a:11", b"x"));
    assert_eq!(select("a:11"), ["a:11 z"]);
    assert_eq!(reader.stats().false_claims, 0);
}

fn select_from_many(subject: &Subject) {
    let owners = owners();
    let (mut owner, reader) = subject.open::<Secret>(&owners, subject.config());
    for id in 0..10_000_u32 {
        owner.update(name("a", &id.to_be_bytes()), secret(id.to_be_bytes())).unwrap();
    }
    let selected = reader.select_session(b"a", 9_000);
    assert!(selected.len() >= 256, "{}", selected.len());
    let ids: BTreeSet<&[u8]> = selected.iter().map(|found| found.value.expose()).collect();
    assert_eq!(ids.len(), selected.len(), "each once");
    let stats = reader.stats();
    assert_eq!((stats.faults.iter().sum::<u64>(), stats.false_claims), (0, 0));
}

fn fold(subject: &Subject) {
    let owners = owners();
    let (mut owner, reader) = subject.open::<Secret>(&owners, subject.config());
    let registered: BTreeSet<String> = (0..100).map(|number| format!("{number:03}")).collect();
    for id in &registered {
        owner.update(name("a", id.as_bytes()), secret(id.clone())).unwrap();
    }
    let this_thread = std::thread::current().id();
    let seen = reader.foldl(Vec::new(), |mut seen, Found { name, value }| {
        assert_eq!(std::thread::current().id(), this_thread);
        assert_eq!((name.name().partial, name.name().id), (b"a".as_slice(), value.expose()));
        seen.push(String::from_utf8(value.expose().to_vec()).unwrap());
        seen
    });
    let seen = seen.unwrap();
    assert_eq!(seen.len(), registered.len());
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), registered);
}

fn fold_reenters(subject: &Subject) {
    let owners = owners();
    let (mut owner, reader) = subject.open::<Secret>(&owners, subject.config());
    for id in 0..10_u8 {
        owner.update(name("a", &[id]), secret([id])).unwrap();
    }
    let found = reader.foldl(0, |found, one| {
        assert!(reader.mailbox().delete(one.name.name()));
        found + usize::from(reader.holds(one.name.name()) || reader.lookup(one.name.name()).is_none())
    });
    assert_eq!(found, Ok(10));
    owner.settle();
    assert_eq!(reader.size().held, 0);
    owner.update(name("a", b"x"), secret("x")).unwrap();
    let panicked =
        catch_unwind(AssertUnwindSafe(|| reader.foldl((), |(), _| resume_unwind(Box::new("its own fault")))));
    assert!(panicked.is_err());
    assert!(reader.lookup(name("a", b"x")).is_some(), "the cache is usable");
    assert_eq!(reader.foldl(0, |n, _| n + 1), Ok(1));
}

fn fold_while_writing(subject: &Subject) {
    let owners = owners();
    let (mut owner, reader) = subject.open::<Secret>(&owners, subject.config());
    for id in 0..50_u8 {
        owner.update(name("stays", &[id]), secret([id])).unwrap();
    }
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..200_u32 {
                owner.update(name("moves", &round.to_be_bytes()), secret("moves")).unwrap();
                owner.delete(name("moves", &round.to_be_bytes()));
            }
            is_done.store(true, Ordering::Release);
        });
        while !is_done.load(Ordering::Acquire) {
            let stayed = reader.foldl(0, |n, found| n + usize::from(found.name.name().partial == b"stays"));
            assert_eq!(stayed, Ok(50));
        }
    });
}

fn never_torn(subject: &Subject) {
    let owners = owners();
    let (mut owner, reader) = subject.open::<Secret>(&owners, subject.config());
    let value = |version: u32| secret(version.to_be_bytes().repeat(75));
    owner.update(name("a", b"1"), value(0)).unwrap();
    let written = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut last = 0;
                while written.load(Ordering::Acquire) < 500 {
                    let Some(found) = reader.lookup(name("a", b"1")) else { continue };
                    let version = u32::from_be_bytes(*found.expose().first_chunk().unwrap());
                    assert!(found == value(version), "a torn value");
                    assert!(version >= last, "a value older than one seen before");
                    last = version;
                }
            });
        }
        for version in 1..=500 {
            owner.update(name("a", b"1"), value(version)).unwrap();
            written.store(version as usize, Ordering::Release);
        }
    });
    assert_eq!(reader.lookup(name("a", b"1")), Some(value(500)));
}

fn seen_by_all(subject: &Subject) {
    let owners = owners();
    let (mut owner, reader) = subject.open::<Secret>(&owners, subject.config());
    std::thread::scope(|scope| {
        let mut askers: Vec<Sender<u32>> = Vec::new();
        let (answers, answered) = channel();
        for _ in 0..4 {
            let (ask, asked) = channel::<u32>();
            let (reader, answers) = (reader.clone(), answers.clone());
            scope.spawn(move || {
                for version in asked {
                    let found = reader.lookup(name("a", b"1"));
                    answers.send(found == Some(secret(version.to_be_bytes()))).unwrap();
                }
            });
            askers.push(ask);
        }
        for version in 0..200_u32 {
            owner.update(name("a", b"1"), secret(version.to_be_bytes())).unwrap();
            askers.iter().for_each(|ask| ask.send(version).unwrap());
            assert!((0..4).all(|_| answered.recv().unwrap()), "version {version} is not seen by every thread");
        }
        drop(askers);
    });
}

fn size_is_exact(subject: &Subject) {
    let owners = owners();
    let (mut owner, reader) = subject.open::<Secret>(&owners, subject.config());
    let mut model = Model::new(usize::MAX, false);
    let mut numbers = Numbers(11);
    for step in 0..10_000_u32 {
        let id = [numbers.below(200) as u8];
        let partial = ["a", "b"][numbers.below(2) as usize];
        let owned = OwnedName::from(name(partial, &id));
        match numbers.below(5) {
            0 | 1 => {
                owner.update(owned.name(), secret(step.to_be_bytes())).unwrap();
                model.update(&owned, step.to_be_bytes().to_vec());
            }
            2 => assert_eq!(owner.delete(owned.name()), model.delete(&owned)),
            3 => {
                let taken = reader.take(owned.name());
                assert_eq!(taken.as_ref().map(Secret::expose), model.lookup(&owned));
                model.delete(&owned);
            }
            _ => assert_eq!(reader.lookup(owned.name()).as_ref().map(Secret::expose), model.lookup(&owned)),
        }
        assert_eq!(reader.size().held, model.len());
    }
    owner.settle();
    assert_eq!(reader.size().claimed, Some(model.len() as u64), "the guest has been told of all");
    assert_eq!(reader.stats().false_claims, 0);
}

fn independent(subject: &Subject) {
    let owners = owners();
    let mut client_config = subject.config();
    client_config.role = Role::Client;
    let (mut server, server_reader) = subject.open::<Secret>(&owners, subject.config());
    let (mut client, client_reader) = subject.open::<Secret>(&owners, client_config);
    server.update(name("a", b"1"), secret("server")).unwrap();
    assert_eq!(client_reader.lookup(name("a", b"1")), None);
    client.update(name("a", b"1"), secret("client")).unwrap();
    assert_eq!(server_reader.lookup(name("a", b"1")), Some(secret("server")));
    assert!(server.delete(name("a", b"1")));
    assert_eq!(client_reader.lookup(name("a", b"1")), Some(secret("client")));
    server.terminate();
    assert_eq!(client_reader.lookup(name("a", b"1")), Some(secret("client")));
}

fn properties(subject: &Subject) {
    let owners = owners();
    let mut config = subject.config();
    let property = |name: &str, value: &str| Property { name: name.into(), value: value.into() };
    config.properties = vec![property("zeta", "1"), property("alpha", "ä\0"), property("zeta", "")];
    let (mut owner, reader) = subject.open::<Secret>(&owners, config);
    owner.update(name("a", b"1"), secret("one")).unwrap();
    assert!(reader.lookup(name("a", b"1")).is_some());
}

/// A value that tells when it is dropped.
struct Told(Sender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        // Nobody listens any more once the case has ended.
        let _ = self.0.send(());
    }
}

impl ZeroizeOnDrop for Told {}

impl Value for Told {
    fn stored_bytes(&self) -> usize {
        1
    }
}

fn terminate(subject: &Subject) {
    ends(subject, Owner::terminate);
}

fn owner_gone(subject: &Subject) {
    ends(subject, drop);
}

fn ends(subject: &Subject, end: impl FnOnce(Owner<Told>)) {
    let owners = owners();
    let (mut owner, reader): (_, Reader<Told>) = subject.open(&owners, subject.config());
    let (tell, told) = channel();
    for id in 0..20_u8 {
        owner.update(name("a", &[id]), Told(tell.clone())).unwrap();
    }
    drop(tell);
    end(owner);
    for _ in 0..20 {
        told.recv_timeout(Duration::from_secs(30)).expect("every session is wiped");
    }
    assert!(told.recv_timeout(Duration::from_secs(30)).is_err(), "no session is left");
    assert!(reader.take(name("a", &[1])).is_none());
    assert_eq!(reader.size().held, 0);
    assert!(!reader.mailbox().delete(name("a", &[1])), "nobody reads the mailbox");
}

fn oldest_goes(subject: &Subject) {
    at_the_maximum(subject, Overflow::EvictOldest, false);
}

fn all_go(subject: &Subject) {
    // A guest that chooses its victims comes first, and leaves nothing to the policy.
    at_the_maximum(subject, Overflow::InvalidateAll, !subject.evicts);
}

fn at_the_maximum(subject: &Subject, overflow: Overflow, invalidates_all: bool) {
    const MAX: usize = 50;
    let owners = owners();
    let mut config = subject.config();
    config.overflow = overflow;
    config.limits.sessions = MAX as u32;
    let (mut owner, reader) = subject.open::<Secret>(&owners, config);
    let mut model = Model::new(MAX, invalidates_all);
    let mut numbers = Numbers(16);
    let is_over = AtomicBool::new(false);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Acquire) {
                is_over.fetch_or(reader.stats().sessions > MAX as u64, Ordering::AcqRel);
            }
        });
        for step in 0..100_000_u32 {
            let id = (numbers.below(120) as u32).to_be_bytes();
            let owned = OwnedName::from(name("a", &id));
            owner.update(owned.name(), secret(step.to_be_bytes())).unwrap();
            model.update(&owned, step.to_be_bytes().to_vec());
        }
        is_done.store(true, Ordering::Release);
    });
    assert!(!is_over.load(Ordering::Acquire), "the size was seen past the maximum");
    owner.settle();
    assert_eq!(reader.size().held, model.len());
    for id in 0..120_u32 {
        let owned = OwnedName::from(name("a", &id.to_be_bytes()));
        assert_eq!(reader.lookup(owned.name()).as_ref().map(Secret::expose), model.lookup(&owned));
    }
}

fn died_after_select(subject: &Subject) {
    let owners = owners();
    let (mut owner, reader) = subject.open::<Secret>(&owners, subject.config());
    owner.update(name("a", b"1"), secret("one")).unwrap();
    let selected = reader.select_session(b"a", 1).pop().expect("the session is selected");
    assert!(owner.delete(selected.name.name()));
    assert!(reader.lookup(selected.name.name()).is_none());
    assert!(reader.take(selected.name.name()).is_none());
    assert_eq!(reader.stats().false_claims, 0);
}
