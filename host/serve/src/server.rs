//! A running server: the proxy as the configuration file wants it, until the process is told to end.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use innkeeper_proxy::{Proxy, ProxyConfig, ProxyLimits, core::Owners};
use tokio::{
    task::{JoinSet, block_in_place},
    time::{Interval, MissedTickBehavior},
};

use crate::{
    admin,
    config::{Problems, Settings},
    error::ServeError,
    guests::Guests,
    history,
    life::{Life, Wake},
    running::{Running, problem_of, watch},
    state::{Reason, Reloaded, ServerConfig, State},
    system::connections_max,
    tenants::Trouble,
};

/// A running server. Dropping it ends everything at once; [`Server::shutdown`] does so in good order.
pub struct Server {
    state: Arc<State>,
    admin: Option<admin::Listening>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // A reload in progress, or a connection of the admin listener, may hold the state for a while.
        self.state.proxy.cut_off();
    }
}

impl Server {
    /// Listens as `settings` say, which [`check`](crate::config::check) has made of the file that `config` names. Must
    /// be called within a tokio runtime of several threads.
    ///
    /// Serves every tenant at once, with full handshakes until its guest has been compiled and opened.
    /// [`Server::settled`] waits for that. A problem of one tenant affects that tenant alone: it is served without a
    /// guest, or not at all.
    ///
    /// # Errors
    /// Problems that affect all tenants. Nothing listens then.
    pub async fn start(
        config: ServerConfig,
        settings: Settings,
        sockets: Vec<std::net::TcpListener>,
    ) -> Result<Self, ServeError> {
        let watch = watch(&settings);
        let guests = block_in_place(|| Guests::new(settings.loader.clone())).map_err(ServeError::Engine)?;
        let threads = settings.owner_threads.unwrap_or_else(default_threads);
        let owners = Owners::new(threads, config.clock.clone());
        let (limits, tenants) = (limits_of(&settings), Vec::new());
        let empty = ProxyConfig { listeners: Vec::new(), limits, maxima: None, tenants };
        let proxy = Proxy::start(empty, owners).await;
        let proxy = proxy.map_err(|error| Problems::from(problem_of(&error, &settings)))?;
        let running = Running::new(&settings, watch);
        let state = Arc::new(State::new(config, proxy, guests, &settings, running));
        let admin = match &settings.admin {
            Some(admin) => Some(admin::listen(admin.address, &state).await?),
            None => None,
        };
        state.start(settings, sockets).await?;
        Ok(Self { state, admin })
    }

    /// Waits until every guest to be compiled, opened or upgraded serves, or has been refused.
    pub async fn settled(&self) {
        self.state.installer.settled().await;
    }

    /// The problems of single tenants, by name.
    pub fn troubles(&self) -> Vec<(String, Trouble)> {
        self.state.troubles()
    }

