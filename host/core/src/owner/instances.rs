//! Instances come and go: opened, given up when idle, dropped when suspended, built anew by replay, terminated.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    cache::{
        cache::{Cache, Trouble},
        phase::{Event, Over, Phase, Suspender},
        seat::Seat,
    },
    contract::{callback::Callback, fault::Fault, scalar::Key},
    guest::instance::Live,
    owner::{
        replay::Replay,
        side::{Restart, RestartCause, Turn},
    },
    vault::secret::Value,
};

/// Opens each instance of a cache. Before any owner thread knows it.
pub(crate) fn open<V: Value>(cache: &Cache<V>) -> Result<(), Fault> {
    let (state, guest) = (&cache.state, Arc::clone(&cache.guest.lock().guest));
    let from_ns = state.clock.thread_ns();
    let opened: Result<(), Fault> = cache.seats.iter().try_for_each(|seat| {
        drop(seat.put(cache.start(&state.budget, &*guest)?));
        Ok(())
    });
    let took_ns = state.clock.thread_ns().saturating_sub(from_ns);
    state.stats.owner_ns.add(took_ns);
    state.budget.pay_time(state.clock.now_ms(), took_ns);
    opened?;
    cache.on(Event::Opened);
    Ok(())
}

/// The steps. Each says whether it did something.
impl<V: Value> Turn<'_, V> {
    /// Tells an instance that its cache ends, and drops it. Its answer does not matter any more.
    pub(crate) fn terminate_one(&self, mut live: Live) {
        let state = &self.cache.state;
        let ended = live.terminate(self.cache.unseated(&state.budget)).answer;
        if let Err(fault) = ended {
            state.note_fault(Callback::Terminate, &fault);
            let (tenant, role) = (state.tenant.as_str(), state.role.name());
            tracing::warn!(tenant, role, "guest fault in `terminate`: {fault}");
        }
    }

    /// Terminates one of the instances that have left their seats.
    pub(crate) fn outgoing_step(&mut self) -> bool {
        let Some(live) = self.side.outgoing.pop_front() else { return false };
        self.terminate_one(live);
        true
    }

    /// Drops the instances of a suspended cache, and undoes an upgrade on probation whose guest was suspended for its
    /// faults. The operator's suspension says nothing against the guest, and undoes none.
    pub(crate) fn purge(&mut self) {
        let now_ms = self.cache.state.clock.now_ms();
        self.side.previous.take_if(|previous| previous.until_ms <= now_ms);
        let Phase::Suspended { by } = self.cache.life.phase() else { return };
        // Each time: an upgrade may have seated others.
        self.side.restart = None;
        self.cache.seats.iter().filter(|seat| !seat.is_down()).for_each(|seat| drop(seat.remove()));
        if let Suspender::Operator { .. } = by {
            // They are told nothing either.
            self.side.outgoing = VecDeque::new();
        }
        if let Suspender::Faults { .. } | Suspender::Operator { over: Over::Faults } = by {
            self.roll_back();
        }
    }

    /// Gives the instances up if the guest has been asked nothing since the last look. They are told that their cache
    /// ends. The sessions stay.
    pub(crate) fn idle_step(&mut self) -> bool {
        let now_ms = self.cache.state.clock.now_ms();
        if now_ms < self.side.idle.at_ms || self.cache.life.is_idle() {
            return false;
        }
        self.side.idle.put_off(now_ms);
        let calls = self.cache.calls_made();
        let is_unused =
            std::mem::replace(&mut self.side.idle.calls_seen, calls) == calls && self.side.upgrade.is_none();
        // The phase comes first: a reader that sees an instance down sees the reason.
        if !is_unused || self.cache.is_any_down() || !self.cache.on(Event::Unused).is_new {
            return false;
        }
        // Whoever takes a session from now on sees the cache idle. A reader that has begun to take one asks these
        // instances, since those that come after them are not told of the session.
        if self.cache.seats.iter().any(|seat| seat.reads.is_taking()) {
            self.cache.on(Event::UseBegun);
            return false;
        }
        self.side.outgoing.extend(self.cache.seats.iter().filter_map(Seat::remove));
        true
    }

    /// Begins to build an instance that is down, once its backoff is over, or goes on replaying into it.
    pub(crate) fn restart_step(&mut self) -> bool {
        let now_ms = self.cache.state.clock.now_ms();
        self.cache.on(Event::Due);
        let phase = self.cache.life.phase();
        if !matches!(phase, Phase::Running | Phase::Waking | Phase::Restarting { .. }) {
            return false;
        }
        if let Some(restart) = self.side.restart.take() {
            self.side.restart = self.replay_restart(restart);
            return true;
        }
        let Some(number) = self.cache.seats.iter().position(Seat::is_down) else {
            if phase != Phase::Running {
                self.cache.on_seats(|is_whole| Event::Seated { is_whole });
            }
            return false;
        };
        if matches!(phase, Phase::Restarting { until_ms } if now_ms < until_ms) {
            return false;
        }
        let cause = if phase == Phase::Waking { RestartCause::Wake } else { RestartCause::Fault };
        let guest = Arc::clone(&self.cache.guest.lock().guest);
        match self.cache.start(&self.cache.state.budget, &*guest) {
            Ok(live) => self.side.restart = Some(Restart { number, cause, replay: Replay::new(self.cache, live) }),
            Err(fault) => {
                self.cache.trouble(Trouble::Fault { callback: Callback::Init, fault: &fault });
            }
        }
        true
    }

    /// Replays some sessions, and seats the instance when none is left. Gives back the work that is left.
    fn replay_restart(&mut self, mut restart: Restart) -> Option<Restart> {
        let mut evictions = Vec::new();
        let budget = &self.cache.state.budget;
        let replayed = restart.replay.some(self.cache, budget, |_, _, evicted| evictions.extend(evicted));
        if restart.number == 0 {
            let evicted = self.evict(evictions);
            self.side.owe(1, evicted);
        }
        match replayed {
            Ok(false) => Some(restart),
            Ok(true) => {
                drop(self.cache.seats[restart.number].put(restart.replay.live));
                let stats = &self.cache.state.stats;
                match restart.cause {
                    RestartCause::Wake => stats.wakes.add(1),
                    RestartCause::Fault => stats.restarts.add(1),
                }
                self.cache.on_seats(|is_whole| Event::Seated { is_whole });
                // By its calls it may have been idle for long, and is to be used first.
                self.side.idle.put_off(self.cache.state.clock.now_ms());
                None
            }
            Err(fault) => {
                self.cache.trouble(Trouble::Fault { callback: Callback::Update, fault: &fault });
                None
            }
        }
    }

    /// Has the instance that is being built forget a key, if it is among those from `first` on.
    pub(crate) fn delete_in_restart(&mut self, first: usize, key: Key) {
        if self.cache.life.is_nobody_to_ask() {
            self.side.restart = None;
        }
        if let Some(restart) = &mut self.side.restart {
            restart.replay.forget(key);
        }
        let Some(mut restart) = self.side.restart.take_if(|restart| restart.number >= first) else { return };
        match restart.replay.live.delete(self.cache.unseated(&self.cache.state.budget), key).answer {
            Ok(()) => self.side.restart = Some(restart),
            Err(fault) => {
                self.cache.trouble(Trouble::Fault { callback: Callback::Delete, fault: &fault });
            }
        }
    }
}
