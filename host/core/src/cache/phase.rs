//! The life of a cache: one state machine, pure as the breaker is. Time and events go in, a phase and effects come out.
//!
//! | from | event | to |
//! |---|---|---|
//! | `Opening` | opened | `Running` |
//! | `Running` | unused | `Idle` |
//! | `Idle` | wanted | `Waking` |
//! | `Idle` | use begun | `Running` |
//! | `Waking`, `Restarting` | seated, the last one | `Running` |
//! | any but `Opening` and an operator's suspension | fault | `Restarting`, or `Suspended` by the eighth |
//! | `Suspended` by faults | due | `Restarting` |
//! | the same, `Running`, `Restarting` | replaced | `Running` if whole, else `Restarting` at once |
//! | `Idle`, `Waking` | replaced | `Running` if whole, else as before |
//! | any | suspended by the operator | `Suspended` |
//! | `Suspended` by the operator | resumed | `Running` if whole, `Idle` if it was, else `Restarting` at once |
//! | any | close, end | `Closing`, `Ended` |
//!
//! Every other event leaves a phase as it is. The tests have the whole table.

use crate::{
    cache::breaker::Breaker,
    sync::{
        Mutex,
        atomic::{AtomicU8, Ordering},
    },
};

/// The phase of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The first instances are being opened. Nobody else knows the cache.
    Opening,
    /// The guest serves. An instance that is down is built at once.
    Running,
    /// The instances have been given up, since the guest was asked nothing for long. A use wakes the cache.
    Idle,
    /// Instances are being built since the cache is used again, and nothing has failed: the first is worth waiting for.
    Waking,
    /// An instance is down after a fault, or for another guest. None is built before `until_ms`.
    Restarting { until_ms: u64 },
    /// The guest is not asked.
    Suspended { by: Suspender },
    /// The owner is gone. The instances end one by one, and are told, unless the cache was suspended or is suspended now.
    Closing { tells: bool },
    /// Instances, messages and sessions are gone.
    Ended,
}

impl Phase {
    /// True if the operator has suspended the cache, and has not resumed it.
    pub(crate) fn is_suspended_by_operator(self) -> bool {
        matches!(self, Self::Suspended { by: Suspender::Operator { .. } })
    }
}

/// The reason for a suspension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspender {
    /// Too many faults. The guest is tried again at `until_ms`.
    Faults { until_ms: u64 },
    /// The operator, or a cache that takes this one's place. Ends by [`Event::Resumed`] only.
    Operator { over: Over },
}

/// The state of a cache under an operator's suspension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// Its instances had been given up, and stay so when it is resumed.
    Idle,
    /// Its guest had faulted too often: one on probation gives way.
    Faults,
    /// Any other.
    Other,
}

/// An event in the life of a cache. `is_whole` says that every instance runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The first instances have been opened.
    Opened,
    /// The guest was asked nothing for long.
    Unused,
    /// A read has begun to take a session just as the cache fell idle.
    UseBegun,
    /// An instance is wanted.
    Wanted,
    /// A guest's call ended in a fault. Its instance is down already.
    Fault,
    /// An instance has been seated, or none was down.
    Seated { is_whole: bool },
    /// The wait of a suspension for faults may be over.
    Due,
    /// Another guest has taken the place of the one before it.
    Replaced { is_whole: bool },
    /// The operator suspends the cache.
    Suspended,
    /// The operator ends every suspension.
    Resumed { is_whole: bool },
    /// The owner is gone.
    Close,
    /// Nothing is left.
    End,
}

/// The consequences of an event, for the caller to see to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// The phase is another one.
    pub(crate) is_new: bool,
    /// Readers wait for an instance in vain from now on, or no longer need to.
    pub(crate) ends_waiting: bool,
}

/// The state machine: a phase, and the history of faults that it depends on.
#[derive(Debug)]
pub(crate) struct Life {
    phase: Phase,
    breaker: Breaker,
}

