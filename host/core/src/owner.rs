//! The owner of a cache: the handle that alone may update and delete, and the thread behind it.
//!
//! A few owner threads serve all caches. A cache has its turn on one of them at a time (`lane` says on which), and shares it with
//! the others there by the time that each takes (`line`): one turn is one unit of work. That is one call into a guest, for each of
//! its instances where a cache has several, or a part of a replay.

use std::{sync::Arc, time::Duration};

use crate::{
    Budget, CacheStats, Clock, Guest, InitArgs, LimitError, Limits, Mailbox, Name, OpenError, Overflow, Property,
    Reader, Refusal, Role, UpgradeError, UpgradeReport, Value, Vault, VaultBounds,
    breaker::Breaker,
    cache::{Cache, Instance, sleep},
    fingerprint::Fingerprints,
    keeper::{Keeper, since_ms},
    lane::Lines,
    line::Line,
    mailbox::{Message, Messages},
    stats::ReadCounts,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
        receive_within,
        thread::{self, JoinHandle},
    },
};

pub(crate) use crate::turn::OwnerSide;

/// What a cache is opened with.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// The tenant, for logs.
    pub tenant: String,
    /// Which end of the connections the cache serves.
    pub role: Role,
    /// The bounds.
    pub limits: Limits,
    /// What goes when the vault is full and the guest has not chosen.
    pub overflow: Overflow,
    /// The operator's settings for the guest.
    pub properties: Vec<Property>,
    /// How many instances serve readers, from 1 to [`CacheConfig::READERS_MAX`].
    pub readers: usize,
    /// How long the guest may be asked nothing before its instances are given up, if they ever are. The next use builds them
    /// anew by replay.
    pub idle: Option<Duration>,
    /// The tenant's fuel budget, where it has another cache that shares it; otherwise the cache has its own, as its limits
    /// say.
    pub budget: Option<Budget>,
}

impl CacheConfig {
    /// The most instances a cache can have.
    pub const READERS_MAX: usize = 64;

    /// A cache with one instance that is never given up, evicting the oldest session when full, and no properties.
    pub fn new(tenant: impl Into<String>, role: Role, limits: Limits) -> Self {
        let (overflow, properties) = (Overflow::default(), Vec::new());
        Self { tenant: tenant.into(), role, limits, overflow, properties, readers: 1, idle: None, budget: None }
    }

    fn check(&self) -> Result<(), LimitError> {
        let (value, most) = (self.readers as u64, Self::READERS_MAX as u64);
        if value < 1 || value > most {
            return Err(LimitError { name: "readers", value, least: 1, most });
        }
        self.limits.check()
    }
}

/// The owner threads of a process, and the clock of their caches. Dropping it ends every cache and joins the threads.
pub struct Owners {
    clock: Clock,
    /// Pairs: for short turns, and for long ones.
    lines: Vec<[Arc<Line>; 2]>,
    threads: Vec<JoinHandle<()>>,
    opened: AtomicUsize,
}

impl Owners {
    /// The stack of an owner thread, in bytes: what a guest of either size class may use, and room for the host.
    pub const STACK_BYTES: usize = 4 << 20;

    /// Starts `threads` pairs of owner threads, at least one: one of a pair for most caches, and one for those whose turns take long,
    /// since their guest is new or has lately held a thread for more than 2 ms.
    pub fn new(threads: usize, clock: Clock) -> Self {
        let line = || Arc::new(Line::new(clock.clone()));
        let lines: Vec<[Arc<Line>; 2]> = (0..threads.max(1)).map(|_| [line(), line()]).collect();
        let start = |(name, line): (String, &Arc<Line>)| {
            let line = Arc::clone(line);
            start_thread(name, move || line.serve()).expect("the system has threads to spare at start")
        };
        let names =
            (0..lines.len()).flat_map(|number| ["owner", "long"].map(|kind| format!("innkeeper-{kind}-{number}")));
        let threads = names.zip(lines.iter().flatten()).map(start).collect();
        Self { clock, lines, threads, opened: AtomicUsize::new(0) }
    }

