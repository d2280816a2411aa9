//! The cases of a guest's weight: fuel and memory stay within its limits, and stop growing.

use innkeeper_core::{Callback, Limits};

use crate::{
    failure::Failure,
    play::{Name, Op, Play, name},
    subject::Subject,
};

/// So many names, four under each partial key.
fn spread(count: u32) -> impl Iterator<Item = Name> {
    (0..count).map(|number| name(number / 4, number % 4))
}

/// The part of its grant that a call may burn here; the rest is reserve.
const GRANT_PART: (u64, u64) = (3, 4);

fn within_grants(play: &Play<'_>, limits: &Limits) -> Result<(), Failure> {
    let grants = [Callback::Lookup, Callback::Update, Callback::Foldl].map(|callback| limits.grant(callback).fuel);
    let kinds = ["a lookup, select or size", "an update or delete", "a foldl"];
    for ((kind, used), grant) in kinds.into_iter().zip(play.fuel_max).zip(grants) {
        if used > grant / GRANT_PART.1 * GRANT_PART.0 {
            let expected = format!("{kind} burns at most three quarters of its grant of {grant}");
            return Err(Failure::new(expected, format!("{used}")));
        }
    }
    Ok(())
}

pub(crate) fn default_maximum(subject: &Subject) -> Result<(), Failure> {
    let max = subject.limits.sessions;
    let mut play = Play::open(subject, max)?;
    play.run(spread(max).map(Op::Update))?;
    play.run(spread(max).step_by(97).map(Op::Lookup))?;
    play.run([Op::Size, Op::Select(3), Op::Fold])?;
    // Past the maximum, then known keys again.
    play.run((0..500).map(|number| Op::Update(name(max + number, 0))))?;
    play.run(spread(max).step_by(97).flat_map(|name| [Op::Update(name), Op::Delete(name)]))?;
    within_grants(&play, &subject.limits)?;
    play.terminate()
}

pub(crate) fn one_partial(subject: &Subject) -> Result<(), Failure> {
    let max = subject.limits.sessions;
    let mut play = Play::open(subject, max)?;
    play.run((0..max).map(|id| Op::Update(name(1, id))))?;
    play.run((0..max).step_by(97).map(|id| Op::Lookup(name(1, id))))?;
    play.run([Op::Select(1), Op::Select(2), Op::Size])?;
    play.run((0..max).step_by(97).map(|id| Op::Delete(name(1, id))))?;
    within_grants(&play, &subject.limits)
}

/// The factor that a hundred times the sessions may put on a call: a logarithm, and a hash map that has grown.
const GROWTH_MAX: u64 = 6;
/// Fuel below which a call is cheap in any case.
const FUEL_CHEAP: u64 = 2_000;

pub(crate) fn fuel_growth(subject: &Subject) -> Result<(), Failure> {
    let of = |sessions: u32| -> Result<u64, Failure> {
        let mut play = Play::open(subject, subject.limits.sessions)?;
        play.run(spread(sessions).map(Op::Update))?;
        play.fuel_max = [0; 3];
        let mut lookups = Vec::new();
        for name in spread(sessions).step_by((sessions as usize / 50).max(1)) {
            play.run([Op::Lookup(name)])?;
            lookups.push(std::mem::take(&mut play.fuel_max[0]));
        }
        lookups.sort_unstable();
        Ok(lookups[lookups.len() / 2])
    };
    let many = subject.limits.sessions.min(10_000);
    let (few, all) = (of(many / 100)?, of(many)?);
    if all <= FUEL_CHEAP.max(few.saturating_mul(GROWTH_MAX)) {
        return Ok(());
    }
    let expected = format!(
        "a lookup among {many} sessions burns at most {GROWTH_MAX} times as much as among {}: {few}",
        many / 100
    );
    Err(Failure::new(expected, all.to_string()))
}

/// The bytes that the later half of the rounds may add to the memory after the earlier half.
const GROWTH_BYTES: usize = 128 << 10;
/// The rounds of the same work before the first look at memory, and the most until it must stand still: garbage
/// collectors take their time.
const ROUNDS: (usize, usize) = (8, 64);

pub(crate) fn memory_growth(subject: &Subject) -> Result<(), Failure> {
    let mut play = Play::open(subject, CHURNED)?;
    let mut sizes: Vec<usize> = Vec::new();
    while sizes.len() < ROUNDS.1 {
        churn(&mut play, sizes.len() as u32)?;
        let Some(bytes) = play.solo.memory_bytes() else { return Ok(()) };
        sizes.push(bytes);
        let (early, late) = (sizes[(sizes.len() - 1) / 2], bytes);
        if sizes.len() >= ROUNDS.0 && late <= early + GROWTH_BYTES.max(early / 20) {
            return Ok(());
        }
    }
    let expected = "memory stands still in time while the same work goes on";
    let seen: Vec<usize> = sizes.into_iter().step_by(ROUNDS.1 / 8).collect();
    Err(Failure::new(expected, format!("bytes after each eighth of {} rounds: {seen:?}", ROUNDS.1)))
}

const CHURNED: u32 = 400;

/// New keys, known ones, lookups, deletes: as many sessions in the end as before.
fn churn(play: &mut Play<'_>, round: u32) -> Result<(), Failure> {
    for step in 0..5 {
        let first = (round * 5 + step) * CHURNED / 4;
        let names = (0..CHURNED).map(move |number| name(first + number / 4, number % 4));
        play.run(names.clone().flat_map(|name| [Op::Update(name), Op::Lookup(name), Op::Lookup(name)]))?;
        play.run(names.clone().step_by(7).flat_map(|name| [Op::Update(name), Op::Select(name.partial)]))?;
        play.run(names.step_by(5).flat_map(|name| [Op::Delete(name), Op::Size]))?;
    }
    Ok(())
}