impl Life {
    pub(crate) fn new() -> Self {
        Self { phase: Phase::Opening, breaker: Breaker::default() }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Takes an event in.
    pub(crate) fn on(&mut self, event: Event, now_ms: u64) -> Effects {
        let before = self.phase;
        self.phase = self.next(event, now_ms);
        Effects {
            is_new: self.phase != before,
            ends_waiting: before == Phase::Waking
                && (self.phase != Phase::Waking || matches!(event, Event::Seated { .. })),
        }
    }

    fn next(&mut self, event: Event, now_ms: u64) -> Phase {
        use Phase::{Closing, Ended, Idle, Opening, Restarting, Running, Suspended, Waking};
        let whole_or_restarting = |is_whole| if is_whole { Running } else { Restarting { until_ms: now_ms } };
        match (self.phase, event) {
            (Ended, _) | (_, Event::End) => Ended,
            (Closing { .. }, Event::Suspended) => Closing { tells: false },
            (phase @ Closing { .. }, _) => phase,
            (phase, Event::Close) => Closing { tells: !matches!(phase, Suspended { .. }) },
            (Opening, Event::Opened) => Running,
            (phase @ Opening, _) => phase,
            (Suspended { by: Suspender::Operator { over } }, event) => self.under_operator(over, event, now_ms),
            (phase, Event::Suspended) => {
                let over = match phase {
                    Idle => Over::Idle,
                    Suspended { .. } => Over::Faults,
                    _ => Over::Other,
                };
                Suspended { by: Suspender::Operator { over } }
            }
            // Every fault is forgiven, and the wait is over.
            (phase, Event::Resumed { is_whole }) => {
                self.breaker = Breaker::default();
                if matches!(phase, Idle | Waking) { phase } else { whole_or_restarting(is_whole) }
            }
            (_, Event::Fault) => match self.breaker.fault(now_ms) {
                (until_ms, true) => Suspended { by: Suspender::Faults { until_ms } },
                (until_ms, false) => Restarting { until_ms },
            },
            // Nothing is held against another guest.
            (phase, Event::Replaced { is_whole }) => {
                self.breaker = Breaker::default();
                match phase {
                    // Its instances are built when they are wanted, or are being built.
                    Idle | Waking if !is_whole => phase,
                    _ => whole_or_restarting(is_whole),
                }
            }
            (Suspended { by: Suspender::Faults { until_ms } }, Event::Due) if now_ms >= until_ms => {
                Restarting { until_ms }
            }
            (phase @ Suspended { .. }, _) => phase,
            (Running, Event::Unused) => Idle,
            (Idle, Event::UseBegun) => Running,
            (Idle, Event::Wanted) => Waking,
            (Restarting { .. } | Waking, Event::Seated { is_whole: true }) => Running,
            (phase @ (Running | Idle | Waking | Restarting { .. }), _) => phase,
        }
    }

    /// The phase after an event under an operator's suspension.
    fn under_operator(&mut self, over: Over, event: Event, now_ms: u64) -> Phase {
        let still = |over| Phase::Suspended { by: Suspender::Operator { over } };
        match event {
            Event::Resumed { is_whole } => {
                self.breaker = Breaker::default();
                match (is_whole, over) {
                    (true, _) => Phase::Running,
                    (false, Over::Idle) => Phase::Idle,
                    (false, _) => Phase::Restarting { until_ms: now_ms },
                }
            }
            Event::Replaced { is_whole } => {
                self.breaker = Breaker::default();
                still(if is_whole || over == Over::Faults { Over::Other } else { over })
            }
            // Of a call that had begun before.
            Event::Fault if self.breaker.fault(now_ms).1 => still(Over::Faults),
            _ => still(over),
        }
    }
}

/// The life of a cache as every thread sees it: changed under a lock, read without one.
pub(crate) struct SharedLife {
    life: Mutex<Life>,
    /// The phase, as [`code`] has it. Written while the lock is held.
    published: AtomicU8,
}

const IDLE: u8 = 2;
const WAKING: u8 = 3;
const SUSPENDED_FOR_FAULTS: u8 = 5;
const SUSPENDED_BY_OPERATOR: u8 = 6;
const ENDED: u8 = 8;
const CLOSING_UNTOLD: u8 = 9;

fn code(phase: Phase) -> u8 {
    match phase {
        Phase::Opening => 0,
        Phase::Running => 1,
        Phase::Idle => IDLE,
        Phase::Waking => WAKING,
        Phase::Restarting { .. } => 4,
        Phase::Suspended { by: Suspender::Faults { .. } } => SUSPENDED_FOR_FAULTS,
        Phase::Suspended { by: Suspender::Operator { .. } } => SUSPENDED_BY_OPERATOR,
        Phase::Closing { tells: true } => 7,
        Phase::Ended => ENDED,
        Phase::Closing { tells: false } => CLOSING_UNTOLD,
    }
}

impl SharedLife {
    pub(crate) fn new() -> Self {
        let life = Life::new();
        Self { published: code(life.phase).into(), life: Mutex::new(life) }
    }

