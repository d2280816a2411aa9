//! The run queue of an owner thread: caches with work, served by the time that each has taken, and the times at which
//! others are due.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Weak},
    time::Duration,
};

use crate::{
    cache::lane::Lane,
    clock::Clock,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

/// The wish of a cache after its turn.
pub(crate) enum Wish {
    /// Another turn, after the other caches of the thread.
    Turn,
    /// A turn when something is posted, and at `due_ms` on the cache's clock at the latest.
    TurnAt { due_ms: u64 },
    /// Nothing any more.
    Nothing,
}

/// A cache of any kind of session, as its owner thread sees it.
pub(crate) trait Work: Send + Sync {
    /// Does one unit of work. Owner thread only.
    fn turn(self: Arc<Self>) -> Wish;
    /// Notes that a turn has taken `turn_ns` on a core. Owner thread only.
    fn pay(&self, turn_ns: u64);
    /// Ends the cache without asking the guest.
    fn close(&self);
    /// The cache's place among the run queues.
    fn schedule(&self) -> &Schedule;
}

/// The longest wait of an owner thread before it looks at its clock.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The polling window of an owner thread that has just had work: so often in a row it looks for more by itself, after
/// so long a wait. A post meanwhile need not wake it; to wake a thread costs the poster more than all the rest: a
/// system call, in the middle of a handshake.
const POLL: Duration = Duration::from_millis(1);
/// No time passes in an explored schedule, so no thread polls there.
const POLLS: u32 = if cfg!(shuttle) { 0 } else { 10 };

/// The time that a cache may take beyond its balance in one round, in nanoseconds: about as much as an `update`.
const QUANTUM_NS: i64 = 2_000;

/// One owner thread's run queue, and the times at which caches without work are due.
///
/// It is served by deficit round robin: a turn costs its time on a core, a quantum at least, and a cache that is in
/// debt is passed over until others have had as much. So one cache's long turn delays another by that turn, and its
/// next one comes when it is due.
pub(crate) struct RunQueue {
    clock: Clock,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Arc<dyn Work>>,
    /// Caches by address, each with the time it is due, if any. The owner thread's; ends with the cache.
    known: HashMap<usize, (Arc<dyn Work>, Option<u64>)>,
    due: BTreeSet<(u64, usize)>,
    /// The number of polls that the thread still makes before it sleeps.
    polls: u32,
    /// The thread waits, and looks for work by itself in a moment.
    is_polling: bool,
    is_stopped: bool,
}

impl State {
    /// Takes the first cache of the queue that is not in debt, once each has been given as many quanta as that takes.
    /// O(n).
    fn pop(&mut self) -> Option<Arc<dyn Work>> {
        let mut nearest = i64::MIN;
        for _ in 0..self.queue.len() {
            let work = self.queue.pop_front()?;
            let balance = work.schedule().earn(QUANTUM_NS);
            if balance > 0 {
                return Some(work);
            }
            nearest = nearest.max(balance);
            self.queue.push_back(work);
        }
        let rounds = nearest.checked_neg()? / QUANTUM_NS + 1;
        let quanta_ns = rounds.saturating_mul(QUANTUM_NS);
        let balances = self.queue.iter().map(|work| work.schedule().earn(quanta_ns));
        let richest = balances.enumerate().max_by_key(|(place, balance)| (*balance, std::cmp::Reverse(*place)));
        self.queue.remove(richest?.0)
    }

    fn forget(&mut self, number: usize) {
        if let Some((_, Some(at))) = self.known.remove(&number) {
            self.due.remove(&(at, number));
        }
    }

    /// Queues the caches that are due.
    fn queue_due(&mut self, now_ms: u64) {
        while let Some((at, number)) = self.due.first().copied().filter(|(at, _)| *at <= now_ms) {
            self.due.remove(&(at, number));
            if let Some((work, due)) = self.known.get_mut(&number) {
                *due = None;
                let work = Arc::clone(work);
                if work.schedule().mark_queued() {
                    self.queue.push_back(work);
                }
            }
        }
    }
}

impl RunQueue {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default(), wake: Condvar::default() }
    }

    /// Queues a cache with work that nobody waits for: the thread comes to it in a moment, and is woken if it sleeps.
    fn push(&self, work: Arc<dyn Work>) {
        let mut state = self.state.lock();
        // Once stopped, the thread closes every cache it knows, and nothing needs to be queued.
        if state.is_stopped {
            return;
        }
        state.queue.push_back(work);
        let is_polling = state.is_polling;
        drop(state);
        if !is_polling {
            self.wake.notify_all();
        }
    }

    /// Takes a queued cache over from the other lane. For a thread that holds no lock of the cache.
    fn take_over(&self, work: Arc<dyn Work>) {
        let mut state = self.state.lock();
        if state.is_stopped {
            drop(state);
            // Neither queue knows it any more.
            work.close();
            return;
        }
        state.queue.push_back(work);
        drop(state);
        self.wake.notify_all();
    }

    /// Wakes the thread for what is queued, even inside its polling window: somebody waits for it.
    fn hurry(&self) {
        let is_polling = std::mem::take(&mut self.state.lock().is_polling);
        if is_polling {
            self.wake.notify_all();
        }
    }

    /// Ends the thread of this queue after its running turn.
    pub(crate) fn stop(&self) {
        self.state.lock().is_stopped = true;
        self.wake.notify_all();
    }

    /// Waits for a cache with work, and says whether it has waited. None once the queue has been stopped. Its thread
    /// only.
    pub(crate) fn next(&self) -> Option<(Arc<dyn Work>, bool)> {
        let (mut state, mut has_waited) = (self.state.lock(), false);
        loop {
            if state.is_stopped {
                return None;
            }
            state.queue_due(self.clock.now_ms());
            if let Some(work) = state.pop() {
                state.polls = POLLS;
                if self.is_of(&work) {
                    return Some((work, has_waited));
                }
                // It has changed lanes since it was queued.
                drop(state);
                work.schedule().queue().take_over(Arc::clone(&work));
                state = self.state.lock();
                continue;
            }
            let wait = state.due.first().map_or(Duration::MAX, |(at, _)| self.clock.wait_for(*at));
            state.is_polling = state.polls > 0;
            state.polls = state.polls.saturating_sub(1);
            let wait = wait.min(if state.is_polling { POLL } else { WAIT_MAX });
            has_waited = true;
            state = self.wake.wait_for(state, wait);
            state.is_polling = false;
        }
    }

    fn is_of(&self, work: &Arc<dyn Work>) -> bool {
        std::ptr::eq(Arc::as_ptr(work.schedule().queue()), self)
    }

    /// Notes a cache's wish after a turn that has taken `turn_ns`. The queue's thread only.
    pub(crate) fn note(&self, work: Arc<dyn Work>, turn_ns: u64, wish: &Wish) {
        work.schedule().pay(self.clock.now_ms(), turn_ns);
        let number = Arc::as_ptr(&work).cast::<()>() as usize;
        let mut state = self.state.lock();
        if !self.is_of(&work) {
            state.forget(number);
            drop(state);
            // Another thread's from now on: that learns the cache's wish in a turn of its own.
            if !matches!(wish, Wish::Nothing) && work.schedule().mark_queued() {
                work.schedule().queue().take_over(Arc::clone(&work));
            }
            return;
        }
        // Nothing to note of a cache that has one turn after another.
        if matches!(wish, Wish::Turn) && matches!(state.known.get(&number), Some((_, None))) {
            if work.schedule().mark_queued() {
                state.queue.push_back(work);
            }
            return;
        }
        state.forget(number);
        match *wish {
            Wish::Nothing => {}
            Wish::Turn => {
                if work.schedule().mark_queued() {
                    state.queue.push_back(Arc::clone(&work));
                }
                state.known.insert(number, (work, None));
            }
            Wish::TurnAt { due_ms } => {
                state.due.insert((due_ms, number));
                state.known.insert(number, (work, Some(due_ms)));
            }
        }
    }

    /// Gives up every cache that is known or queued here. Once the queue has been stopped.
    pub(crate) fn drain(&self) -> Vec<Arc<dyn Work>> {
        let mut state = self.state.lock();
        let known = std::mem::take(&mut state.known).into_values().map(|(work, _)| work);
        known.chain(std::mem::take(&mut state.queue)).collect()
    }
}

