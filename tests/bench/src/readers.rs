//! Readers on several threads: the cost of contention, and the gain of more instances.

use std::{sync::Barrier, time::Instant};

use innkeeper_core::{Clock, Owners};
use innkeeper_work::{Keys, Named, Numbers, Subject, Work, fill};

use crate::{
    cache::{self, Cache, NATIVE, SharedReader},
    floors::{LockedMap, Moka, RustlsStore},
    results::{Results, Row},
    subject::{Shared, sessions_max},
};

/// Sessions in every subject.
const SESSIONS: u32 = 1_000;

/// The number of names that each thread looks up. A round repeats them often enough that the threads' different begins
/// cancel out.
const NAMES: usize = 4_000;
const TIMES: usize = 10;

/// Calls of each thread in a round.
const CALLS: usize = TIMES * NAMES;

/// The numbers of instances of a guest, by the name in the results.
const INSTANCES: [(&str, &str, usize); 6] = [
    ("rust-lru", "rust-lru, 1 reader", 1),
    ("rust-lru", "rust-lru, 2 readers", 2),
    ("rust-lru", "rust-lru, 4 readers", 4),
    ("rust-lru", "rust-lru, 8 readers", 8),
    (NATIVE, "native, 1 reader", 1),
    (NATIVE, "native, 2 readers", 2),
];

/// Measures lookups for each number of threads in `threads`.
pub(crate) fn measure(threads: &[u32], rounds: usize, results: &mut Results) -> anyhow::Result<()> {
    let owners = Owners::new(1, Clock::system());
    let engine = cache::engine(SESSIONS, 32)?;
    let mut kept = Vec::new();
    let mut subjects: Vec<(&str, Box<dyn Shared>)> = Vec::new();
    let (mut map, mut moka, mut store) =
        (LockedMap::default(), Moka::new(sessions_max(SESSIONS)), RustlsStore::new(sessions_max(SESSIONS)));
    for floor in [&mut map as &mut dyn Subject, &mut moka, &mut store] {
        fill(floor, SESSIONS);
    }
    subjects.push(("locked-map", Box::new(map)));
    subjects.push(("moka", Box::new(moka)));
    subjects.push(("rustls-store", Box::new(store)));
    for (guest, name, instances) in INSTANCES {
        let mut cache = Cache::open(&owners, cache::guest(&engine, guest, SESSIONS)?, SESSIONS, instances)?;
        fill(&mut cache, SESSIONS);
        let reader: SharedReader = cache.reader();
        subjects.push((name, Box::new(reader)));
        kept.push(cache);
    }
    let names = names();
    let mut samples = vec![vec![Vec::new(); threads.len()]; subjects.len()];
    for _ in 0..rounds {
        for (place, (_, subject)) in subjects.iter().enumerate() {
            for (column, threads) in threads.iter().enumerate() {
                samples[place][column].push(round(&**subject, *threads, &names));
            }
        }
    }
    for ((name, _), samples) in subjects.iter().zip(samples) {
        for (threads, ns) in threads.iter().zip(samples) {
            results.rows.push(Row::new("lookup-hit", name, SESSIONS, *threads, ns, Vec::new()));
        }
    }
    Ok(())
}

fn names() -> Vec<Named> {
    let drawn = Numbers::new(SESSIONS, 0xfeed).draw(Work::LookupHit, Keys::Uniform, 8 * NAMES);
    drawn.into_iter().map(|number| Named::new(number, SESSIONS)).collect()
}

/// The time of a call on its thread, from the common begin to the end of the last thread.
fn round(subject: &dyn Shared, threads: u32, names: &[Named]) -> f64 {
    let barrier = Barrier::new(threads as usize);
    let spans: Vec<(Instant, Instant)> = std::thread::scope(|scope| {
        let run = |thread: u32| {
            let (barrier, names) = (&barrier, &names[thread as usize * NAMES..][..NAMES]);
            scope.spawn(move || {
                // Refills the processor's caches first.
                names.iter().for_each(|name| _ = subject.lookup(name));
                barrier.wait();
                let start = now();
                let found = (0..TIMES).flat_map(|_| names).filter(|name| subject.lookup(name).is_some()).count();
                let span = (start, now());
                // A reader that waits too long for an instance misses; with few threads that is rare.
                assert!(found * 100 >= CALLS * 99, "{found} of {CALLS} were found");
                span
            })
        };
        let running: Vec<_> = (0..threads).map(run).collect();
        running.into_iter().map(|thread| thread.join().expect("a lookup does not panic")).collect()
    });
    let first = spans.iter().map(|span| span.0).min();
    let last = spans.iter().map(|span| span.1).max();
    let elapsed = last.zip(first).map_or(0, |(last, first)| last.duration_since(first).as_nanos());
    elapsed as f64 / CALLS as f64
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}