    /// Takes in the event that `event` says under the lock: no other event comes in between.
    pub(crate) fn on(&self, now_ms: u64, event: impl FnOnce() -> Event) -> Effects {
        let mut life = self.life.lock();
        let effects = life.on(event(), now_ms);
        self.published.store(code(life.phase), Ordering::SeqCst);
        effects
    }

    /// The phase with its data. Takes the lock for an instant.
    pub(crate) fn phase(&self) -> Phase {
        self.life.lock().phase()
    }

    #[inline(always)]
    fn published(&self) -> u8 {
        self.published.load(Ordering::SeqCst)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.published() == IDLE
    }

    pub(crate) fn is_waking(&self) -> bool {
        self.published() == WAKING
    }

    /// True while no reader asks any instance.
    #[inline(always)]
    pub(crate) fn is_suspended(&self) -> bool {
        matches!(self.published(), SUSPENDED_FOR_FAULTS | SUSPENDED_BY_OPERATOR | CLOSING_UNTOLD)
    }

    /// True while nobody asks any instance, the owner included: the operator has suspended the cache, or it ends so.
    #[inline(always)]
    pub(crate) fn is_nobody_to_ask(&self) -> bool {
        matches!(self.published(), SUSPENDED_BY_OPERATOR | CLOSING_UNTOLD)
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.published() == ENDED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESTARTING: Phase = Phase::Restarting { until_ms: 1_010 };
    const FOR_FAULTS: Phase = Phase::Suspended { by: Suspender::Faults { until_ms: 31_000 } };
    const BY_OPERATOR: Phase = by_operator(Over::Other);
    const IDLE_BY_OPERATOR: Phase = by_operator(Over::Idle);
    const FAULTY_BY_OPERATOR: Phase = by_operator(Over::Faults);

    const fn by_operator(over: Over) -> Phase {
        Phase::Suspended { by: Suspender::Operator { over } }
    }

    /// The time of every event in the table.
    const NOW_MS: u64 = 1_000;
    const AT_ONCE: Phase = Phase::Restarting { until_ms: NOW_MS };

    const PHASES: [Phase; 9] = [
        Phase::Opening,
        Phase::Running,
        Phase::Idle,
        Phase::Waking,
        RESTARTING,
        FOR_FAULTS,
        BY_OPERATOR,
        IDLE_BY_OPERATOR,
        FAULTY_BY_OPERATOR,
    ];

    /// Every event, with the phase that follows from each of [`PHASES`].
    fn table() -> Vec<(Event, [Phase; 9])> {
        use Phase::{Ended, Idle, Opening, Running, Waking};
        const OP: Phase = BY_OPERATOR;
        const IDLE_OP: Phase = IDLE_BY_OPERATOR;
        const BAD_OP: Phase = FAULTY_BY_OPERATOR;
        let (told, untold) = (Phase::Closing { tells: true }, Phase::Closing { tells: false });
        let whole = |is_whole| (Event::Seated { is_whole }, Event::Replaced { is_whole }, Event::Resumed { is_whole });
        let ((seated, replaced, resumed), (one_seated, replaced_later, resumed_later)) = (whole(true), whole(false));
        let same = [Opening, Running, Idle, Waking, RESTARTING, FOR_FAULTS, OP, IDLE_OP, BAD_OP];
        let with = |changes: &[(usize, Phase)]| {
            let mut next = same;
            changes.iter().for_each(|(place, phase)| next[*place] = *phase);
            next
        };
        vec![
            (Event::Opened, with(&[(0, Running)])),
            (Event::Unused, with(&[(1, Idle)])),
            (Event::UseBegun, with(&[(2, Running)])),
            (Event::Wanted, with(&[(2, Waking)])),
            (Event::Fault, with(&[1, 2, 3, 4, 5].map(|place| (place, RESTARTING)))),
            (seated, with(&[(3, Running), (4, Running)])),
            (one_seated, same),
            (Event::Due, same),
            (replaced, [Opening, Running, Running, Running, Running, Running, OP, OP, OP]),
            (replaced_later, [Opening, AT_ONCE, Idle, Waking, AT_ONCE, AT_ONCE, OP, IDLE_OP, OP]),
            (Event::Suspended, [Opening, OP, IDLE_OP, OP, OP, BAD_OP, OP, IDLE_OP, BAD_OP]),
            (resumed, [Opening, Running, Idle, Waking, Running, Running, Running, Running, Running]),
            (resumed_later, [Opening, AT_ONCE, Idle, Waking, AT_ONCE, AT_ONCE, AT_ONCE, Idle, AT_ONCE]),
            (Event::Close, [told, told, told, told, told, untold, untold, untold, untold]),
            (Event::End, [Ended; 9]),
        ]
    }

    fn after(phase: Phase, breaker: Breaker, event: Event) -> (Phase, Effects) {
        let mut life = Life { phase, breaker };
        let effects = life.on(event, NOW_MS);
        (life.phase, effects)
    }

    #[test]
    fn every_phase_goes_where_the_table_says() {
        for (event, next) in table() {
            for (phase, next) in PHASES.into_iter().zip(next) {
                let (own, effects) = after(phase, Breaker::default(), event);
                assert_eq!(own, next, "{event:?} in {phase:?}");
                let is_seat = matches!(event, Event::Seated { .. });
                let ends_waiting = phase == Phase::Waking && (next != Phase::Waking || is_seat);
                assert_eq!(effects, Effects { is_new: phase != next, ends_waiting }, "{event:?} in {phase:?}");
            }
            for tells in [true, false] {
                let closing = |tells| Phase::Closing { tells };
                let end = match event {
                    Event::End => Phase::Ended,
                    Event::Suspended => closing(false),
                    _ => closing(tells),
                };
                assert_eq!(after(closing(tells), Breaker::default(), event).0, end, "{event:?}");
            }
            assert_eq!(after(Phase::Ended, Breaker::default(), event).0, Phase::Ended, "{event:?}");
        }
    }

    fn seven_faults() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..7 {
            breaker.fault(NOW_MS);
        }
        breaker
    }

