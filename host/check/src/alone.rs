//! The cases of one instance alone that always make the same calls.

use innkeeper_core::{Fault, Property, Role, Solo, Unopened};

use crate::{
    failure::{Failure, same, unexpected},
    play::{Name, Op, Play, name},
    subject::Subject,
};

/// More than any of these cases registers.
const SESSIONS_MAX: u32 = 1_000;

/// Four sessions under each of `partials` partial keys: few enough for any quota that makes sense.
fn few(partials: u32) -> impl Iterator<Item = Name> {
    (0..partials).flat_map(|partial| (0..4).map(move |id| name(partial, id)))
}

/// Fails if a guest evicted anything while there was room.
fn keeps_all(play: &Play<'_>) -> Result<(), Failure> {
    let expected = "below the maximum, with four sessions of each partial key at most, nothing is evicted";
    let failure = || Failure::new(expected, format!("evictions: {}", play.evicted));
    if play.evicted == 0 { Ok(()) } else { Err(play.with_calls(failure())) }
}

pub(crate) fn empty(subject: &Subject) -> Result<(), Failure> {
    let mut play = Play::open(subject, SESSIONS_MAX)?;
    play.run([Op::Size, Op::Lookup(name(1, 1)), Op::Select(1), Op::Fold])?;
    // Emptied after use, it is empty again.
    play.run(few(2).map(Op::Update).chain(few(2).map(Op::Delete)))?;
    play.run([Op::Size, Op::Lookup(name(1, 1)), Op::Select(1), Op::Fold])
}

pub(crate) fn lookup(subject: &Subject) -> Result<(), Failure> {
    let mut play = Play::open(subject, SESSIONS_MAX)?;
    play.run(few(25).map(Op::Update))?;
    keeps_all(&play)?;
    play.run(few(25).map(Op::Lookup))?;
    // Backwards, again, and beside unknown keys.
    let mut names: Vec<Name> = few(25).collect();
    names.reverse();
    play.run(names.into_iter().map(Op::Lookup))?;
    play.run([name(99, 0), name(0, 99), name(3, 7)].map(Op::Lookup))?;
    play.run(few(3).map(Op::Take))?;
    play.verify()
}

pub(crate) fn overwrite(subject: &Subject) -> Result<(), Failure> {
    let mut play = Play::open(subject, SESSIONS_MAX)?;
    let one = name(1, 1);
    play.run([Op::Update(one), Op::Update(one), Op::Size, Op::Select(1), Op::Fold, Op::Lookup(one)])?;
    play.run([Op::Update(name(1, 2)), Op::Update(one), Op::Size, Op::Select(1), Op::Fold, Op::Lookup(one)])?;
    play.run([Op::Delete(one), Op::Lookup(one), Op::Size, Op::Select(1), Op::Lookup(name(1, 2))])?;
    keeps_all(&play)
}

pub(crate) fn delete(subject: &Subject) -> Result<(), Failure> {
    let mut play = Play::open(subject, SESSIONS_MAX)?;
    play.run([Op::Delete(name(1, 1)), Op::Size])?;
    play.run([name(1, 1), name(1, 2), name(2, 1)].map(Op::Update))?;
    play.run([Op::Delete(name(1, 3)), Op::Delete(name(3, 1)), Op::Size])?;
    play.run([Op::Delete(name(1, 1)), Op::Lookup(name(1, 1)), Op::Lookup(name(1, 2)), Op::Lookup(name(2, 1))])?;
    play.run([Op::Delete(name(1, 1)), Op::Size, Op::Fold, Op::Update(name(1, 1)), Op::Lookup(name(1, 1))])?;
    play.verify()
}

pub(crate) fn select(subject: &Subject) -> Result<(), Failure> {
    let mut play = Play::open(subject, SESSIONS_MAX)?;
    play.run([name(1, 2), name(2, 2), name(1, 1), name(0, 1), name(1, 3)].map(Op::Update))?;
    play.run([0, 1, 2, 3].map(Op::Select))?;
    play.select_is_stable(1)?;
    play.run([Op::Delete(name(1, 2)), Op::Select(1), Op::Select(2), Op::Delete(name(2, 2)), Op::Select(2)])?;
    play.run(few(20).map(Op::Update))?;
    (0..20).try_for_each(|partial| play.select_is_stable(partial))?;
    keeps_all(&play)
}

