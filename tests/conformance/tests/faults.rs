//! Guests that fault in each callback: the call is a miss, the vault keeps the sessions, the cache recovers by itself.

use std::sync::Arc;

use innkeeper_conformance::load;
use innkeeper_core::{
    CacheConfig, CacheState, CacheStats, Callback, Clock, FaultKind, FoldError, Guest, Miss, Name, OpenError, Owner,
    Owners, Property, Reader, Role, Secret, SizeClass,
};
use innkeeper_corpus::artifact;
use innkeeper_doubles::{come_back, patient};
use innkeeper_wasm::{Compilation, Engine, EngineConfig};

const KEY: Name<'_> = Name { partial: b"a", id: b"1" };
const OTHER: Name<'_> = Name { partial: b"a", id: b"2" };

/// The attackers, and the kinds of fault each makes: with plenty of fuel, time runs out.
const ATTACKERS: [(&str, &[FaultKind]); 2] =
    [("trap", &[FaultKind::Trap]), ("spin", &[FaultKind::OutOfFuel, FaultKind::Deadline])];

fn faults(stats: &CacheStats, kinds: &[FaultKind]) -> u64 {
    let of_kinds: u64 = kinds.iter().map(|kind| stats.faults(*kind)).sum();
    assert_eq!(of_kinds, stats.faults.iter().sum::<u64>(), "faults of other kinds");
    of_kinds
}

struct House {
    owners: Owners,
    engine: Engine,
}

type Read = fn(&Reader<Secret>);

type Opened = Result<(Owner<Secret>, Reader<Secret>), OpenError>;

impl House {
    fn new() -> Self {
        let engine = Engine::new(EngineConfig::new(SizeClass::Small, Compilation::Trusted)).expect("the engine starts");
        Self { owners: Owners::new(1, Clock::manual()), engine }
    }

    fn guest(&self, name: &str) -> Arc<dyn Guest> {
        load(&self.engine, artifact(name).expect("the guest is among the artifacts"))
    }

    fn open(&self, guest: &str, properties: &[(&str, &str)]) -> Opened {
        let mut config = CacheConfig { role: Role::Client, ..patient() };
        let property = |(name, value): &(&str, &str)| Property { name: (*name).into(), value: (*value).into() };
        config.properties = properties.iter().map(property).collect();
        config.limits.sessions = 77;
        self.owners.open(config, self.guest(guest))
    }