    #[test]
    fn the_eighth_fault_suspends_and_what_forgives_starts_the_count_anew() {
        for phase in [Phase::Running, Phase::Idle, Phase::Waking, RESTARTING, FOR_FAULTS] {
            assert_eq!(after(phase, seven_faults(), Event::Fault).0, FOR_FAULTS, "{phase:?}");
        }
        for phase in [BY_OPERATOR, IDLE_BY_OPERATOR, FAULTY_BY_OPERATOR] {
            assert_eq!(after(phase, seven_faults(), Event::Fault).0, FAULTY_BY_OPERATOR, "{phase:?}");
        }
        let forgiving = [
            Event::Replaced { is_whole: true },
            Event::Replaced { is_whole: false },
            Event::Resumed { is_whole: true },
            Event::Resumed { is_whole: false },
        ];
        for phase in [Phase::Running, FOR_FAULTS, BY_OPERATOR] {
            for event in forgiving {
                let mut life = Life { phase, breaker: seven_faults() };
                life.on(event, NOW_MS);
                life.phase = Phase::Running;
                life.on(Event::Fault, NOW_MS);
                assert_eq!(life.phase, RESTARTING, "{event:?} in {phase:?}");
            }
        }
    }

    #[test]
    fn a_suspension_for_faults_is_over_when_it_is_due_and_no_sooner() {
        let mut life = Life { phase: FOR_FAULTS, breaker: seven_faults() };
        assert_eq!(life.on(Event::Due, 30_999), Effects::default());
        assert!(life.on(Event::Due, 31_000).is_new);
        assert_eq!(life.phase, Phase::Restarting { until_ms: 31_000 });
    }

    #[test]
    fn each_phase_is_published_as_itself() {
        let ends = [Phase::Closing { tells: true }, Phase::Ended, Phase::Closing { tells: false }];
        let phases = PHASES[..7].iter().copied().chain(ends);
        assert_eq!(phases.map(code).collect::<Vec<u8>>(), [0, 1, IDLE, WAKING, 4, 5, 6, 7, ENDED, CLOSING_UNTOLD]);
    }
}