    /// As many owner threads as cores, at most four, on the system's clock.
    pub fn with_defaults() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::new(cores.min(4), Clock::system())
    }

    /// Opens a cache: OTP's `init/1`, run on a thread of its own, so that no other cache waits for it. Blocks until the guest has
    /// answered, or its grant for `init` is used up.
    ///
    /// # Errors
    /// When a limit is out of range, or the guest does not start.
    pub fn open<V: Value>(
        &self,
        config: CacheConfig,
        guest: Arc<dyn Guest>,
    ) -> Result<(Owner<V>, Reader<V>), OpenError> {
        config.check()?;
        let [short, long] = &self.lines[self.opened.fetch_add(1, Ordering::Relaxed) % self.lines.len()];
        let lines = Lines::new(Arc::clone(short), Arc::clone(long));
        let cache = Arc::new(new_cache(config, guest, &self.clock, lines)?);
        let own = Arc::clone(&cache);
        let opening = start_thread("innkeeper-open".to_owned(), move || own.open());
        let opened = opening.map_err(|error| OpenError::NoThread(error.to_string()))?.join();
        opened.unwrap_or(Err(crate::Fault::Panic)).map_err(OpenError::Guest)?;
        // From here on its owner thread knows it.
        cache.hurry();
        Ok((Owner { cache: Arc::clone(&cache) }, Reader::new(cache)))
    }

    /// The clock of every cache here.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }
}

impl Drop for Owners {
    fn drop(&mut self) {
        self.lines.iter().flatten().for_each(|line| line.stop());
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing left to hand over.
            let _ = thread.join();
        }
    }
}

/// Starts a thread that may call a guest of either size class.
fn start_thread<T: Send + 'static>(
    name: String,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    thread::Builder::new().name(name).stack_size(Owners::STACK_BYTES).spawn(work)
}

fn new_cache<V: Value>(
    config: CacheConfig,
    guest: Arc<dyn Guest>,
    clock: &Clock,
    lines: Lines,
) -> Result<Cache<V>, OpenError> {
    let CacheConfig { tenant, role, limits, overflow, properties, readers, idle, budget } = config;
    let idle_ms = idle.map(|idle| u64::try_from(idle.as_millis()).unwrap_or(u64::MAX).max(1));
    let budget = budget.unwrap_or_else(|| Budget::new(&limits));
    let lifetime_ms = u64::try_from(limits.lifetime.as_millis()).unwrap_or(u64::MAX);
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|_| OpenError::NoRandom)?;
    let bounds = VaultBounds {
        sessions: limits.sessions,
        session_bytes: limits.session_bytes,
        bytes: limits.vault_bytes,
        lifetime_ms,
        overflow,
    };
    let init_args = InitArgs { role, sessions_max: limits.sessions, lifetime_ms, properties };
    Ok(Cache {
        fingerprints: Fingerprints::random()?,
        guest: Mutex::new(guest),
        init_args,
        instances: (0..readers).map(|_| Instance::empty()).collect(),
        breaker: Mutex::new(Breaker::default()),
        is_suspended: AtomicBool::new(false),
        is_held: AtomicBool::new(false),
        is_rolled_back: AtomicBool::new(false),
        idle_ms,
        sleep: sleep::AWAKE.into(),
        reads: (0..readers).map(|_| ReadCounts::default()).collect(),
        echoes: Mutex::default(),
        echo_at_ms: 0.into(),
        folds: 0.into(),
        messages: Mutex::new(Messages::new(limits.mailbox)),
        on_their_way: 0.into(),
        arrival: Condvar::default(),
        owner_side: Mutex::new(OwnerSide::new(clock.now_ms(), lifetime_ms, idle_ms)),
        lines,
        upgrade_ns: 0.into(),
        is_queued: AtomicBool::new(false),
        is_closing: AtomicBool::new(false),
        is_ended: AtomicBool::new(false),
        keeper: Arc::new(Keeper::new(
            (tenant, role),
            Vault::new(bounds),
            (clock.clone(), since_ms(random)),
            limits,
            budget,
            readers,
        )),
    })
}

/// The one handle that may update and delete and wait for it. Not cloneable. Dropping it ends the cache: readers then
/// find nothing, and the memory is given back.
pub struct Owner<V: Value> {
    pub(crate) cache: Arc<Cache<V>>,
}

