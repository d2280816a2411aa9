//! The whole hostile corpus against a cache: each guest strikes in each callback that it can.
//!
//! Each is loaded, opened, driven beside a naive model, and offered as an upgrade to a serving cache. Everything that
//! leaves a guest or the host on the way (guest memory, logs, errors, counters, panics) is searched for the vault's
//! secrets.

use std::{
    collections::HashMap,
    io,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use innkeeper_conformance::{Numbers, try_load};
use innkeeper_core::{
    CacheConfig, CacheState, Clock, Guest, Limits, Name, NativeLru, OpenError, Owner, Owners, Property, Reader, Role,
    Secret, SizeClass,
};
use innkeeper_corpus::{Artifact, Stage, artifact, hostile};
use innkeeper_wasm::{Compilation, Engine, EngineConfig};
use libtest_mimic::{Arguments, Failed, Trial};
use memchr::memmem;
use tracing_subscriber::fmt::MakeWriter;

/// A text in every session, id and server name of this test. Only the vault may have it.
const CANARY: &str = "canary-5f1d0c3b9a";
/// A text that the test plants in a guest, to prove that the search works.
const PLANTED: &str = "planted-71c2e08d46";

/// The log, and every panic's text.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Written {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Written {
    fn has(&self, text: &str) -> bool {
        memmem::find(&self.0.lock().unwrap_or_else(PoisonError::into_inner), text.as_bytes()).is_some()
    }
}

/// An engine whose guests' memory is searched whenever one traps.
struct Room {
    engine: Engine,
    dumps: Arc<Mutex<Dumps>>,
}

#[derive(Default)]
struct Dumps {
    searched: u32,
    with_canary: u32,
    with_planted: u32,
}

impl Room {
    fn new() -> Self {
        let dumps = Arc::new(Mutex::new(Dumps::default()));
        let mut config = EngineConfig::new(SizeClass::Small, Compilation::Trusted);
        // Address space for the few instances that one guest needs.
        config.instances = 8;
        let seen = Arc::clone(&dumps);
        config.autopsy = Some(Arc::new(move |memory: &[u8]| {
            let mut dumps = seen.lock().unwrap_or_else(PoisonError::into_inner);
            dumps.searched += 1;
            dumps.with_canary += u32::from(memmem::find(memory, CANARY.as_bytes()).is_some());
            dumps.with_planted += u32::from(memmem::find(memory, PLANTED.as_bytes()).is_some());
        }));
        Self { engine: Engine::new(config).expect("the engine starts"), dumps }
    }

    fn dumps(&self) -> std::sync::MutexGuard<'_, Dumps> {
        self.dumps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SESSIONS_MAX: u32 = 40;

fn config(tenant: &str, strike: Option<&str>) -> CacheConfig {
    let mut config = CacheConfig::new(tenant, Role::Server, Limits::new(SizeClass::Small));
    config.limits.sessions = SESSIONS_MAX;
    // Fuel ends a guest that never returns, however busy the machine; the fuel itself is not tested here.
    config.limits.read.time = Duration::from_secs(10);
    config.limits.fuel_burst = 1 << 50;
    config.limits.time_burst = Duration::from_secs(3_600);
    let property = |name: &str, value: &str| Property { name: name.into(), value: value.into() };
    config.properties = strike.map(|callback| property("strike", callback)).into_iter().collect();
    config.properties.push(property("planted", PLANTED));
    config
}

/// A cache beside a model: a reader returns the last session stored under that very name, or none.
struct Driven {
    owners: Owners,
    owner: Owner<Secret>,
    reader: Reader<Secret>,
    model: HashMap<(u8, u8), Vec<u8>>,
    numbers: Numbers,
    stored: u32,
}

fn partial(number: u8) -> Vec<u8> {
    format!("{CANARY}-{number}.example").into_bytes()
}

fn id(number: u8) -> Vec<u8> {
    format!("{CANARY}-id-{number}").into_bytes()
}

impl Driven {
    fn open(guest: Arc<dyn Guest>, config: CacheConfig) -> Result<Self, OpenError> {
        let owners = Owners::new(1, Clock::manual());
        let (owner, reader) = owners.open(config, guest)?;
        Ok(Self { owners, owner, reader, model: HashMap::new(), numbers: Numbers(7), stored: 0 })
    }

    fn store(&mut self) {
        let place = (self.numbers.below(3) as u8, self.numbers.below(20) as u8);
        self.stored += 1;
        let value = format!("{CANARY}-value-{}", self.stored).into_bytes();
        let name = (partial(place.0), id(place.1));
        let stored = self.owner.update(Name { partial: &name.0, id: &name.1 }, Secret::new(value.clone()));
        stored.expect("the vault has room");
        self.model.insert(place, value);
    }

