//! The connections of the admin listener: their admission, and their displacement by newcomers.
//!
//! The listener has [`PLACES`] places. Once all are taken, a newcomer displaces the connection that has kept the
//! listener waiting longest, or else one that reads a page. Only a connection whose action is in progress keeps its
//! place.
//!
//! When the process is out of file descriptors, the listener accepts with a spare one: see [`Spares`].

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use innkeeper_proxy::AcceptErrors;
use rustix::io::Errno;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::sleep,
};

use super::{
    spares::Spares,
    visit::{Visit, serve},
};

/// Connections at a time.
pub(crate) const PLACES: usize = 64;
/// The time before a failed accept is tried again.
const AGAIN: Duration = Duration::from_millis(50);
/// The time a connection keeps its place when the process is out of descriptors: the last spare one may have been for
/// it.
const UNHURRIED: Duration = Duration::from_secs(1);

/// The admin listener.
pub(super) struct Listener {
    listener: TcpListener,
    router: Router,
    spares: Arc<Spares>,
    errors: AcceptErrors,
    places: Vec<(Arc<Visit>, AbortHandle)>,
    /// Every connection, including displaced ones that are about to end.
    tasks: JoinSet<()>,
}

impl Listener {
    pub(super) fn new(listener: TcpListener, router: Router) -> io::Result<Self> {
        let (errors, places, tasks) = (AcceptErrors::default(), Vec::new(), JoinSet::new());
        Ok(Self { listener, router, spares: Arc::new(Spares::new()?), errors, places, tasks })
    }

    /// Accepts and serves until it is dropped, which ends every connection.
    pub(super) async fn run(mut self) {
        loop {
            let stream = self.accept().await;
            self.make_room().await;
            let visit = Arc::new(Visit::new());
            let served = serve(stream, Arc::clone(&self.spares), self.router.clone(), Arc::clone(&visit));
            let task = self.tasks.spawn(served);
            self.places.push((visit, task));
        }
    }

    async fn accept(&mut self) -> TcpStream {
        self.spares.fill();
        loop {
            let error = match self.listener.accept().await {
                Ok((stream, _)) => return stream,
                Err(error) => error,
            };
            self.errors.log("connections of operators", &error);
            if is_out_of_files(&error) && self.spares.give_up_one() {
                // The system checks for a descriptor first, and only then for a waiting connection.
                tokio::select! {
                    biased;
                    accepted = self.listener.accept() => if let Ok((stream, _)) = accepted {
                        return stream;
                    },
                    () = std::future::ready(()) => {}
                }
                self.spares.fill();
                continue;
            }
            if is_out_of_files(&error) {
                // Its descriptor becomes a spare one.
                self.displace_one(UNHURRIED);
            }
            sleep(AGAIN).await;
        }
    }

    async fn make_room(&mut self) {
        loop {
            while self.tasks.try_join_next().is_some() {}
            self.places.retain(|(_, task)| !task.is_finished());
            if self.places.len() < PLACES || self.displace_one(Duration::ZERO) {
                return;
            }
            // Every place belongs to an action.
            self.tasks.join_next().await;
        }
    }

    /// Displaces one connection, of those in their stage for `least`. False if none can be displaced.
    fn displace_one(&mut self, least: Duration) -> bool {
        let ranks = self.places.iter().enumerate();
        let ranks = ranks.filter_map(|(number, (visit, _))| Some((visit.rank(least)?, number)));
        let Some((_, number)) = ranks.min() else { return false };
        self.places.swap_remove(number).1.abort();
        true
    }
}

fn is_out_of_files(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE].iter().any(|own| error.raw_os_error() == Some(own.raw_os_error()))
}
