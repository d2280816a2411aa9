//! What a lookup costs: through a guest, through native code, and beside an empty component call.
//!
//! Every subject runs in turn, many rounds over, so that the machine's drift hits all alike; the figure is the median round.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark reads the clock and prints")]

use std::{
    collections::HashMap,
    hint::black_box,
    sync::{Arc, Mutex},
    time::Instant,
};

use innkeeper_artifacts::artifact;
use innkeeper_core::{
    CacheConfig, Clock, Guest, Limits, Name, NativeLru, Owner, Owners, Reader, Role, Secret, SizeClass,
};
use innkeeper_wasm::{Checked, Engine, EngineConfig, Wasi};

const ROUNDS: usize = 201;
const CALLS: u32 = 2_000;
const SESSION: [u8; 300] = [7; 300];

struct Subject {
    name: String,
    call: Box<dyn FnMut(u32)>,
    ns: Vec<f64>,
}

impl Subject {
    fn new(name: &str, call: impl FnMut(u32) + 'static) -> Self {
        Self { name: name.to_owned(), call: Box::new(call), ns: Vec::new() }
    }

    fn round(&mut self) {
        let start = Instant::now();
        (0..CALLS).for_each(|number| (self.call)(number));
        self.ns.push(start.elapsed().as_nanos() as f64 / f64::from(CALLS));
    }

    fn median(&mut self) -> f64 {
        self.ns.sort_by(f64::total_cmp);
        self.ns[self.ns.len() / 2]
    }
}

fn main() {
    let owners = Owners::new(1, Clock::system());
    let engine = Engine::new(EngineConfig::new(SizeClass::Small)).expect("the engine starts");
    let mut caches = Vec::new();
    for sessions in [1_000, 10_000] {
        let mut empty_call = engine.empty_call().expect("the engine has room");
        let mut subjects = vec![Subject::new("empty component call", move |_| empty_call()), locked_map(sessions)];
        for (name, guest) in guests(&engine) {
            let (owner, reader) = open(&owners, guest, sessions);
            subjects.push(Subject::new(&format!("lookup, {name}"), lookup(reader.clone(), sessions, 0)));
            if name == "rust-lru" {
                subjects.push(Subject::new("lookup of an unknown id", lookup(reader, sessions, sessions)));
            }
            caches.push(owner);
        }
        (0..ROUNDS).for_each(|_| subjects.iter_mut().for_each(Subject::round));
        report(sessions, &mut subjects);
    }
}

fn report(sessions: u32, subjects: &mut [Subject]) {
    let empty = subjects[0].median();
    println!("\n{sessions} sessions of {} bytes, median of {ROUNDS} rounds of {CALLS} calls", SESSION.len());
    for subject in subjects {
        let ns = subject.median();
        println!("  {:<28} {ns:>7.0} ns  {:>5.2} x empty call", subject.name, ns / empty);
    }
}

fn guests(engine: &Engine) -> Vec<(&'static str, Arc<dyn Guest>)> {
    let load = |name: &'static str| {
        let limits = Limits::new(SizeClass::Small);
        let component = artifact(name).and_then(|artifact| artifact.component.ok());
        let component = component.unwrap_or_else(|| panic!("{name} was not built"));
        let compiled = Checked::new(component, &limits).and_then(|checked| checked.compile(engine));
        let guest = compiled.and_then(|compiled| compiled.link(Wasi::None));
        (name, Arc::new(guest.unwrap_or_else(|error| panic!("{name}: {error}"))) as Arc<dyn Guest>)
    };
    vec![("native-lru", Arc::new(NativeLru)), load("rust-lru"), load("c-lru")]
}

fn id(number: u32) -> [u8; 33] {
    let mut id = [3; 33];
    id[..4].copy_from_slice(&number.to_be_bytes());
    id
}

fn name(id: &[u8; 33]) -> Name<'_> {
    Name { partial: b"www.example.org", id }
}

fn open(owners: &Owners, guest: Arc<dyn Guest>, sessions: u32) -> (Owner<Secret>, Reader<Secret>) {
    let mut config = CacheConfig::new("bench", Role::Server, Limits::new(SizeClass::Small));
    // A tenant does not look up in a tight loop.
    (config.limits.fuel_per_s, config.limits.fuel_burst) = (1 << 50, 1 << 50);
    let (mut owner, reader) = owners.open(config, guest).expect("the cache opens");
    for number in 0..sessions {
        owner.update(name(&id(number)), Secret::new(SESSION.to_vec())).expect("the vault has room");
    }
    (owner, reader)
}

/// Looks up ids from `first` on, in an order that jumps.
fn lookup(reader: Reader<Secret>, sessions: u32, first: u32) -> impl FnMut(u32) {
    move |number| {
        let id = id(first + number.wrapping_mul(7_919) % sessions);
        assert_eq!(black_box(reader.lookup(name(&id))).is_some(), first == 0);
    }
}

/// The plainest thing that could be done instead.
fn locked_map(sessions: u32) -> Subject {
    let map: HashMap<[u8; 33], Vec<u8>> = (0..sessions).map(|number| (id(number), SESSION.to_vec())).collect();
    let map = Mutex::new(map);
    Subject::new("HashMap behind a lock", move |number| {
        let id = id(number.wrapping_mul(7_919) % sessions);
        assert!(black_box(map.lock().expect("nobody panics").get(&id).cloned()).is_some());
    })
}