    /// The model's value under a found name.
    fn expected(&self, name: Name<'_>) -> Option<&[u8]> {
        let mut places =
            self.model.iter().filter(|(place, _)| partial(place.0) == name.partial && id(place.1) == name.id);
        places.next().map(|(_, value)| value.as_slice())
    }

    fn step(&mut self) {
        let place = (self.numbers.below(3) as u8, self.numbers.below(20) as u8);
        let (partial, id) = (partial(place.0), id(place.1));
        let name = Name { partial: &partial, id: &id };
        let may_be = self.model.get(&place).cloned();
        match self.numbers.below(16) {
            0..4 => self.store(),
            4..9 => {
                if let Some(found) = self.reader.lookup(name) {
                    assert_eq!(Some(found.expose()), may_be.as_deref(), "a wrong session");
                }
            }
            9..11 => {
                let found = self.reader.take(name);
                if let Some(found) = &found {
                    assert_eq!(Some(found.expose()), may_be.as_deref(), "a wrong session");
                }
                // If no guest could be asked, the session stays in the vault.
                if found.is_some() || !self.reader.holds(name) {
                    self.model.remove(&place);
                    assert!(self.reader.take(name).is_none() && self.reader.lookup(name).is_none(), "used twice");
                }
            }
            11 => {
                self.owner.delete(name);
                self.model.remove(&place);
                assert!(self.reader.lookup(name).is_none(), "deleted, and found");
            }
            12 => {
                let found = self.reader.select_session(&partial, 10);
                assert!(found.len() <= 10);
                for found in found {
                    assert_eq!(found.name.name().partial, partial, "of another partial key");
                    assert_eq!(Some(found.value.expose()), self.expected(found.name.name()), "a wrong session");
                }
            }
            13 => {
                let folded = self.reader.foldl(Vec::new(), |mut all, found| {
                    all.push(found);
                    all
                });
                for found in folded.unwrap_or_default() {
                    assert_eq!(Some(found.value.expose()), self.expected(found.name.name()), "a wrong session");
                }
            }
            14 => assert!(self.reader.size().held <= SESSIONS_MAX as usize),
            _ => {
                self.owners.clock().advance(500);
                self.owner.settle();
            }
        }
    }

    /// Waits until the owner thread has done the work that is due.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            self.owner.settle();
            if matches!(self.owner.stats().state, CacheState::Running | CacheState::Suspended) {
                return;
            }
            self.owners.clock().advance(100);
        }
    }
}

/// The number of steps for each guest.
const STEPS: u32 = 300;

fn check(artifact: &'static Artifact, strike: Option<&'static str>) -> Result<(), Failed> {
    let room = Room::new();
    let guest = match (try_load(&room.engine, artifact), artifact.refused) {
        (Err(error), Some(Stage::Load)) => return no_canary(&error.to_string()),
        // The effect of a flipped bit is unknown.
        (Err(error), None) if artifact.language == "file" => return no_canary(&error.to_string()),
        (Err(error), _) => return Err(format!("refused at load: {error}").into()),
        (Ok(_), Some(Stage::Load)) => return Err("not refused at load".into()),
        (Ok(guest), _) => guest,
    };
    drive(&room, artifact, strike, &guest)?;
    upgrade_to(artifact, strike, guest)?;
    let dumps = room.dumps();
    if dumps.with_canary > 0 {
        return Err("the canary is in the guest's memory".into());
    }
    Ok(())
}

fn no_canary(text: &str) -> Result<(), Failed> {
    if text.contains(CANARY) { Err(format!("the canary is in: {text}").into()) } else { Ok(()) }
}

/// Drives a cache of the guest, and ends it in a way that its memory is searched.
fn drive(room: &Room, artifact: &Artifact, strike: Option<&str>, guest: &Arc<dyn Guest>) -> Result<(), Failed> {
    let may_fail = artifact.refused == Some(Stage::Open) || strike == Some("init") || artifact.language == "file";
    let mut driven = match Driven::open(Arc::clone(guest), config(artifact.name, strike)) {
        Ok(_) if artifact.refused == Some(Stage::Open) => return Err("it was opened".into()),
        Ok(driven) => driven,
        Err(error) if may_fail => return no_canary(&format!("{error} {error:?}")),
        Err(error) => return Err(format!("it was not opened: {error:?}").into()),
    };
    (0..20).for_each(|_| driven.store());
    (0..STEPS).for_each(|_| driven.step());
    driven.owners.clock().advance(60 * 60 * 1_000);
    (0..STEPS).for_each(|_| driven.step());
    driven.settle();
    let stats = driven.owner.stats();
    no_canary(&format!("{stats:?}"))?;
    driven.owner.terminate();
    // A `terminate` without fuel traps, which shows the guest's memory to the search.
    let mut config = config(artifact.name, strike);
    config.limits.whole.fuel = 1;
    let Ok(mut driven) = Driven::open(Arc::clone(guest), config) else { return Ok(()) };
    (0..20).for_each(|_| driven.store());
    for place in 0..20 {
        let (partial, id) = (partial(0), id(place));
        driven.reader.lookup(Name { partial: &partial, id: &id });
    }
    driven.settle();
    let is_running = driven.owner.stats().state == CacheState::Running;
    let searched = room.dumps().searched;
    driven.owner.terminate();
    if is_running && room.dumps().searched == searched {
        return Err("the guest's memory was not searched".into());
    }
    Ok(())
}

