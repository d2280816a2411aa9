//! A cache's turn on its owner thread: one unit of work, chosen in a fixed order.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    cache::{
        cache::Cache,
        phase::{Event, Phase, Suspender},
        run_queue::{Schedule, Wish, Work},
        seat::Seat,
    },
    owner::side::{Side, Turn},
    sync::Mutex,
    vault::secret::Value,
};

/// A cache with its owner's side.
pub(crate) struct Owned<V> {
    pub(crate) cache: Arc<Cache<V>>,
    pub(crate) side: Mutex<Side>,
}

impl<V: Value> Work for Owned<V> {
    fn turn(self: Arc<Self>) -> Wish {
        self.cache.schedule.begin_turn();
        Turn { cache: &self.cache, side: &mut self.side.lock() }.work()
    }

    fn pay(&self, turn_ns: u64) {
        let state = &self.cache.state;
        state.stats.owner_ns.add(turn_ns);
        // The guest that serves does not pay for an upgrade.
        let upgrade_ns = std::mem::take(&mut self.side.lock().upgrade_ns);
        state.budget.pay_time(state.clock.now_ms(), turn_ns.saturating_sub(upgrade_ns));
    }

    fn close(&self) {
        Turn { cache: &self.cache, side: &mut self.side.lock() }.end();
    }

    fn schedule(&self) -> &Schedule {
        &self.cache.schedule
    }
}

impl<V: Value> Turn<'_, V> {
    /// Does one unit of work.
    fn work(&mut self) -> Wish {
        if self.cache.life.is_ended() {
            return Wish::Nothing;
        }
        self.purge();
        let phase = self.cache.life.phase();
        if let Phase::Closing { tells } = phase {
            return self.close_step(tells);
        }
        let state = &self.cache.state;
        // Where the guest is not asked, nothing has to be paid for.
        if !phase.is_suspended_by_operator()
            && let Some(due_ms) = state.budget.overdrawn_until(state.clock.now_ms())
        {
            state.stats.put_off.add(1);
            return Wish::TurnAt { due_ms };
        }
        self.side.turns += 1;
        let is_replays_turn = self.side.turns.is_multiple_of(2);
        // The sweep comes round seldom, so it cannot hold up messages; they could hold up the sweep.
        let did_work = is_replays_turn && (self.restart_step() || self.upgrade_step())
            || self.owed_step()
            || self.outgoing_step()
            || self.sweep_step()
            || self.message_step()
            || self.echo_step()
            || self.restart_step()
            || self.upgrade_step()
            || self.idle_step();
        match did_work {
            true => Wish::Turn,
            false => Wish::TurnAt { due_ms: self.due_ms() },
        }
    }

    /// Terminates one instance, or ends the cache when none is left, or is to be told.
    fn close_step(&mut self, tells: bool) -> Wish {
        // A guest may take all of its grant to end.
        if !self.cache.schedule.leave() {
            return Wish::Turn;
        }
        if tells && let Some(live) = self.cache.seats.iter().find_map(Seat::remove) {
            self.terminate_one(live);
            return Wish::Turn;
        }
        self.end();
        Wish::Nothing
    }

    /// Drops instances, messages and sessions.
    fn end(&mut self) {
        self.cache.on(Event::End);
        self.cache.inbox.close();
        self.cache.seats.iter().for_each(|seat| drop(seat.remove()));
        self.side.restart = None;
        // Whoever waits for an upgrade learns that the cache has ended.
        self.side.upgrade = None;
        self.side.outgoing = VecDeque::new();
        self.side.owed = VecDeque::new();
        self.cache.state.vault.write().reset();
        if let Some(reply) = self.side.ending.take() {
            let _ = reply.send(());
        }
    }

    /// The latest time of the cache's next turn.
    fn due_ms(&self) -> u64 {
        let now_ms = self.cache.state.clock.now_ms();
        let phase = self.cache.life.phase();
        let retry_at = match phase {
            Phase::Restarting { until_ms } | Phase::Suspended { by: Suspender::Faults { until_ms } } => Some(until_ms),
            _ => None,
        };
        let upgrade_at = self.side.upgrade.as_ref().and_then(|upgrade| upgrade.overdrawn_until(now_ms));
        let idle_at = (phase == Phase::Running).then_some(self.side.idle.at_ms);
        [retry_at, upgrade_at, idle_at].into_iter().flatten().fold(self.side.sweep.at_ms, u64::min)
    }
}
