//! The seats of a cache: a place for each instance, with its counters.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::{
    cache::stats::{ReadCounts, lookup_times},
    contract::callback::Callback,
    guest::{instance::Live, meter::CallCounts},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// The longest lookup that is told apart: 10 s. Bounds the histogram to some KiB.
const LOOKUP_NS_MAX: u64 = 10_000_000_000;

/// A place for one instance. Two share no cache line, since readers on different threads have one each; processors
/// fetch lines of 64 bytes in pairs.
#[repr(align(128))]
pub(crate) struct Seat {
    live: Mutex<Option<Live>>,
    /// Mirrors that `live` is none, for those without the lock. Written by those who hold it.
    is_down: AtomicBool,
    /// The instance's memory as last seen. Written by those who hold the lock.
    memory_bytes: AtomicU64,
    /// Written by those who hold the lock.
    pub(crate) counts: CallCounts,
    /// Its own lock, held for an instant, so that a reading of counters never waits for a guest.
    lookup_ns: Mutex<Histogram<u32>>,
    /// The reads of the threads that come here first. On cache lines of its own.
    pub(crate) reads: ReadCounts,
}

/// A seat that is locked: nobody else calls its instance.
pub(crate) type Locked<'a> = MutexGuard<'a, Option<Live>>;

impl Seat {
    /// A seat without an instance.
    pub(crate) fn empty() -> Self {
        Self {
            live: Mutex::default(),
            is_down: AtomicBool::new(true),
            memory_bytes: AtomicU64::new(0),
            counts: CallCounts::default(),
            lookup_ns: Mutex::new(lookup_times()),
            reads: ReadCounts::default(),
        }
    }

    #[inline(always)]
    pub(crate) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Acquire)
    }

    pub(crate) fn lock(&self) -> Locked<'_> {
        self.live.lock()
    }

    pub(crate) fn try_lock(&self) -> Option<Locked<'_>> {
        self.live.try_lock()
    }

    pub(crate) fn lock_within(&self, deadline: Duration) -> Option<Locked<'_>> {
        self.live.lock_within(deadline)
    }

    /// Seats an instance. Waits for at most the running call. The caller ends the one before it, if any.
    pub(crate) fn put(&self, live: Live) -> Option<Live> {
        let mut seat = self.live.lock();
        self.see_memory(&live);
        self.is_down.store(false, Ordering::Release);
        seat.replace(live)
    }

    /// Notes the memory of this seat's instance, whose caller holds the lock.
    #[inline(always)]
    pub(crate) fn see_memory(&self, live: &Live) {
        self.memory_bytes.store(live.memory_bytes().map_or(0, |bytes| bytes as u64), Ordering::Relaxed);
    }

    /// Empties this seat, which the caller has locked.
    pub(crate) fn vacate(&self, locked: &mut Option<Live>) -> Option<Live> {
        self.is_down.store(true, Ordering::Release);
        self.memory_bytes.store(0, Ordering::Relaxed);
        locked.take()
    }

    /// Empties this seat. The instance is dropped after the lock.
    pub(crate) fn remove(&self) -> Option<Live> {
        self.vacate(&mut self.live.lock())
    }

    /// Notes the time of a lookup. The caller holds the lock.
    pub(crate) fn note_lookup(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).min(LOOKUP_NS_MAX);
        self.counts.time(Callback::Lookup, time);
        self.lookup_ns.lock().record(ns).expect("the histogram grows by itself");
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_bytes.load(Ordering::Relaxed)
    }

    /// Adds the times of this seat's lookups to `sum`.
    pub(crate) fn add_lookup_times(&self, sum: &mut Histogram<u32>) {
        sum.add(&*self.lookup_ns.lock()).expect("the sum grows by itself");
    }
}
