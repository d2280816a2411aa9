//! A running server: the proxy as the configuration file says, changed as the file changes, until it is told to end.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use innkeeper_proxy::{
    LoadError, Proxy, ProxyConfig, ProxyLimits,
    core::{Clock, Owners},
};
use tokio::{
    task::{JoinSet, block_in_place},
    time::{Interval, MissedTickBehavior},
};

use crate::{
    admin,
    config::{Overrides, Problems, Settings},
    guests::Guests,
    history,
    life::{Life, Wake},
    running::{Running, problem_of, watch},
    state::{Reason, Reloaded, State},
    system::connections_max,
    tenants::Trouble,
};

/// Where a server is set up from.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The configuration file.
    pub path: PathBuf,
    /// What goes before it.
    pub overrides: Overrides,
    /// The clock of every cache.
    pub clock: Clock,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The configuration does not do.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// The WebAssembly engine does not start.
    #[error("{0}")]
    Engine(LoadError),
    /// The admin listener cannot listen.
    #[error(
        "cannot listen on {address} for `admin.address`: {source}\nhint: give it another port, or write `admin.enabled = false`"
    )]
    Admin {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A running server. Dropping it ends everything at once; [`Server::shutdown`] does so in good order.
pub struct Server {
    pub(crate) state: Arc<State>,
    admin: Option<admin::Listening>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Others may hold a part of it for a while: a reload that is under way, the admin listener's connections.
        self.state.proxy.cut_off();
    }
}

impl Server {
    /// Listens as `settings` say, which [`check`](crate::config::check) has made of the file that `config` names. Must be called
    /// within a tokio runtime of several threads.
    ///
    /// Does not wait for guests: every tenant is served from the beginning, with full handshakes until its guest has been compiled
    /// and opened; [`Server::settled`] waits for that. What is wrong with one tenant is that tenant's: it is served without a guest,
    /// or not at all.
    ///
    /// # Errors
    /// When something does not do that concerns all, and then nothing is listening.
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

    /// Waits until every guest that is to be compiled, opened or upgraded serves, or has been refused.
    pub async fn settled(&self) {
        self.state.seating.settled().await;
    }

    /// What is wrong with single tenants, by their names.
    pub fn troubles(&self) -> Vec<(String, Trouble)> {
        self.state.troubles()
    }

    /// Where it listens for clients, in the order of the file.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.state.proxy.local_addresses()
    }

    /// Where the admin listener is, if there is one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|admin| admin.address)
    }

    /// The proxy.
    pub fn proxy(&self) -> &Proxy {
        &self.state.proxy
    }

    /// Reads the configuration again, and takes over what has changed. No connection is cut off. Certificates, names, upstreams and
    /// bounds of every tenant are exchanged at once; then it waits for guests that are to be compiled, opened or upgraded, each on
    /// its own, and another reload or action may come meanwhile. What is wrong with one tenant is that tenant's, which stays as it
    /// was: [`Reloaded::troubles`] tells. A guest that was refused is tried again, even if nothing has changed.
    ///
    /// # Errors
    /// Everything that is wrong, if something is that concerns all; nothing has changed then.
    pub async fn reload(&self) -> Result<Reloaded, Problems> {
        self.state.reload().await
    }

    /// Serves until `life` says that it is over: reloads on SIGHUP and when files change. Then accepts no more, waits for
    /// connections to end until the drain time is over, and ends the caches. Says how many connections were cut off.
    pub async fn run(self, life: &mut Life) -> usize {
        let settled = self.state.files_settled().await;
        let _alive = life.watchdog();
        life.take_up();
        let mut ticks = tokio::time::interval(Duration::from_secs(history::EVERY_S));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        life.ready(&self).await;
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

    /// Reloads, and does not wait for guests. False if the process is told to end meanwhile: there may be many files to read.
    async fn reload_unless_told(&self, reason: Reason, life: &mut Life, ticks: &mut Interval) -> bool {
        life.reloading().await;
        let state = Arc::clone(&self.state);
        // It has been logged, and the admin page shows it. The guests go on by themselves.
        let mut reload = tokio::spawn(async move { drop(state.begin_reload(reason).await) });
        let mut is_due_again = false;
        loop {
            tokio::select! {
                reloaded = &mut reload => {
                    if let Err(error) = reloaded {
                        tracing::error!("a reload has panicked, which is a fault of the server: {error}");
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
        life.ready(self).await;
        if is_due_again {
            life.reload_next();
        }
        true
    }

    /// Accepts no more, waits for connections to end until the drain time is over, and ends the caches. Says how many
    /// connections were cut off. Until then `/readyz` says that it is draining.
    pub async fn shutdown(&self) -> usize {
        self.state.is_draining.store(true, Ordering::Release);
        let delay = self.state.drain_delay();
        if !delay.is_zero() {
            tracing::info!(delay_s = delay.as_secs(), "not ready any more, and still accepting");
            tokio::time::sleep(delay).await;
        }
        tracing::info!(connections = self.state.proxy.totals().connections, "draining");
        let cut_off = self.state.proxy.shutdown().await;
        tracing::info!(cut_off, "ended");
        cut_off
    }

    /// Reads every counter for the sparklines, and tries guests again that did not open, as happens every five seconds while it
    /// runs.
    pub fn tick(&self) {
        self.state.tick();
    }
}

/// The bounds on connections, lowered to what file descriptors there are: a proxy that runs out of them accepts nobody and fails
/// those whom it has accepted.
fn limits_of(settings: &Settings) -> ProxyLimits {
    let wanted = settings.limits.connections;
    let connections = connections_max(wanted);
    if connections < wanted {
        tracing::warn!(
            connections,
            "too few file descriptors for `connections.max = {wanted}`: fewer are accepted at a time"
        );
    }
    ProxyLimits { connections, ..settings.limits.clone() }
}

/// Tells once the guests of the start serve. Ends when it is dropped.
fn tell_guests(state: Arc<State>) -> JoinSet<()> {
    let mut told = JoinSet::new();
    told.spawn(async move {
        state.seating.settled().await;
        tracing::info!(tenants = state.infos().len(), in_trouble = state.troubles().len(), "guests are ready");
    });
    told
}

fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(4)
}