/// Offers the guest to a serving cache: refused or not, only the guest's own evictions lose sessions.
fn upgrade_to(artifact: &Artifact, strike: Option<&str>, guest: Arc<dyn Guest>) -> Result<(), Failed> {
    let opened = Driven::open(Arc::new(NativeLru), config(artifact.name, strike));
    let mut driven = opened.map_err(|error| error.to_string())?;
    (0..20).for_each(|_| driven.store());
    let before = driven.owner.stats().sessions;
    match driven.owner.upgrade(guest) {
        Ok(report) => {
            if artifact.refused.is_some() {
                return Err("an upgrade to a guest that cannot open was made".into());
            }
            if report.sessions + report.evicted < before as usize {
                return Err(format!("sessions are lost: {report:?} of {before}").into());
            }
        }
        Err(error) => {
            no_canary(&format!("{error} {error:?}"))?;
            let places: Vec<(u8, u8)> = driven.model.keys().copied().collect();
            let is_found = |place: &(u8, u8)| {
                driven.reader.lookup(Name { partial: &partial(place.0), id: &id(place.1) }).is_some()
            };
            if driven.owner.stats().sessions != before || !places.iter().all(is_found) {
                return Err(format!("the old guest does not serve as before, after: {error}").into());
            }
        }
    }
    (0..STEPS).for_each(|_| driven.step());
    Ok(())
}

/// Checks that the search finds a planted text in a guest's memory, in an error's text, and in the log.
fn planted() -> Result<(), Failed> {
    let room = Room::new();
    let of = |name: &str| artifact(name).expect("the guest is among the artifacts");
    let load = |name: &str| try_load(&room.engine, of(name)).expect("it loads");
    let refused = Driven::open(load("refuse"), config("refuse", None)).err().expect("it refuses");
    if !format!("{refused:?}").contains(PLANTED) {
        return Err("what a guest was told is not found in its error".into());
    }
    // This guest keeps the name of the callback to strike in.
    let mut config = config("trap", Some(PLANTED));
    config.limits.whole.fuel = 1;
    let driven = Driven::open(load("trap"), config).map_err(|error| error.to_string())?;
    driven.owner.terminate();
    if room.dumps().with_planted == 0 {
        return Err("what a guest was told is not found in its memory".into());
    }
    tracing::info!("{PLANTED}");
    Ok(())
}

fn main() -> ExitCode {
    let written = Written::default();
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(written.clone()).init();
    let hook = std::panic::take_hook();
    let panics = written.clone();
    std::panic::set_hook(Box::new(move |panic| {
        // Writing to a buffer never fails.
        let _ = io::Write::write_all(&mut panics.clone(), panic.to_string().as_bytes());
        hook(panic);
    }));
    let strikes = |artifact: &'static Artifact| -> Vec<Option<&'static str>> {
        match artifact.strikes {
            [] => vec![None],
            strikes => strikes.iter().map(|strike| Some(*strike)).collect(),
        }
    };
    let hostile = hostile();
    let trial = |(artifact, strike): (&'static Artifact, Option<&'static str>)| {
        let name = strike.map_or_else(|| artifact.name.to_owned(), |strike| format!("{} in {strike}", artifact.name));
        Trial::test(name, move || check(artifact, strike))
    };
    let all = hostile.flat_map(|artifact| strikes(artifact).into_iter().map(move |strike| (artifact, strike)));
    let mut trials: Vec<Trial> = all.map(trial).collect();
    trials.push(Trial::test("what is planted is found", planted));
    let arguments = Arguments::from_args();
    let is_whole = arguments.filter.is_none() && !arguments.list;
    let conclusion = libtest_mimic::run(&arguments, trials);
    assert!(!written.has(CANARY), "the canary is in the log or in a panic");
    assert!(!is_whole || written.has(PLANTED), "what is planted is found in the log");
    conclusion.exit_code()
}
