//! The cases of one instance alone under random calls. A failing sequence is shrunk to the fewest calls that show it.

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};

use crate::{
    failure::Failure,
    play::{Name, Op, Play, name},
    subject::Subject,
};

/// The most time for shrinking a failing sequence.
const SHRINK_MS: u32 = 20_000;
const SHRINKS: u32 = 4_000;

/// Calls of one run.
const CALLS: usize = 150;
/// Calls of the one long run.
const CALLS_LONG: usize = 10_000;

/// Partial keys and ids of a run: few, so that calls meet.
#[derive(Clone, Copy)]
struct Space {
    partials: u32,
    ids: u32,
}

const SMALL: Space = Space { partials: 4, ids: 6 };
const LARGE: Space = Space { partials: 60, ids: 9 };

fn names(space: Space) -> impl Strategy<Value = Name> {
    (0..space.partials, 0..space.ids).prop_map(|(partial, id)| name(partial, id))
}

/// One call, of those with time standing still.
fn op(space: Space) -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => names(space).prop_map(Op::Update),
        3 => names(space).prop_map(Op::Delete),
        2 => names(space).prop_map(Op::Take),
        6 => names(space).prop_map(Op::Lookup),
        2 => (0..space.partials).prop_map(Op::Select),
        1 => Just(Op::Size),
        1 => Just(Op::Fold),
    ]
}

fn op_or_time(space: Space) -> impl Strategy<Value = Op> {
    prop_oneof![8 => op(space), 1 => (1_u32..4_000_000).prop_map(Op::Pass)]
}

/// Tries random sequences, and returns the failure of the smallest one that fails.
fn try_all(
    runs: u32,
    calls: std::ops::RangeInclusive<usize>,
    op: impl Strategy<Value = Op>,
    check: impl Fn(&[Op]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let config = Config {
        cases: runs,
        max_shrink_iters: SHRINKS,
        max_shrink_time: SHRINK_MS,
        failure_persistence: None,
        ..Config::default()
    };
    // The same sequences each time, so that the verdict stays from run to run.
    let numbers = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let tried = TestRunner::new_with_rng(config, numbers)
        .run(&vec(op, calls), |ops| check(&ops).map_err(|failure| TestCaseError::fail(failure.seen)));
    match tried {
        Ok(()) => Ok(()),
        Err(TestError::Fail(_, ops)) => {
            let not_again = || Failure::new("the same calls are answered the same", "they fail once, and not again");
            Err(check(&ops).err().unwrap_or_else(not_again))
        }
        Err(TestError::Abort(reason)) => Err(Failure::new("random calls can be made", reason.message())),
    }
}

/// A play that shows all calls of a failure, since the sequence is shrunk.
fn open(subject: &Subject, sessions_max: u32) -> Result<Play<'_>, Failure> {
    let mut play = Play::open(subject, sessions_max)?;
    play.calls_shown = 2 * CALLS;
    Ok(play)
}

fn plays(subject: &Subject, sessions_max: u32, ops: &[Op]) -> Result<(), Failure> {
    let mut play = open(subject, sessions_max)?;
    play.run(ops.iter().copied())?;
    play.verify()
}

pub(crate) fn agrees(subject: &Subject, runs: u32) -> Result<(), Failure> {
    try_all(runs, 1..=CALLS, op(SMALL), |ops| plays(subject, 1_000, ops))?;
    try_all(1, CALLS_LONG..=CALLS_LONG, op(LARGE), |ops| plays(subject, 1_000, ops))
}

pub(crate) fn agrees_at_the_maximum(subject: &Subject, runs: u32) -> Result<(), Failure> {
    try_all(runs, 1..=CALLS, op(SMALL), |ops| plays(subject, 7, ops))?;
    try_all(runs / 8, 1..=CALLS, op(SMALL), |ops| plays(subject, 1, ops))?;
    try_all(1, CALLS_LONG..=CALLS_LONG, op(LARGE), |ops| plays(subject, 100, ops))
}

pub(crate) fn deterministic(subject: &Subject, runs: u32) -> Result<(), Failure> {
    let answers = |ops: &[Op]| -> Result<Vec<String>, Failure> {
        let mut play = open(subject, 7)?;
        play.run(ops.iter().copied())?;
        Ok(play.lines().to_vec())
    };
    try_all(runs / 2, 1..=CALLS, op_or_time(SMALL), |ops| {
        let (first, second) = (answers(ops)?, answers(ops)?);
        let differ = first.iter().zip(&second).position(|(first, second)| first != second);
        let Some(at) = differ else { return Ok(()) };
        let calls = first[..=at].to_vec();
        Err(Failure { calls, ..Failure::new(format!("another instance answers {}", first[at]), second[at].as_str()) })
    })
}

pub(crate) fn replays(subject: &Subject, runs: u32) -> Result<(), Failure> {
    let rebuilt = |sessions_max: u32, ops: &[Op]| {
        let mut play = open(subject, sessions_max)?;
        play.run(ops.iter().copied())?;
        play.rebuild()?;
        play.verify()?;
        // It continues like the one before: the model is the same.
        play.run(ops.iter().copied().take(20))?;
        play.verify()
    };
    try_all(runs / 2, 1..=CALLS, op(SMALL), |ops| rebuilt(1_000, ops))?;
    try_all(runs / 2, 1..=CALLS, op(SMALL), |ops| rebuilt(7, ops))
}

pub(crate) fn time_passes(subject: &Subject, runs: u32) -> Result<(), Failure> {
    try_all(runs, 1..=CALLS, op_or_time(SMALL), |ops| {
        plays(subject, 7, ops)?;
        let mut play = open(subject, 1_000)?;
        play.run(ops.iter().copied())?;
        play.rebuild()?;
        play.verify()
    })
}
