//! A watch on the configuration and the files that it names.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

/// The quiet time before a change is taken over, since files are often written in several steps. [`PATIENCE`] bounds
/// it.
const QUIET: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(2);

/// A watch on files. It watches their folders, so it sees a replaced file too.
pub(crate) struct Watch {
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    files: Arc<Mutex<BTreeSet<PathBuf>>>,
    settled: Arc<Notify>,
    settling: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.settling.abort();
    }
}

impl Watch {
    /// A watch without files. Must be called within a tokio runtime.
    pub(crate) fn new() -> notify::Result<Self> {
        let (changed, settled) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let files = Arc::new(Mutex::new(BTreeSet::new()));
        let (tell, among) = (Arc::clone(&changed), Arc::clone(&files));
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let among = among.lock().unwrap_or_else(PoisonError::into_inner);
            if event.is_ok_and(|event| is_change(&event.kind) && concerns(&event, &among)) {
                tell.notify_one();
            }
        })?;
        let settling = tokio::spawn(settle(changed, Arc::clone(&settled)));
        Ok(Self { watcher, folders: BTreeSet::new(), files, settled, settling })
    }

    /// Watches exactly these files from now on. Returns a line for each folder that cannot be watched.
    pub(crate) fn set(&mut self, files: &BTreeSet<PathBuf>) -> Vec<String> {
        let files: BTreeSet<PathBuf> = files.iter().filter_map(|file| std::path::absolute(file).ok()).collect();
        let folders: BTreeSet<PathBuf> = files.iter().filter_map(|file| file.parent().map(Path::to_owned)).collect();
        // First, so no change is missed once a folder is watched.
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&files);
        for folder in self.folders.difference(&folders) {
            // An error means that the folder is gone, and its watch with it.
            let _ = self.watcher.unwatch(folder);
        }
        let mut unwatched = Vec::new();
        let mut watched = BTreeSet::new();
        for folder in folders {
            // Watched folders too: a folder that was deleted and made again has lost its watch.
            match self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    watched.insert(folder);
                }
                Err(error) => {
                    unwatched.push(format!("cannot watch {}, so changes there need SIGHUP: {error}", folder.display()))
                }
            }
        }
        self.folders = watched;
        unwatched
    }

    /// Watches these files too.
    pub(crate) fn add(&mut self, files: &BTreeSet<PathBuf>) {
        let all = &*self.files.lock().unwrap_or_else(PoisonError::into_inner) | files;
        // The next `set` reports folders that cannot be watched.
        let _ = self.set(&all);
    }

    /// The notification of changed files, once the change seems complete.
    pub(crate) fn settled(&self) -> Arc<Notify> {
        Arc::clone(&self.settled)
    }
}

async fn settle(changed: Arc<Notify>, settled: Arc<Notify>) {
    loop {
        changed.notified().await;
        let at_last = Instant::now() + PATIENCE;
        while timeout_at(at_last.min(Instant::now() + QUIET), changed.notified()).await.is_ok()
            && Instant::now() < at_last
        {}
        settled.notify_one();
    }
}

/// True if an event is a change. Reading a file is none.
fn is_change(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

/// True if an event concerns one of the files, or a link beside them to a folder of files, as in a mounted volume.
fn concerns(event: &Event, files: &BTreeSet<PathBuf>) -> bool {
    let is_link = |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".."));
    event.need_rescan() || event.paths.iter().any(|path| files.contains(path) || is_link(path))
}
