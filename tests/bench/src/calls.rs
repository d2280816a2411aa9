//! The cost of each call, in every subject, at every number of sessions. All subjects take turns in each round, so that
//! the machine's drift affects all alike.

use std::collections::HashMap;

use innkeeper_core::{Clock, Owners};
use innkeeper_work::{Keys, Numbers, SINGLES, Work};

use crate::{
    cache,
    results::{Results, Row},
    subject::{Opened, Peers, SUBJECTS, Stage},
};

/// The extent of a measurement.
pub(crate) struct Plan {
    pub(crate) sessions: Vec<u32>,
    pub(crate) rounds: usize,
}

/// The approximate time of a round of one work in one subject.
const ROUND_NS: f64 = 1_500_000.0;

/// Calls timed together in one round, at least and at most.
const CALLS: (usize, usize) = (4, 4_000);

/// The number of sessions in a fold.
const FOLDED: u32 = 1_000;

/// The works, each with its keys and its name in the results.
const WORKS: [(Work, Keys, &str); 9] = [
    (Work::LookupHit, Keys::Uniform, "lookup-hit"),
    (Work::LookupHit, Keys::Zipf, "lookup-hit-zipf"),
    (Work::LookupMiss, Keys::Uniform, "lookup-miss"),
    (Work::Take, Keys::Uniform, "take"),
    (Work::Update, Keys::Uniform, "update"),
    (Work::Delete, Keys::Uniform, "delete"),
    (Work::SelectOne, Keys::Uniform, "select-1"),
    (Work::SelectTen, Keys::Uniform, "select-10"),
    (Work::Foldl, Keys::Uniform, "foldl-1000"),
];

/// The results of all rounds of one row.
#[derive(Default)]
struct Samples {
    ns: Vec<f64>,
    singles_ns: Vec<u64>,
}

/// Measures every call of every subject.
pub(crate) fn measure(plan: &Plan, peers: &Peers, results: &mut Results) -> anyhow::Result<()> {
    for sessions in &plan.sessions {
        population(*sessions, plan.rounds, peers, results)?;
    }
    Ok(())
}

fn population(sessions: u32, rounds: usize, peers: &Peers, results: &mut Results) -> anyhow::Result<()> {
    let owners = Owners::new(1, Clock::system());
    let engine = cache::engine(sessions, 8)?;
    let stage = Stage { owners: &owners, engine: &engine, peers };
    let mut subjects = Vec::new();
    for name in SUBJECTS {
        eprintln!("filling {name} with {sessions} sessions");
        subjects.push((name, Opened::new(name, sessions, &stage)?));
    }
    let mut numbers = Numbers::new(sessions, 0x1dea);
    for (work, keys, row) in WORKS.into_iter().filter(|(work, ..)| *work != Work::Foldl || sessions == FOLDED) {
        eprintln!("{row} among {sessions} sessions");
        let able = || subjects.iter().enumerate().filter(|(_, (_, subject))| subject.can(work)).map(|(place, _)| place);
        let able: Vec<usize> = able().collect();
        let mut counts = HashMap::new();
        for place in &able {
            let drawn = numbers.draw(work, keys, 2 * (CALLS.0 + SINGLES));
            let first = subjects[*place].1.round(work, &drawn, sessions)?;
            let count = (ROUND_NS / first.ns.max(1.0)) as usize;
            counts.insert(*place, count.clamp(CALLS.0, CALLS.1));
        }
        let mut samples: HashMap<usize, Samples> = HashMap::new();
        for number in 0..rounds {
            let drawn = numbers.draw(work, keys, 2 * (CALLS.1 + SINGLES));
            // The subjects take turns to go first, so that none always follows the same one.
            for offset in 0..able.len() {
                let place = able[(number + offset) % able.len()];
                let round = subjects[place].1.round(work, &drawn[..2 * (counts[&place] + SINGLES)], sessions)?;
                let own = samples.entry(place).or_default();
                own.ns.push(round.ns);
                own.singles_ns.extend(round.singles_ns);
            }
        }
        for place in able {
            let Some(Samples { ns, singles_ns }) = samples.remove(&place) else { continue };
            results.rows.push(Row::new(row, subjects[place].0, sessions, 1, ns, singles_ns));
        }
    }
    Ok(())
}
