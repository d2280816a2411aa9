//! An owner thread: a run queue of caches with work, served by the time that each has taken, and the times at which others are due.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use crate::{
    Clock,
    sync::{Condvar, Mutex},
    turn::{Turn, Work},
};

/// How long an owner thread waits at most before it looks at its clock.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// How long an owner thread dozes that has just had work, and how often in a row. What is posted meanwhile need not wake it,
/// which costs who posts more than all the rest: a system call, in the middle of a handshake.
const DOZE: Duration = Duration::from_millis(1);
/// No time passes in an explored schedule, so nobody dozes there.
const DOZES: u32 = if cfg!(shuttle) { 0 } else { 10 };

/// What a cache may take more than it has in one round, in nanoseconds: about as much as an `update`.
const QUANTUM_NS: i64 = 2_000;

/// One owner thread's run queue, and the times at which caches are due that have no work by now.
///
/// It is served by deficit round robin: a turn costs what it has taken on a core, a quantum at least, and a cache that is in debt
/// is passed over until others have had as much. So one cache's long turn delays another by that turn, and its next one
/// comes when it is due.
pub(crate) struct Line {
    clock: Clock,
    state: Mutex<LineState>,
    wake: Condvar,
}

#[derive(Default)]
struct LineState {
    queue: VecDeque<Arc<dyn Work>>,
    /// Caches by address, each with the time it is due, if any. The owner thread's; ends with the cache.
    known: HashMap<usize, (Arc<dyn Work>, Option<u64>)>,
    due: BTreeSet<(u64, usize)>,
    /// How often the thread still dozes before it sleeps.
    dozes: u32,
    /// It waits, and looks for work by itself in a moment.
    is_dozing: bool,
    is_stopped: bool,
}

impl LineState {
    /// The first cache of the queue that is not in debt, once each has been given as many quanta as that takes. O(n).
    fn pop(&mut self) -> Option<Arc<dyn Work>> {
        let mut nearest = i64::MIN;
        for _ in 0..self.queue.len() {
            let work = self.queue.pop_front()?;
            let balance = work.earn(QUANTUM_NS);
            if balance > 0 {
                return Some(work);
            }
            nearest = nearest.max(balance);
            self.queue.push_back(work);
        }
        let rounds = nearest.checked_neg()? / QUANTUM_NS + 1;
        let balances = self.queue.iter().map(|work| work.earn(rounds.saturating_mul(QUANTUM_NS)));
        let richest = balances.enumerate().max_by_key(|(place, balance)| (*balance, std::cmp::Reverse(*place)));
        self.queue.remove(richest?.0)
    }

    fn forget(&mut self, number: usize) {
        if let Some((_, Some(at))) = self.known.remove(&number) {
            self.due.remove(&(at, number));
        }
    }
}

