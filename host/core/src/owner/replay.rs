//! Replay: a new instance is given every session of the vault, a part in each turn.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    cache::cache::Cache,
    contract::{
        fault::Fault,
        scalar::{Claim, Key, Session},
    },
    guest::{
        budget::Budget,
        instance::{Live, Outcome},
    },
    vault::secret::Value,
};

/// An instance that is given every session of the vault.
///
/// A session that a reader takes meanwhile stays in the queue until the guest is to be told: the reader may ask this
/// very instance for it.
pub(crate) struct Replay {
    pub(crate) live: Live,
    /// The sessions that are still to be replayed, oldest first.
    pub(crate) queue: VecDeque<(Key, Session)>,
}

/// The most calls of a replay in one turn. The turn also ends once they have burned the fuel of one `update`, or have
/// taken as long as a turn may without others noticing.
const CALLS_MAX: usize = 256;
const TIME: Duration = Duration::from_micros(500);

#[expect(clippy::disallowed_methods, reason = "ends a turn early; nothing else is decided by it")]
fn start() -> Instant {
    Instant::now()
}

impl Replay {
    /// Begins to replay all that the vault has into an instance.
    pub(crate) fn new<V: Value>(cache: &Cache<V>, live: Live) -> Self {
        Self { live, queue: cache.state.vault.read().oldest_first().collect() }
    }

    /// Replays sessions for the length of a turn, and shows `note` each with the guest's evictions. True when none is
    /// left.
    pub(crate) fn some<V: Value>(
        &mut self,
        cache: &Cache<V>,
        budget: &Budget,
        mut note: impl FnMut(Key, Session, Vec<Claim>),
    ) -> Result<bool, Fault> {
        let (mut burned, start) = (0, start());
        for _ in 0..CALLS_MAX {
            let Some((key, session)) = self.queue.pop_front() else { return Ok(true) };
            let Outcome { answer, fuel, evicted } = self.live.update(cache.unseated(budget), key, session);
            answer?;
            burned += fuel;
            note(key, session, evicted);
            if burned >= cache.state.limits.write.fuel || start.elapsed() >= TIME {
                break;
            }
        }
        Ok(false)
    }

    /// Leaves out a key that the guest has not been told of and is to forget.
    pub(crate) fn forget(&mut self, key: Key) {
        self.queue.retain(|(own, _)| *own != key);
    }
}
