//! The life of a process: signals, and what systemd is told.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};

use crate::Server;

/// What a process is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// SIGHUP.
    Reload,
    /// SIGTERM or SIGINT.
    End,
}

/// Listens for signals, and tells systemd where it is at, if systemd has started the process.
#[derive(Debug)]
pub struct Life {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    /// SIGHUP came while a reload was under way.
    is_reload_due: bool,
    /// SIGHUP came while only the end was waited for.
    is_reload_noted: bool,
}

impl Life {
    /// Listens for SIGHUP, SIGTERM and SIGINT from now on, in place of what they do otherwise. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            is_reload_due: false,
            is_reload_noted: false,
        })
    }

    pub(crate) async fn wake(&mut self) -> Wake {
        if std::mem::take(&mut self.is_reload_due) {
            return Wake::Reload;
        }
        tokio::select! {
            _ = self.hangup.recv() => Wake::Reload,
            _ = self.terminate.recv() => Wake::End,
            _ = self.interrupt.recv() => Wake::End,
        }
    }

    /// Has the next [`Life::wake`] say so again.
    pub(crate) fn reload_next(&mut self) {
        self.is_reload_due = true;
    }

    /// Waits until the process is told to end.
    pub async fn end(&mut self) {
        while self.wake().await != Wake::End {
            self.is_reload_noted = true;
        }
    }

    /// Takes up what came while the server started.
    pub(crate) fn take_up(&mut self) {
        self.is_reload_due |= std::mem::take(&mut self.is_reload_noted);
    }

    /// Whether it is told once more to end, by somebody who does not want to wait.
    pub(crate) async fn told_again(&mut self) {
        self.end().await;
    }

    pub(crate) fn ready(&self, server: &Server) {
        let tenants = server.state.infos().len();
        tell(&[NotifyState::Ready, NotifyState::Status(&format!("serving {tenants} tenants"))]);
    }

    pub(crate) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(_) => tell(&[NotifyState::Reloading]),
        }
    }

    /// Tells systemd that the process is alive, for `WatchdogSec=` of the unit, until it is dropped. In a task of its own,
    /// since a reload may take longer than that.
    pub(crate) fn watchdog(&self) -> Option<Watchdog> {
        let every = sd_notify::watchdog_enabled()? / 2;
        Some(Watchdog(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(every.max(Duration::from_millis(1)));
            loop {
                ticks.tick().await;
                tell(&[NotifyState::Watchdog]);
            }
        })))
    }

    pub(crate) fn stopping(&self) {
        tell(&[NotifyState::Stopping, NotifyState::Status("waiting for connections to end")]);
    }
}

pub(crate) struct Watchdog(JoinHandle<()>);

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Without systemd there is nobody to tell.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("systemd is not told: {error}");
    }
}