/// A cache's place among the run queues: the two that may serve it, the one that does, and its balance there.
pub(crate) struct Schedule {
    /// The cache with its owner's side. None once that is gone.
    work: Weak<dyn Work>,
    short: Arc<RunQueue>,
    long: Arc<RunQueue>,
    lane: Mutex<Lane>,
    /// Mirrors the lane's.
    is_long: AtomicBool,
    /// A run queue has the cache, or its owner thread is about to give it a turn.
    is_queued: AtomicBool,
    /// The time that it may take before others have their turn. Its owner thread's.
    balance_ns: AtomicI64,
}

impl Schedule {
    pub(crate) fn new(work: Weak<dyn Work>, [short, long]: [Arc<RunQueue>; 2]) -> Self {
        let (lane, is_long) = (Mutex::new(Lane::new()), AtomicBool::new(true));
        Self { work, short, long, lane, is_long, is_queued: AtomicBool::new(false), balance_ns: AtomicI64::new(0) }
    }

    fn queue(&self) -> &Arc<RunQueue> {
        if self.is_long.load(Ordering::Acquire) { &self.long } else { &self.short }
    }

    /// Queues the cache, unless it is queued. Its owner thread comes to it in a moment.
    pub(crate) fn soon(&self) {
        // In this order: once it is marked, nobody else queues the cache, so whoever marks it has to keep it.
        if let Some(work) = self.work.upgrade()
            && self.mark_queued()
        {
            self.queue().push(work);
        }
    }

