//! Damaged components, and the service of those that load nonetheless.

use std::{
    fs,
    path::Path,
    sync::{Arc, LazyLock},
    time::Duration,
};

use arbitrary::Arbitrary;
use innkeeper_core::{CacheConfig, Clock, FaultKind, Limits, Name, Owners, Role, Secret, SizeClass};
use innkeeper_wasm::{Checked, Compilation, Engine, EngineConfig, Linked, LoadError, Wasi};

/// Bytes, and the options of their load.
#[derive(Arbitrary, Debug)]
pub struct Attempt {
    file: File,
    is_closed_wasi: bool,
}

#[derive(Arbitrary, Debug)]
enum File {
    Bytes(Vec<u8>),
    /// Raw bytes behind the first bytes of a component.
    Body(Vec<u8>),
    /// One of the guests in text, changed.
    Changed {
        base: u8,
        changes: Vec<Change>,
    },
}

/// A change of a file. Places are taken modulo its length.
#[derive(Arbitrary, Debug)]
enum Change {
    Set(u16, u8),
    Flip(u16, u8),
    Insert(u16, Vec<u8>),
    Remove(u16, u8),
    /// Copies bytes from one place in front of another.
    Repeat {
        from: u16,
        to: u16,
        bytes: u16,
    },
    /// Copies bytes out of another guest.
    Splice {
        base: u8,
        from: u16,
        to: u16,
        bytes: u16,
    },
    End(u16),
}

const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";

/// The folder of the guests in text: a module of all eight callbacks, and paragraphs that replace its own.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guests/hostile/wat");

/// Every guest in text that makes a component of our world, by file name.
static BASES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(bases);

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let mut config = EngineConfig::new(SizeClass::Small, Compilation::Trusted);
    config.instances = 4;
    config.limits = limits();
    Engine::new(config).expect("the system has the address space")
});

/// Small limits, for a short run.
fn limits() -> Limits {
    let mut limits = Limits::new(SizeClass::Small);
    limits.component_bytes = 64 << 10;
    limits.compile = Duration::from_secs(5);
    limits.memory_bytes = 1 << 20;
    (limits.read.fuel, limits.write.fuel) = (20_000, 20_000);
    (limits.init.fuel, limits.whole.fuel) = (100_000, 100_000);
    limits
}

fn bases() -> Vec<Vec<u8>> {
    let mut files: Vec<_> =
        fs::read_dir(FOLDER).expect("the guests are there").flatten().map(|file| file.path()).collect();
    files.sort_unstable();
    let quiet = fs::read_to_string(Path::new(FOLDER).join("quiet.wat")).expect("the module of all attacks is there");
    let attacks = files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "wat"));
    let bases: Vec<Vec<u8>> = attacks.filter_map(|file| component(&quiet, &fs::read_to_string(file).ok()?)).collect();
    assert!(bases.len() > 10, "the guests in text make components");
    bases
}

/// Builds the component of an attack: its paragraphs follow the module's imports, and replace those with the same
/// names.
fn component(quiet: &str, attack: &str) -> Option<Vec<u8>> {
    let attack = if attack == quiet { "" } else { attack };
    let (imports, rest) = quiet.split_once("\n\n")?;
    let is_kept = |paragraph: &&str| {
        let definition = paragraph.lines().map(str::trim).find(|line| !line.starts_with(";;")).unwrap_or_default();
        let mut words = definition.split(' ');
        let (kind, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        !name.starts_with('$') || !attack.contains(&format!("{kind} {name} "))
    };
    let kept: Vec<&str> = rest.split("\n\n").filter(is_kept).collect();
    let module = wat::parse_str(format!("{imports}\n{attack}\n{}", kept.join("\n\n"))).ok()?;
    innkeeper_build::component_from_plain_module(&module).ok().map(|component| component.bytes)
}

/// Loads a component, and serves a few calls if it loads. Panics if the host misbehaves.
pub fn run(attempt: &Attempt) {
    let bytes = attempt.file.bytes();
    let wasi = if attempt.is_closed_wasi { Wasi::Closed } else { Wasi::None };
    match load(&bytes, wasi) {
        Ok(linked) => serve(linked),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn load(bytes: &[u8], wasi: Wasi) -> Result<Linked, LoadError> {
    let limits = limits();
    Checked::new(bytes, &limits)?.compile(&ENGINE)?.link(wasi)
}

/// Opens a cache on the guest, and calls each callback.
fn serve(guest: Linked) {
    let clock = Clock::manual();
    let owners = Owners::new(1, clock.clone());
    let config = CacheConfig::new("tenant", Role::Server, limits());
    let Ok((mut owner, reader)) = owners.open::<Secret>(config, Arc::new(guest)) else { return };
    let names = [b"1", b"2", b"3"].map(|id| Name { partial: b"a", id });
    let secret = |name: Name<'_>| Secret::new([name.id, b"secret"].concat());
    for name in names {
        owner.update(name, secret(name)).expect("there is room");
        // Past a backoff.
        clock.advance(1_000);
        owner.settle();
    }
    for name in names {
        assert!(reader.lookup(name).is_none_or(|found| found == secret(name)), "another session");
    }
    let partial = names[0].partial;
    let selected = reader.select_session(partial, 3);
    assert!(selected.into_iter().all(|found| found.value == secret(found.name.name())), "another session");
    let folded = reader.foldl(true, |is_right, found| is_right && found.value == secret(found.name.name()));
    assert!(folded.unwrap_or(true), "another session");
    reader.size();
    assert!(reader.take(names[0]).is_none_or(|found| found == secret(names[0])), "another session");
    owner.delete(names[1]);
    owner.settle();
    let stats = owner.stats();
    assert_eq!(stats.faults(FaultKind::Panic), 0, "the host panicked for a guest");
    owner.terminate();
}

impl File {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Body(bytes) => [HEADER, bytes].concat(),
            Self::Changed { base: number, changes } => {
                let mut bytes = base(*number).to_vec();
                changes.iter().for_each(|change| change.make(&mut bytes));
                bytes
            }
        }
    }
}

fn base(number: u8) -> &'static [u8] {
    &BASES[usize::from(number) % BASES.len()]
}

/// Some bytes of a file, up to its end.
fn part(bytes: &[u8], from: u16, length: u16) -> &[u8] {
    let from = usize::from(from) % bytes.len().max(1);
    &bytes[from..bytes.len().min(from + usize::from(length))]
}

impl Change {
    fn make(&self, bytes: &mut Vec<u8>) {
        let at = |place: u16, bytes: &Vec<u8>| usize::from(place) % bytes.len().max(1);
        match self {
            Self::Set(place, byte) => {
                let at = at(*place, bytes);
                bytes.get_mut(at).into_iter().for_each(|old| *old = *byte);
            }
            Self::Flip(place, bit) => {
                let at = at(*place, bytes);
                bytes.get_mut(at).into_iter().for_each(|old| *old ^= 1 << (bit % 8));
            }
            Self::Insert(place, new) => {
                let at = at(*place, bytes);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Remove(place, length) => {
                let at = at(*place, bytes);
                bytes.drain(at..bytes.len().min(at + usize::from(*length)));
            }
            Self::Repeat { from, to, bytes: length } => {
                let new = part(bytes, *from, *length).to_vec();
                let at = at(*to, bytes);
                bytes.splice(at..at, new);
            }
            Self::Splice { base: number, from, to, bytes: length } => {
                let new = part(base(*number), *from, *length);
                let at = at(*to, bytes);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::End(place) => {
                let at = at(*place, bytes);
                bytes.truncate(at);
            }
        }
    }
}
