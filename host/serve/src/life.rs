//! The life of a process: signals, and messages to systemd.

use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::Duration,
};

use sd_notify::NotifyState;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    task::JoinHandle,
};

/// A command to the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// SIGHUP.
    Reload,
    /// SIGTERM or SIGINT.
    End,
}

/// The signals to the process, and the messages to systemd, if systemd has started it.
#[derive(Debug)]
pub struct Life {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    /// Never read. While the process listens for it, a file at its size limit, such as the log, fails a write and not
    /// the process.
    _too_large: Signal,
    systemd: Systemd,
    /// True if SIGHUP came during a reload.
    is_reload_due: bool,
    /// True if SIGHUP came during [`Life::end`].
    is_reload_noted: bool,
}

impl Life {
    /// Listens for SIGHUP, SIGTERM, SIGINT and SIGXFSZ from now on, instead of their default actions. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _too_large: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
            systemd: Systemd::start()?,
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

    /// Makes the next [`Life::wake`] return a reload.
    pub(crate) fn reload_next(&mut self) {
        self.is_reload_due = true;
    }

    /// Waits until the process is told to end.
    pub async fn end(&mut self) {
        while self.wake().await != Wake::End {
            self.is_reload_noted = true;
        }
    }

    /// Takes up a SIGHUP that came while the server started.
    pub(crate) fn take_up(&mut self) {
        self.is_reload_due |= std::mem::take(&mut self.is_reload_noted);
    }

    /// Waits until the process is told once more to end, by somebody who refuses to wait.
    pub(crate) async fn told_again(&mut self) {
        self.end().await;
    }

    pub(crate) async fn ready(&self, tenants: usize) {
        self.systemd.tell(&[NotifyState::Ready, NotifyState::Status(&format!("serving {tenants} tenants"))]).await;
    }

    pub(crate) async fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.systemd.tell(&[NotifyState::Reloading, now]).await,
            Err(_) => self.systemd.tell(&[NotifyState::Reloading]).await,
        }
    }

    /// Tells systemd that the process is alive, for `WatchdogSec=` of the unit, until it is dropped. It has a task of
    /// its own, since a reload may take longer than the watchdog allows.
    pub(crate) fn watchdog(&self) -> Option<Watchdog> {
        let every = sd_notify::watchdog_enabled()? / 2;
        let systemd = self.systemd.clone();
        Some(Watchdog(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(every.max(Duration::from_millis(1)));
            loop {
                ticks.tick().await;
                systemd.tell(&[NotifyState::Watchdog]).await;
            }
        })))
    }

    pub(crate) async fn stopping(&self) {
        self.systemd.tell(&[NotifyState::Stopping, NotifyState::Status("waiting for connections to end")]).await;
    }
}

pub(crate) struct Watchdog(JoinHandle<()>);

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The channel to systemd. A thread of its own sends the messages, since the socket blocks while systemd reads nothing.
/// Without systemd, messages are dropped.
#[derive(Clone, Debug)]
struct Systemd {
    messages: SyncSender<Message>,
}

/// Lines to send, and a channel for the outcome.
type Message = (String, oneshot::Sender<io::Result<()>>);

const MESSAGES_MAX: usize = 4;

impl Systemd {
    fn start() -> io::Result<Self> {
        let (messages, waiting) = sync_channel(MESSAGES_MAX);
        let send = move |waiting: Receiver<Message>| {
            for (lines, told) in waiting {
                // The waiter for a message that was stuck may be gone.
                let _ = told.send(sd_notify::notify(&[NotifyState::Custom(&lines)]));
            }
        };
        std::thread::Builder::new().name("systemd".to_owned()).spawn(move || send(waiting))?;
        Ok(Self { messages })
    }

    /// Sends a message, and waits for that for a second at most. Drops messages while earlier ones are stuck.
    async fn tell(&self, state: &[NotifyState<'_>]) {
        let lines: Vec<String> = state.iter().map(ToString::to_string).collect();
        let (told, sent) = oneshot::channel();
        if self.messages.try_send((lines.join("\n"), told)).is_err() {
            return;
        }
        match tokio::time::timeout(Duration::from_secs(1), sent).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!("cannot notify systemd: {error}"),
            Ok(Err(_)) | Err(_) => tracing::warn!("cannot notify systemd: it reads no messages"),
        }
    }
}