impl<V: Value> Owner<V> {
    /// Registers a session: OTP's `update/3`. Blocks until the owner thread has done it; every thread then sees it.
    ///
    /// # Errors
    /// When the vault does not take the session. A guest that fails does not make this fail: the vault keeps the session.
    pub fn update(&mut self, name: Name<'_>, value: V) -> Result<(), Refusal> {
        let key = self.cache.fingerprints.key(name);
        let terms = self.cache.keeper.vault().terms();
        let message = |reply| Message::Update { key, name: name.into(), value, terms, reply: Some(reply) };
        self.ask(message).unwrap_or(Err(Refusal::Ended))
    }

    /// Forgets the session under a name: OTP's `delete/2`. Blocks until done. Says whether there was one.
    pub fn delete(&mut self, name: Name<'_>) -> bool {
        self.ask(|reply| Message::Delete { name: name.into(), reply: Some(reply) }).unwrap_or(false)
    }

    /// Takes out every session past its life. Blocks until done. The owner thread does the same bit by bit.
    pub fn sweep(&mut self) {
        self.ask(|reply| Message::Sweep { reply }).unwrap_or(());
    }

    /// Puts another guest in the place of the running one, and keeps every session.
    ///
    /// The new guest is opened, and every session replayed into it, while the old one serves. A canary then asks it for a
    /// sample of the sessions, and calls each other callback once. Only then are the instances exchanged: a reader waits
    /// for at most one call. Whatever fails leaves the old guest as it was. For an hour after the exchange the new guest
    /// is on probation: if its faults suspend it, the old guest comes back.
    ///
    /// Blocks until the exchange has been made; the old instances are terminated afterwards. Costs one `update` for each
    /// session and instance, in turns.
    ///
    /// # Errors
    /// What was wrong with the new guest.
    pub fn upgrade(&mut self, guest: Arc<dyn Guest>) -> Result<UpgradeReport, UpgradeError> {
        self.ask(|reply| Message::Upgrade { guest, reply }).unwrap_or(Err(UpgradeError::Ended))
    }

    /// Undoes the last upgrade, if that was within the hour: the guest before it takes its place again, in instances that are
    /// built anew by replay. Says whether there was one. Blocks until it has been noted, not for the replay; reads are misses
    /// until an instance runs.
    pub fn undo_upgrade(&mut self) -> bool {
        self.ask(|reply| Message::UndoUpgrade { reply }).unwrap_or(false)
    }

    /// Blocks until everything posted before has been done.
    pub fn settle(&mut self) {
        self.ask(|reply| Message::Fence { reply }).unwrap_or(());
    }

    /// The cache's counters.
    pub fn stats(&self) -> CacheStats {
        self.cache.stats()
    }

    /// A mailbox for other threads.
    pub fn mailbox(&self) -> Mailbox<V> {
        Mailbox::new(Arc::clone(&self.cache))
    }

    /// Ends the cache: OTP's `terminate/1`. Blocks until the guest has been told, for at most its grant, and every
    /// session has been wiped.
    pub fn terminate(self) {
        let (reply, answer) = sync_channel(1);
        {
            let mut side = self.cache.owner_side.lock();
            if self.cache.is_ended.load(Ordering::Acquire) {
                return;
            }
            side.on_end(reply);
        }
        self.close();
        // An error means that the thread has ended, and with it the cache.
        let _ = answer.recv();
    }

    pub(crate) fn ask<T>(&self, message: impl FnOnce(SyncSender<T>) -> Message<V>) -> Option<T> {
        let (reply, answer): (_, Receiver<T>) = sync_channel(1);
        self.cache.post_from_owner(message(reply));
        answer.recv().ok()
    }

    /// Like [`Owner::ask`], and gives up after so long. What was asked may still be done.
    pub(crate) fn ask_within<T>(
        &self,
        within: Duration,
        message: impl FnOnce(SyncSender<T>) -> Message<V>,
    ) -> Option<T> {
        let (reply, answer): (_, Receiver<T>) = sync_channel(1);
        self.cache.post_from_owner(message(reply));
        receive_within(&answer, within)
    }

    fn close(&self) {
        self.cache.is_closing.store(true, Ordering::Release);
        self.cache.hurry();
    }
}

impl<V: Value> Drop for Owner<V> {
    fn drop(&mut self) {
        self.close();
    }
}