    /// Like [`Schedule::soon`], and wakes the thread: somebody waits.
    pub(crate) fn at_once(&self) {
        self.soon();
        self.hurry();
    }

    /// Wakes the owner thread for a cache that is queued.
    pub(crate) fn hurry(&self) {
        self.queue().hurry();
    }

    /// Marks the cache as queued. False if it was.
    fn mark_queued(&self) -> bool {
        !self.is_queued.swap(true, Ordering::AcqRel)
    }

    /// Notes that a turn begins: a post from now on queues the cache again.
    pub(crate) fn begin_turn(&self) {
        self.is_queued.store(false, Ordering::Release);
    }

    /// Serves the cache among the long turns from its next turn on. Says whether it was there already.
    pub(crate) fn leave(&self) -> bool {
        let was_long = self.is_long.swap(true, Ordering::AcqRel);
        if !was_long {
            self.lane.lock().leave();
        }
        was_long
    }

    /// The cache's balance in nanoseconds. One in debt is first given `quanta_ns`.
    fn earn(&self, quanta_ns: i64) -> i64 {
        let left = self.balance_ns.load(Ordering::Relaxed);
        if left > 0 {
            return left;
        }
        self.balance_ns.store(left.saturating_add(quanta_ns), Ordering::Relaxed);
        left.saturating_add(quanta_ns)
    }

    /// Pays for a turn, at least a quantum. The next one may be in the other lane.
    fn pay(&self, now_ms: u64, turn_ns: u64) {
        let cost_ns = i64::try_from(turn_ns).unwrap_or(i64::MAX).max(QUANTUM_NS);
        let left_ns = self.balance_ns.load(Ordering::Relaxed).saturating_sub(cost_ns);
        self.balance_ns.store(left_ns, Ordering::Relaxed);
        let is_long = self.lane.lock().note(now_ms, turn_ns);
        self.is_long.store(is_long, Ordering::Release);
    }
}

#[cfg(all(test, loom))]
mod models {
    use std::sync::atomic::{AtomicUsize, Ordering as StdOrdering};

    use loom::thread;

    use super::*;

    /// A cache whose messages are a number.
    struct Counted {
        posted: Mutex<usize>,
        done: AtomicUsize,
        schedule: Schedule,
    }

    impl Work for Counted {
        fn turn(self: Arc<Self>) -> Wish {
            self.schedule.begin_turn();
            let posted = std::mem::take(&mut *self.posted.lock());
            self.done.fetch_add(posted, StdOrdering::Relaxed);
            Wish::Nothing
        }

        fn pay(&self, _: u64) {}

        fn close(&self) {}

        fn schedule(&self) -> &Schedule {
            &self.schedule
        }
    }

    /// A post is done by the turn that it races with, or by one that is queued.
    #[test]
    fn no_post_is_forgotten_however_it_meets_a_turn() {
        loom::model(|| {
            let queue = || Arc::new(RunQueue::new(Clock::manual()));
            let (short, long) = (queue(), queue());
            let cache = Arc::new_cyclic(|work: &Weak<Counted>| Counted {
                posted: Mutex::new(1),
                done: AtomicUsize::new(0),
                schedule: Schedule::new(Weak::clone(work) as _, [short, Arc::clone(&long)]),
            });
            cache.schedule.soon();
            let poster = {
                let cache = Arc::clone(&cache);
                thread::spawn(move || {
                    *cache.posted.lock() += 1;
                    cache.schedule.soon();
                })
            };
            let (work, _) = long.next().expect("the cache is queued");
            work.turn();
            poster.join().expect("the poster ends");
            if *cache.posted.lock() > 0 {
                let (work, has_waited) = long.next().expect("the queue serves");
                assert!(!has_waited, "the post is queued");
                work.turn();
            }
            assert_eq!(cache.done.load(StdOrdering::Relaxed), 2);
        });
    }
}