    fn striking(&self, guest: &str, callback: Callback) -> (Owner<Secret>, Reader<Secret>) {
        self.open(guest, &[("strike", callback.name())]).expect("it behaves in `init`")
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

#[test]
fn a_fault_in_a_read_is_a_miss_and_the_cache_comes_back() {
    let house = House::new();
    let reads: [(Callback, Read); 4] = [
        (Callback::Lookup, |reader| assert_eq!(reader.lookup(KEY), None)),
        (Callback::SelectSession, |reader| assert!(reader.select_session(b"a", 9).is_empty())),
        (Callback::Size, |reader| assert_eq!((reader.size().held, reader.size().claimed), (1, None))),
        (Callback::Foldl, |reader| assert_eq!(reader.foldl(0, |n, _| n + 1), Err(FoldError::NoAnswer))),
    ];
    for (guest, kinds) in ATTACKERS {
        for (callback, read) in reads {
            let (mut owner, reader) = house.striking(guest, callback);
            owner.update(KEY, secret("kept")).unwrap();
            read(&reader);
            let stats = reader.stats();
            assert_eq!((faults(&stats, kinds), stats.sessions), (1, 1), "{guest} in {}", callback.name());
            come_back(&house.owners, &mut owner);
            assert_eq!(reader.stats().restarts, 1, "{guest} in {}", callback.name());
            if callback != Callback::Lookup {
                assert_eq!(reader.lookup(KEY), Some(secret("kept")), "{guest} in {}", callback.name());
            }
        }
    }
}

#[test]
fn a_take_is_single_use_even_when_the_guest_faults() {
    let house = House::new();
    for (guest, _) in ATTACKERS {
        let (mut owner, reader) = house.striking(guest, Callback::Lookup);
        owner.update(KEY, secret("once")).unwrap();
        assert_eq!(reader.take(KEY), None);
        assert!(!reader.holds(KEY), "{guest}");
    }
}

#[test]
fn a_fault_in_delete_loses_nothing_else() {
    let house = House::new();
    for (guest, kinds) in ATTACKERS {
        let (mut owner, reader) = house.striking(guest, Callback::Delete);
        owner.update(KEY, secret("kept")).unwrap();
        owner.update(OTHER, secret("deleted")).unwrap();
        assert!(owner.delete(OTHER));
        assert_eq!(faults(&reader.stats(), kinds), 1, "{guest}");
        assert_eq!(reader.lookup(KEY), None, "{guest}: down, so a miss");
        assert_eq!(reader.stats().misses(Miss::Down), 1, "{guest}");
        come_back(&house.owners, &mut owner);
        assert_eq!((reader.lookup(KEY), reader.lookup(OTHER)), (Some(secret("kept")), None), "{guest}");
    }
}

#[test]
fn a_guest_that_faults_in_update_keeps_no_session_from_the_vault() {
    let house = House::new();
    for (guest, kinds) in ATTACKERS {
        let (mut owner, reader) = house.striking(guest, Callback::Update);
        for id in 0..20_u8 {
            owner.update(Name { partial: b"a", id: &[id] }, secret("kept")).unwrap();
            house.owners.clock().advance(1_000);
            owner.settle();
        }
        let stats = reader.stats();
        assert_eq!(stats.sessions, 20, "{guest}");
        assert!(faults(&stats, kinds) > 0, "{guest}");
        assert_ne!(stats.state, CacheState::Running, "{guest}: no replay can succeed");
    }
}

#[test]
fn init_that_faults_or_refuses_opens_no_cache() {
    let house = House::new();
    for (guest, kinds) in ATTACKERS {
        let refused = house.open(guest, &[("strike", "init")]).err().expect("no cache is opened");
        let OpenError::Guest(fault) = refused else { panic!("{refused}") };
        assert!(kinds.contains(&fault.kind()), "{guest}: {fault}");
    }
    let refused = house.open("refuse", &[("zeta", "1"), ("alpha", "2"), ("zeta", "")]).err().expect("it refuses");
    let OpenError::Guest(fault) = refused else { panic!("{refused}") };
    let message = fault.to_string();
    // The role, the limits and the properties in their order; then a cut line with escaped control characters.
    let told = r#"Client 77 86400000 [("zeta", "1"), ("alpha", "2"), ("zeta", "")]\n\u{1b}[2J!!!"#;
    assert_eq!(message.find(told), Some("`init` refused the cache: ".len()), "{message}");
    assert!(message.len() < 1_100, "{} bytes", message.len());
}

#[test]
fn terminate_that_faults_ends_the_cache_all_the_same() {
    let house = House::new();
    for (guest, kinds) in ATTACKERS {
        let (mut owner, reader) = house.striking(guest, Callback::Terminate);
        owner.update(KEY, secret("wiped")).unwrap();
        owner.terminate();
        let stats = reader.stats();
        assert_eq!((faults(&stats, kinds), stats.sessions, stats.state), (1, 0, CacheState::Ended), "{guest}");
    }
}

#[test]
fn a_liar_gets_nothing_but_misses() {
    let house = House::new();
    let (mut owner, reader) = house.open("liar", &[]).expect("it behaves in `init`");
    for id in 0..50_u8 {
        owner.update(Name { partial: &[id % 3], id: &[id] }, secret(&format!("session {id}"))).unwrap();
        if id % 7 == 0 {
            owner.delete(Name { partial: &[id % 3], id: &[id] });
        }
    }
    for round in 0..20 {
        for id in 0..50_u8 {
            let found = reader.lookup(Name { partial: &[id % 3], id: &[id] });
            let is_right = found.is_none_or(|found| id % 7 != 0 && found == secret(&format!("session {id}")));
            assert!(is_right, "a wrong session for {id} in round {round}");
        }
    }
    let selected = reader.select_session(&[1], 100);
    let right: Vec<u8> = (0..50).filter(|id| id % 3 == 1 && id % 7 != 0).collect();
    let mut ids: Vec<u8> = selected.iter().map(|found| found.name.name().id[0]).collect();
    ids.sort_unstable();
    assert_eq!(ids, right, "every live one of the partial key once, and none besides");
    assert_eq!(reader.foldl(0, |n, _| n + 1), Err(FoldError::WrongKey));
    let (size, stats) = (reader.size(), reader.stats());
    assert_eq!((size.held, size.claimed), (42, Some(u64::MAX)));
    assert!(stats.false_claims > 500, "{}", stats.false_claims);
    assert_eq!(stats.faults.iter().sum::<u64>(), 0, "a lie is no fault");
}

#[test]
fn a_guest_that_lies_about_a_session_cannot_have_it_used_twice() {
    let house = House::new();
    let (mut owner, reader) = house.open("liar", &[]).expect("it behaves in `init`");
    for id in 0..50_u8 {
        owner.update(Name { partial: b"a", id: &[id] }, secret("once")).unwrap();
    }
    let taken = (0..50_u8).filter(|id| reader.take(Name { partial: b"a", id: &[*id] }).is_some()).count();
    let again = (0..50_u8).filter(|id| reader.take(Name { partial: b"a", id: &[*id] }).is_some()).count();
    assert!(taken <= 10, "one answer of five is true: {taken}");
    assert_eq!(again, 0);
}