pub(crate) fn fold(subject: &Subject) -> Result<(), Failure> {
    let mut play = Play::open(subject, SESSIONS_MAX)?;
    play.run([Op::Update(name(1, 1)), Op::Fold, Op::Update(name(1, 2)), Op::Update(name(2, 1)), Op::Fold])?;
    play.run(few(50).map(Op::Update))?;
    play.run([Op::Fold, Op::Lookup(name(7, 3)), Op::Delete(name(9, 0)), Op::Fold, Op::Fold])?;
    keeps_all(&play)
}

pub(crate) fn independent(subject: &Subject) -> Result<(), Failure> {
    let mut play = Play::open(subject, SESSIONS_MAX)?;
    play.run([Op::Update(name(1, 1)), Op::Update(name(1, 2))])?;
    play.besides(|play| second_cache(subject, play))
}

fn second_cache(subject: &Subject, play: &mut Play<'_>) -> Result<(), Failure> {
    let key = name(1, 1).key();
    let expected = "init opens a second cache, of the other role, in the same instance";
    let opened = play.solo.open_another(Role::Client, subject.properties.clone());
    opened.map_err(|fault| unexpected(expected, &fault))?;
    let fault = |fault: Fault| unexpected("a call to the second cache returns", &fault);
    same("size() of the second cache", play.solo.size().answer.map_err(fault)?, 0_u64)?;
    same("lookup of the first's key in the second", play.solo.lookup(key).answer.map_err(fault)?, None)?;
    play.solo.delete(key).answer.map_err(fault)?;
    play.solo.update(key, 5).answer.map_err(fault)?;
    play.solo.ask(0);
    play.verify()?;
    play.solo.ask(1);
    let second = play.solo.lookup(key).answer.map_err(fault)?.map(|claim| claim.0);
    same("lookup in the second cache", second, Some(5))?;
    play.solo.terminate().answer.map_err(fault)?;
    play.solo.ask(0);
    play.verify()
}

pub(crate) fn init(subject: &Subject) -> Result<(), Failure> {
    for role in [Role::Client, Role::Server] {
        let mut play = Play::open_as(subject, SESSIONS_MAX, role)?;
        play.run([Op::Update(name(1, 1)), Op::Lookup(name(1, 1))])?;
    }
    let property = |name: &str, value: &str| Property { name: name.into(), value: value.into() };
    let odd = [
        property("", ""),
        property("zeta", "1"),
        property("zeta", "ä\0\u{1f600}"),
        property("a b", &"x".repeat(9_000)),
    ];
    for count in 1..=odd.len() {
        let properties = [subject.properties.as_slice(), &odd[..count]].concat();
        match Solo::open(&*subject.guest, &subject.limits, Role::Server, properties, 0) {
            Ok(_) | Err(Unopened { fault: Fault::Init { .. }, .. }) => {}
            Err(unopened) => {
                return Err(unexpected("init takes properties that it does not know, or refuses by a text", &unopened));
            }
        }
    }
    Ok(())
}

pub(crate) fn terminate(subject: &Subject) -> Result<(), Failure> {
    for partials in [0, 25] {
        let mut play = Play::open(subject, SESSIONS_MAX)?;
        play.run(few(partials).map(Op::Update))?;
        play.terminate()?;
    }
    Ok(())
}

pub(crate) fn maximum(subject: &Subject) -> Result<(), Failure> {
    const MAX: u32 = 20;
    let mut play = Play::open(subject, MAX)?;
    play.run(few(5).map(Op::Update))?;
    keeps_all(&play)?;
    same("sessions held", play.len(), MAX as usize)?;
    // Known keys again: no session has to go for them.
    play.run(few(2).map(Op::Update))?;
    keeps_all(&play)?;
    for partial in 5..25 {
        play.run((0..4).map(|id| Op::Update(name(partial, id))).chain([Op::Lookup(name(partial, 3))]))?;
        play.verify()?;
        let fewest = MAX as usize / 2;
        if play.len() < fewest {
            let seen = format!("{} sessions are left", play.len());
            return Err(play.with_calls(Failure::new("a full cache stays at least half full", seen)));
        }
    }
    Ok(())
}

pub(crate) fn died(subject: &Subject) -> Result<(), Failure> {
    let mut play = Play::open(subject, SESSIONS_MAX)?;
    play.run(few(3).map(Op::Update))?;
    for name in [name(1, 0), name(1, 3), name(2, 2)] {
        // The vault has lost it. The guest answers for others meanwhile, and then gets the `delete`.
        play.forget(name);
        play.run([Op::Update(Name { id: 9, ..name }), Op::Delete(Name { id: 9, ..name }), Op::Delete(name)])?;
    }
    play.verify()?;
    // A key whose session died unseen is registered again.
    play.forget(name(0, 0));
    play.run([Op::Update(name(0, 0))])?;
    play.verify()
}
