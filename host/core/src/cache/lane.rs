//! The lane of a cache: its owner thread is one of those for short turns, or the one for long turns.
//!
//! A guest's call cannot be put off halfway, so whoever waits for the same thread waits for it to end. A cache whose
//! turns are long is therefore served by a thread that only such caches share. [`Lane`] is pure, as the breaker is:
//! time goes in, a decision comes out.

/// A turn that takes longer than this on a core is long: some hundred times what an update takes.
const LONG_NS: u64 = 2_000_000;
/// The number of short turns that prove a new guest.
const TURNS_TO_PROVE: u32 = 16;
/// The shortest time from a long turn until a cache is served among the short ones again.
const PAROLE_MS_MIN: u64 = 10_000;
/// The longest such time. It doubles with each long turn that comes while it is served among the short ones.
const PAROLE_MS_MAX: u64 = 60 * 60 * 1_000;

/// The time after the last of these from which the wait is the shortest again.
const QUIET_MS: u64 = 24 * 60 * 60 * 1_000;

/// The history of one cache's turns.
#[derive(Debug)]
pub(crate) struct Lane {
    is_long: bool,
    turns_left: u32,
    until_ms: u64,
    parole_ms: u64,
    relapsed_ms: u64,
}

impl Lane {
    /// A new cache begins among the long ones: nobody knows its guest.
    pub(crate) fn new() -> Self {
        Self { is_long: true, turns_left: TURNS_TO_PROVE, until_ms: 0, parole_ms: PAROLE_MS_MIN, relapsed_ms: 0 }
    }

    /// Among the long ones from now on: what is left to do is to end.
    pub(crate) fn leave(&mut self) {
        (self.is_long, self.turns_left, self.until_ms) = (true, u32::MAX, u64::MAX);
    }

    /// Notes a turn, and says whether the cache's next turn is among the long ones.
    pub(crate) fn note(&mut self, now_ms: u64, turn_ns: u64) -> bool {
        if turn_ns > LONG_NS {
            if !self.is_long {
                let is_quiet = now_ms.saturating_sub(self.relapsed_ms) > QUIET_MS;
                self.parole_ms = if is_quiet { PAROLE_MS_MIN } else { (2 * self.parole_ms).min(PAROLE_MS_MAX) };
                self.relapsed_ms = now_ms;
            }
            (self.is_long, self.turns_left) = (true, TURNS_TO_PROVE);
            self.until_ms = now_ms.saturating_add(self.parole_ms);
        } else if self.is_long {
            self.turns_left = self.turns_left.saturating_sub(1);
            self.is_long = self.turns_left > 0 || now_ms < self.until_ms;
        }
        self.is_long
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: u64 = LONG_NS;
    const LONG: u64 = LONG_NS + 1;

    /// The time at which short turns, ten in a second, take a cache back among the short ones.
    fn back_ms(lane: &mut Lane, mut now_ms: u64) -> u64 {
        while lane.note(now_ms, SHORT) {
            now_ms += 100;
        }
        now_ms
    }

    #[test]
    fn a_new_cache_is_among_the_short_ones_after_sixteen_short_turns() {
        let mut lane = Lane::new();
        assert!((1..TURNS_TO_PROVE).all(|_| lane.note(1, SHORT)));
        assert!(!lane.note(1, SHORT));
        assert!(!lane.note(1, 0));
    }

    #[test]
    fn a_guest_that_is_always_slow_never_comes_among_the_short_ones() {
        let mut lane = Lane::new();
        assert!((0..10_000).all(|turn| lane.note(turn * 1_000, if turn % 2 == 0 { LONG } else { SHORT })));
    }

    #[test]
    fn each_relapse_doubles_the_wait_up_to_an_hour_and_a_quiet_day_forgives() {
        let mut lane = Lane::new();
        let mut now_ms = back_ms(&mut lane, 1);
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert!(lane.note(now_ms, LONG));
            let back_ms = back_ms(&mut lane, now_ms + 100);
            waits.push((back_ms - now_ms) / 1_000);
            now_ms = back_ms;
        }
        assert_eq!(waits, [20, 40, 80, 160, 320, 640, 1_280, 2_560, 3_600, 3_600, 3_600, 3_600]);
        now_ms += QUIET_MS + 1;
        assert!(lane.note(now_ms, LONG));
        assert_eq!(back_ms(&mut lane, now_ms + 100) - now_ms, PAROLE_MS_MIN);
    }

    #[test]
    fn what_a_guest_can_take_from_the_short_ones_is_little() {
        let mut lane = Lane::new();
        let (mut now_ms, mut taken_ms) = (1, 0);
        // It is quick until it is among the short ones, and then takes all that a call may.
        while now_ms < 24 * 60 * 60 * 1_000 {
            now_ms = back_ms(&mut lane, now_ms);
            taken_ms += 50;
            lane.note(now_ms, 50_000_000);
        }
        assert!(taken_ms < 2_000, "{taken_ms} ms in a day");
    }
}