impl Line {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default(), wake: Condvar::default() }
    }

    /// Queues a cache with work that nobody waits for: the thread comes to it in a moment, and is woken if it sleeps.
    pub(crate) fn push(&self, work: Arc<dyn Work>) {
        let mut state = self.state.lock();
        // Once stopped, the thread closes every cache it knows, and nothing needs to be queued.
        if state.is_stopped {
            return;
        }
        state.queue.push_back(work);
        let is_dozing = state.is_dozing;
        drop(state);
        if !is_dozing {
            self.wake.notify_all();
        }
    }

    /// Takes a queued cache over from another line. For a thread that holds no lock of the cache.
    fn adopt(&self, work: Arc<dyn Work>) {
        let mut state = self.state.lock();
        if state.is_stopped {
            drop(state);
            // Neither line knows it any more.
            work.close();
            return;
        }
        state.queue.push_back(work);
        drop(state);
        self.wake.notify_all();
    }

    /// Wakes the thread for what is queued, even from a doze: somebody waits for it.
    pub(crate) fn hurry(&self) {
        let is_dozing = std::mem::take(&mut self.state.lock().is_dozing);
        if is_dozing {
            self.wake.notify_all();
        }
    }

    pub(crate) fn stop(&self) {
        self.state.lock().is_stopped = true;
        self.wake.notify_all();
    }

    pub(crate) fn serve(&self) {
        let mut from_ns = self.clock.thread_ns();
        while let Some((work, has_waited)) = self.next() {
            // Nobody pays for what the thread has dozed.
            if has_waited {
                from_ns = self.clock.thread_ns();
            }
            // A panic here is our own bug: it ends this cache, and no other.
            let turn = catch_unwind(AssertUnwindSafe(|| Arc::clone(&work).turn())).unwrap_or_else(|_| {
                work.close();
                Turn::Ended
            });
            // What lies between two turns is little, and nobody's else.
            let to_ns = self.clock.thread_ns();
            work.pay(to_ns.saturating_sub(from_ns), QUANTUM_NS);
            from_ns = to_ns;
            self.note(work, turn);
        }
        let (known, queue) = {
            let mut state = self.state.lock();
            (std::mem::take(&mut state.known), std::mem::take(&mut state.queue))
        };
        known.into_values().for_each(|(work, _)| work.close());
        queue.into_iter().for_each(|work| work.close());
    }

    /// Waits for a cache with work, and says whether it has waited. None once the line has been stopped.
    fn next(&self) -> Option<(Arc<dyn Work>, bool)> {
        let (mut state, mut has_waited) = (self.state.lock(), false);
        loop {
            if state.is_stopped {
                return None;
            }
            let now_ms = self.clock.now_ms();
            while let Some((at, number)) = state.due.first().copied().filter(|(at, _)| *at <= now_ms) {
                state.due.remove(&(at, number));
                if let Some((work, due)) = state.known.get_mut(&number) {
                    *due = None;
                    let work = Arc::clone(work);
                    if work.queue() {
                        state.queue.push_back(work);
                    }
                }
            }
            if let Some(work) = state.pop() {
                state.dozes = DOZES;
                if self.is_line_of(&work) {
                    return Some((work, has_waited));
                }
                // It has been moved since it was queued.
                drop(state);
                work.line().adopt(Arc::clone(&work));
                state = self.state.lock();
                continue;
            }
            let wait = state.due.first().map_or(Duration::MAX, |(at, _)| self.clock.wait_for(*at));
            state.is_dozing = state.dozes > 0;
            state.dozes = state.dozes.saturating_sub(1);
            let wait = wait.min(if state.is_dozing { DOZE } else { WAIT_MAX });
            has_waited = true;
            state = self.wake.wait_for(state, wait);
            state.is_dozing = false;
        }
    }

    fn is_line_of(&self, work: &Arc<dyn Work>) -> bool {
        std::ptr::eq(work.line(), self)
    }

    fn note(&self, work: Arc<dyn Work>, turn: Turn) {
        let number = Arc::as_ptr(&work).cast::<()>() as usize;
        let mut state = self.state.lock();
        if !self.is_line_of(&work) {
            state.forget(number);
            drop(state);
            // Another thread's from now on: it learns in a turn of its own what the cache wants.
            if !matches!(turn, Turn::Ended) && work.queue() {
                work.line().adopt(Arc::clone(&work));
            }
            return;
        }
        // Nothing to note of a cache that has one turn after another.
        if matches!(turn, Turn::Again) && matches!(state.known.get(&number), Some((_, None))) {
            if work.queue() {
                state.queue.push_back(work);
            }
            return;
        }
        state.forget(number);
        match turn {
            Turn::Ended => {}
            Turn::Again => {
                if work.queue() {
                    state.queue.push_back(Arc::clone(&work));
                }
                state.known.insert(number, (work, None));
            }
            Turn::Idle { due_ms } => {
                state.due.insert((due_ms, number));
                state.known.insert(number, (work, Some(due_ms)));
            }
        }
    }
}
