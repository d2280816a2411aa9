//! The exchange at the end of an upgrade, and the way back to the guest before it.

use crate::{
    cache::{
        cache::{GuestOrigin, Installed},
        inbox::UpgradeReport,
        phase::Event,
    },
    contract::{error::UpgradeError, scalar::Key},
    owner::{
        side::{Previous, Turn},
        upgrade::{Finished, Upgrade},
    },
    sync::mpsc::SyncSender,
    vault::secret::Value,
};

/// The time for which a new guest is on probation.
const PROBATION_MS: u64 = 60 * 60 * 1_000;

impl<V: Value> Turn<'_, V> {
    /// Does the next part of an upgrade. False if no upgrade is due.
    pub(crate) fn upgrade_step(&mut self) -> bool {
        let now_ms = self.cache.state.clock.now_ms();
        // One that has burned its budget does not wait for longer than it may take.
        let is_due =
            |upgrade: &mut Upgrade| upgrade.check_time(now_ms).is_err() || upgrade.overdrawn_until(now_ms).is_none();
        let Some(mut upgrade) = self.side.upgrade.take_if(is_due) else { return false };
        let reply = upgrade.reply.clone();
        if let Err(error) = upgrade.check_time(now_ms) {
            self.answer_upgrade(&reply, Err(error));
            return true;
        }
        let (gone_on, took_ns) = upgrade.go_on(self.cache);
        self.side.upgrade_ns = took_ns;
        match gone_on {
            Ok(false) => self.side.upgrade = Some(upgrade),
            Ok(true) => {
                let exchanged = upgrade.finish(self.cache).map(|finished| self.exchange(finished));
                self.answer_upgrade(&reply, exchanged);
            }
            Err(error) => self.answer_upgrade(&reply, Err(error)),
        }
        true
    }

    fn answer_upgrade(
        &self,
        reply: &SyncSender<Result<UpgradeReport, UpgradeError>>,
        answer: Result<UpgradeReport, UpgradeError>,
    ) {
        let state = &self.cache.state;
        let (tenant, role) = (state.tenant.as_str(), state.role.name());
        match &answer {
            Ok(report) => {
                state.stats.upgrades.add(1);
                let UpgradeReport { sessions, evicted, took_ms, .. } = report;
                tracing::info!(tenant, role, sessions, evicted, took_ms, "upgraded");
            }
            Err(error) => {
                state.stats.upgrades_refused.add(1);
                tracing::warn!(tenant, role, "not upgraded: {error}");
            }
        }
        // If whoever asked is gone, nobody needs the answer.
        let _ = reply.send(answer);
    }

    /// Has the candidates of an upgrade forget a key. One that fails ends the upgrade.
    pub(crate) fn delete_in_candidates(&mut self, key: Key) {
        let Some(upgrade) = &mut self.side.upgrade else { return };
        if let Err(error) = upgrade.delete(self.cache, key) {
            let reply = upgrade.reply.clone();
            self.side.upgrade = None;
            self.answer_upgrade(&reply, Err(error));
        }
    }

    /// Seats the candidates. From here on the new guest serves.
    fn exchange(&mut self, finished: Finished) -> UpgradeReport {
        let Finished { guest, lives, evictions, asked, found, begun_ms } = finished;
        self.side.restart = None;
        let installed = Installed { guest, origin: GuestOrigin::Chosen };
        let previous = std::mem::replace(&mut *self.cache.guest.lock(), installed).guest;
        let now_ms = self.cache.state.clock.now_ms();
        self.side.previous = Some(Previous { guest: previous, until_ms: now_ms.saturating_add(PROBATION_MS) });
        for (seat, live) in self.cache.seats.iter().zip(lives) {
            self.side.outgoing.extend(seat.put(live));
        }
        self.cache.on_seats(|is_whole| Event::Replaced { is_whole });
        self.side.idle.put_off(now_ms);
        let evicted = self.evict(evictions);
        let report = UpgradeReport {
            instances: self.cache.seats.len(),
            sessions: self.cache.state.vault.read().len(),
            evicted: evicted.len(),
            asked,
            found,
            took_ms: now_ms.saturating_sub(begun_ms),
        };
        self.side.owe(1, evicted);
        report
    }

    /// Takes the guest before the last upgrade again, if the new one is on probation.
    pub(crate) fn roll_back(&mut self) {
        if self.install_previous(GuestOrigin::RolledBack) {
            let state = &self.cache.state;
            state.stats.rollbacks.add(1);
            let (tenant, role) = (state.tenant.as_str(), state.role.name());
            tracing::warn!(tenant, role, "rolled back: the new guest was suspended on probation");
        }
    }

    /// Undoes the last upgrade, if its guest is on probation: the instances are built anew, by replay. Says whether it
    /// was.
    pub(crate) fn undo_upgrade(&mut self) -> bool {
        self.install_previous(GuestOrigin::Chosen)
    }

    /// Empties every seat for the guest before the last upgrade. False if none is on probation.
    fn install_previous(&mut self, origin: GuestOrigin) -> bool {
        let Some(previous) = self.side.previous.take() else { return false };
        self.side.restart = None;
        *self.cache.guest.lock() = Installed { guest: previous.guest, origin };
        self.cache.seats.iter().for_each(|seat| drop(seat.remove()));
        self.cache.on_seats(|is_whole| Event::Replaced { is_whole });
        true
    }
}
