//! The owner threads of a process: started, serving their run queues, and joined.
//!
//! A few owner threads serve all caches. A cache has its turn on one of them at a time (`lane` says on which), and
//! shares it with the others there by the time that each takes (`run_queue`): one turn is one unit of work. That is one
//! call into a guest, for each of its instances where a cache has several, or a part of a replay.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::{
    cache::run_queue::{RunQueue, Wish},
    clock::Clock,
    sync::{
        atomic::{AtomicUsize, Ordering},
        thread::{self, JoinHandle},
    },
};

/// The owner threads of a process, and the clock of their caches. Dropping it ends every cache and joins the threads.
pub struct Owners {
    clock: Clock,
    /// Pairs: for short turns, and for long ones.
    queues: Vec<[Arc<RunQueue>; 2]>,
    threads: Vec<JoinHandle<()>>,
    opened: AtomicUsize,
}

impl Owners {
    /// The stack of an owner thread, in bytes: enough for a guest of either size class, and for the host.
    pub const STACK_BYTES: usize = 4 << 20;

    /// Starts `threads` pairs of owner threads, at least one: one of a pair for most caches, and one for those whose
    /// turns take long, since their guest is new or has lately held a thread for more than 2 ms.
    pub fn new(threads: usize, clock: Clock) -> Self {
        let queue = || Arc::new(RunQueue::new(clock.clone()));
        let queues: Vec<[Arc<RunQueue>; 2]> = (0..threads.max(1)).map(|_| [queue(), queue()]).collect();
        let start = |(name, queue): (String, &Arc<RunQueue>)| {
            let (queue, clock) = (Arc::clone(queue), clock.clone());
            start_thread(name, move || serve(&queue, &clock)).expect("the system has threads to spare at start")
        };
        let names =
            (0..queues.len()).flat_map(|number| ["owner", "long"].map(|kind| format!("innkeeper-{kind}-{number}")));
        let threads = names.zip(queues.iter().flatten()).map(start).collect();
        Self { clock, queues, threads, opened: AtomicUsize::new(0) }
    }

    /// As many owner threads as cores, at most four, on the system's clock.
    pub fn with_defaults() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::new(cores.min(4), Clock::system())
    }

    /// The clock of every cache here.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The run queues of the next cache: the caches go round.
    pub(crate) fn next_queues(&self) -> [Arc<RunQueue>; 2] {
        self.queues[self.opened.fetch_add(1, Ordering::Relaxed) % self.queues.len()].clone()
    }
}

impl Drop for Owners {
    fn drop(&mut self) {
        self.queues.iter().flatten().for_each(|queue| queue.stop());
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing left to hand over.
            let _ = thread.join();
        }
    }
}

/// Starts a thread that may call a guest of either size class.
pub(crate) fn start_thread<T: Send + 'static>(
    name: String,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    thread::Builder::new().name(name).stack_size(Owners::STACK_BYTES).spawn(work)
}

/// Gives the caches of a run queue their turns until it is stopped, and then closes them.
fn serve(queue: &RunQueue, clock: &Clock) {
    let mut from_ns = clock.thread_ns();
    while let Some((work, has_waited)) = queue.next() {
        // Nobody pays for the time that the thread has waited.
        if has_waited {
            from_ns = clock.thread_ns();
        }
        // A panic here is our own bug: it ends this cache, and no other.
        let wish = catch_unwind(AssertUnwindSafe(|| Arc::clone(&work).turn())).unwrap_or_else(|_| {
            work.close();
            Wish::Nothing
        });
        // The time between two turns is little, and nobody else's.
        let to_ns = clock.thread_ns();
        let turn_ns = to_ns.saturating_sub(from_ns);
        work.pay(turn_ns);
        from_ns = to_ns;
        queue.note(work, turn_ns, &wish);
    }
    queue.drain().into_iter().for_each(|work| work.close());
}