    /// The addresses of the listeners for clients, in the order of the file.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.state.proxy.local_addresses()
    }

    /// The address of the admin listener, if it is enabled.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|admin| admin.address)
    }

    fn tenants_served(&self) -> usize {
        self.state.infos().len()
    }

    /// The proxy.
    pub fn proxy(&self) -> &Proxy {
        &self.state.proxy
    }

    /// Reads the configuration again, and takes over its changes. No connection is cut off. Certificates, names,
    /// upstreams and bounds of every tenant are exchanged at once. Then it waits for guests to be compiled, opened or
    /// upgraded, each on its own; another reload or action may come meanwhile. A problem of one tenant affects that
    /// tenant alone, which stays as it was: [`Reloaded::troubles`] tells. A guest that was refused is tried again, even
    /// if nothing has changed.
    ///
    /// # Errors
    /// Every problem, if one of them affects all tenants. Nothing has changed then.
    pub async fn reload(&self) -> Result<Reloaded, Problems> {
        self.state.reload().await
    }

    /// Serves until `life` tells it to end. Reloads on SIGHUP and when files change. In the end it shuts down as
    /// [`Server::shutdown`] does. Returns the number of connections that were cut off.
    pub async fn run(self, life: &mut Life) -> usize {
        let settled = self.state.files_settled().await;
        let _alive = life.watchdog();
        life.take_up();
        let mut ticks = tokio::time::interval(Duration::from_secs(history::EVERY_S));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        life.ready(self.tenants_served()).await;
        let _guests = tell_guests(Arc::clone(&self.state));
        loop {
            let file_changed = async {
                match &settled {
                    Some(settled) => settled.notified().await,
                    None => std::future::pending().await,
                }
            };
            let reason = tokio::select! {
                wake = life.wake() => match wake {
                    Wake::Reload => Some(Reason::AskedFor),
                    Wake::End => break,
                },
                () = file_changed => Some(Reason::FilesChanged),
                _ = ticks.tick() => None,
            };
            match reason {
                None => self.state.tick(),
                Some(reason) if self.reload_unless_told(reason, life, &mut ticks).await => {}
                Some(_) => break,
            }
        }
        life.stopping().await;
        tokio::select! {
            cut_off = self.shutdown() => cut_off,
            () = life.told_again() => 0,
        }
    }

    /// Reloads without waiting for guests. False if the process is told to end meanwhile: reading many files may take
    /// long.
    async fn reload_unless_told(&self, reason: Reason, life: &mut Life, ticks: &mut Interval) -> bool {
        life.reloading().await;
        let state = Arc::clone(&self.state);
        // The outcome is in the log and on the admin page. Guests are installed in the background.
        let mut reload = tokio::spawn(async move { drop(state.begin_reload(reason).await) });
        let mut is_due_again = false;
        loop {
            tokio::select! {
                reloaded = &mut reload => {
                    if let Err(error) = reloaded {
                        tracing::error!("a reload panicked, which is a bug of the server: {error}");
                    }
                    break;
                }
                _ = ticks.tick() => self.state.tick(),
                wake = life.wake() => match wake {
                    Wake::End => return false,
                    Wake::Reload => is_due_again = true,
                },
            }
        }
        life.ready(self.tenants_served()).await;
        if is_due_again {
            life.reload_next();
        }
        true
    }

    /// Answers `draining` at `/readyz`, and goes on accepting for the drain delay. Then stops accepting, waits for
    /// connections to end until the drain time is over, and ends the caches. Returns the number of connections that
    /// were cut off.
    pub async fn shutdown(&self) -> usize {
        self.state.is_draining.store(true, Ordering::Release);
        let delay = self.state.drain_delay();
        if !delay.is_zero() {
            tracing::info!(delay_s = delay.as_secs(), "no longer ready, and still accepting");
            tokio::time::sleep(delay).await;
        }
        tracing::info!(connections = self.state.proxy.totals().connections, "draining");
        let cut_off = self.state.proxy.shutdown().await;
        tracing::info!(cut_off, "ended");
        cut_off
    }

    /// Reads every counter for the sparklines, and tries guests again that failed to open. [`Server::run`] does so
    /// every five seconds.
    pub fn tick(&self) {
        self.state.tick();
    }
}

/// The bounds on connections, lowered to the available file descriptors. A proxy that runs out of them accepts nobody,
/// and fails the connections it has accepted.
fn limits_of(settings: &Settings) -> ProxyLimits {
    let wanted = settings.limits.connections;
    let connections = connections_max(wanted);
    if connections < wanted {
        tracing::warn!(
            connections,
            "too few file descriptors for `connections.max = {wanted}`: the server accepts fewer connections at a time"
        );
    }
    ProxyLimits { connections, ..settings.limits.clone() }
}

/// Logs once the guests of the start serve. Ends when it is dropped.
fn tell_guests(state: Arc<State>) -> JoinSet<()> {
    let mut told = JoinSet::new();
    told.spawn(async move {
        state.installer.settled().await;
        tracing::info!(tenants = state.infos().len(), in_trouble = state.troubles().len(), "guests are ready");
    });
    told
}

fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(4)
}
