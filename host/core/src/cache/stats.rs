//! The statistics of a cache: one table, of which counters, readings, API, metrics and page are made.
//!
//! A new statistic is one row of `statistics!`, and the code that counts it.

use std::time::Instant;

use hdrhistogram::Histogram;

use crate::{
    contract::{callback::Callback, error::Miss, fault::FaultKind},
    guest::meter::{CALLBACKS, CallCounts, CallTimes, Counter, start},
    sync::atomic::{AtomicU64, Ordering},
};

/// The state of a cache, as operators see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheState {
    /// Every instance runs.
    Running,
    /// The instances have been given up, since nothing was asked for long. The next use builds them anew.
    Idle,
    /// An instance waits out its backoff, or is being rebuilt.
    Restarting,
    /// The guest has faulted too often, and is tried again after the longest backoff; or the operator has suspended it,
    /// as [`CacheStats::is_suspended_by_operator`] tells.
    Suspended,
    /// The cache has been terminated, or its owner is gone.
    Ended,
    /// No cache has been opened: the tenant has no guest. See [`CacheStats::none`].
    NoGuest,
}

impl CacheState {
    /// All states.
    pub const ALL: [Self; 6] =
        [Self::Running, Self::Idle, Self::Restarting, Self::Suspended, Self::Ended, Self::NoGuest];

    /// The state's name in logs, metrics and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Idle => "idle",
            Self::Restarting => "restarting",
            Self::Suspended => "suspended",
            Self::Ended => "ended",
            Self::NoGuest => "no-guest",
        }
    }
}

/// The counts of one reader's thread, or of a few. Threads that do not share an instance share no cache line here: two
/// of 64 bytes each, since processors fetch them in pairs.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct ReadCounts {
    pub(crate) hits: Counter,
    pub(crate) misses: [Counter; Miss::ALL.len()],
    reads: Counter,
    taking: AtomicU64,
}

/// Says that a session is being taken, until it is dropped.
pub(crate) struct Taking<'a>(&'a ReadCounts);

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        self.0.taking.fetch_sub(1, Ordering::SeqCst);
    }
}

/// One in so many reads that come as far as an instance is shown in the times of lookups.
const SHOWN: u64 = 16;

impl ReadCounts {
    /// Notes that a session is being taken, until the guard is dropped. SeqCst orders it against the owner thread,
    /// which puts the cache to sleep: either the owner sees this, or the reader sees the cache idle.
    pub(crate) fn taking(&self) -> Taking<'_> {
        self.taking.fetch_add(1, Ordering::SeqCst);
        Taking(self)
    }

    /// True while a session is being taken.
    pub(crate) fn is_taking(&self) -> bool {
        self.taking.load(Ordering::SeqCst) > 0
    }

    /// Begins to time a read that the guest will be asked for, if this is one that is timed: the first is. Two threads
    /// that count at the same time may time one read more or less.
    pub(crate) fn start(&self) -> Option<Instant> {
        let reads = self.reads.read();
        self.reads.add_alone(1);
        reads.is_multiple_of(SHOWN).then(start)
    }
}

/// The kind of a statistic's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatisticKind {
    /// It only grows while the cache is open.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// The unit of a statistic's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A count.
    Count,
    /// Bytes.
    Bytes,
    /// Nanoseconds; a metric has seconds.
    Ns,
}

/// The card of the tenant's page that shows a statistic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Card {
    /// Sessions and the owner's work with them.
    Sessions,
    /// Lookups.
    Lookups,
    /// The guest and its instances.
    Guest,
}

/// The manner in which the tenant's page shows a statistic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Always, as a plain fact.
    Fact,
    /// Always, and marked unless it is 0.
    Watched,
    /// Unless it is 0, and marked.
    Trouble,
}

/// One row of the table of statistics.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Statistic {
    /// The name in the API.
    pub name: &'static str,
    /// The meaning, in one sentence.
    pub doc: &'static str,
    /// The kind of number.
    pub kind: StatisticKind,
    /// The unit.
    pub unit: Unit,
    /// The metric, of which several statistics may be parts.
    pub metric: &'static str,
    /// The label and its value that tell the parts of a metric apart.
    pub label: Option<(&'static str, &'static str)>,
    /// The sign of trouble, and its usual cause; empty where the number only informs.
    pub worry: &'static str,
    /// The card of the page.
    pub card: Card,
    /// The title on the page.
    pub title: &'static str,
    /// The manner in which the page shows it.
    pub shown: Shown,
    value: fn(&CacheStats) -> u64,
}

impl Statistic {
    /// The number in one reading.
    pub fn of(&self, stats: &CacheStats) -> u64 {
        (self.value)(stats)
    }
}

/// Makes everything of the table. `counted` statistics have a [`Counter`]; those `read` are taken from elsewhere at a
/// reading.
macro_rules! statistics {
    (
        counted {$(
            $(#[doc = $doc:literal])+
            $field:ident as $name:literal: $kind:ident $unit:ident,
            $metric:literal [$($label:ident = $value:literal)?], $worry:literal, $card:ident $shown:ident $title:literal;
        )+}
        read {$(
            $(#[doc = $read_doc:literal])+
            $read_field:ident as $read_name:literal: $read_kind:ident $read_unit:ident,
            $read_metric:literal [$($read_label:ident = $read_value:literal)?], $read_worry:literal,
            $read_card:ident $read_shown:ident $read_title:literal;
        )+}
    ) => {
        /// The counters of one cache.
        #[derive(Default)]
        pub(crate) struct Stats {
            /// Calls into instances that are not in a slot.
            pub(crate) calls: CallCounts,
            pub(crate) faults: [Counter; FaultKind::ALL.len()],
            $(pub(crate) $field: Counter,)+
        }

        /// The numbers of a reading that no counter of [`Stats`] has.
        pub(crate) struct Read {
            $(pub(crate) $read_field: u64,)+
        }

        /// One reading of a cache's counters. Counts only grow while the cache is open.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub struct CacheStats {
            /// The state.
            pub state: CacheState,
            /// True if the operator has suspended the cache: [`Mailbox::suspend`](crate::Mailbox::suspend).
            pub is_suspended_by_operator: bool,
            /// True if the guest from before the last upgrade serves, since the new one's faults suspended it.
            pub is_rolled_back: bool,
            /// Lookups, takes and picks that gave none, by cause, in the order of [`Miss::ALL`].
            pub misses: [u64; Miss::ALL.len()],
            /// Calls into the guest, in the order of [`Callback::ALL`].
            pub calls: [u64; CALLBACKS],
            /// Fuel burned, in the order of [`Callback::ALL`].
            pub fuel: [u64; CALLBACKS],
            /// Times of calls into the guest, in the order of [`Callback::ALL`].
            ///
            /// For `lookup` it is the time of a read whose session the vault held, from there to the guest's answer,
            /// with the wait for the instance. One read in sixteen is timed, the first among them, since two looks at
            /// the clock are a fifth of its cost. For every other callback it is the time of the guest's call alone,
            /// and every call is timed.
            pub call_times: [CallTimes; CALLBACKS],
            /// Faults, in the order of [`FaultKind::ALL`].
            pub faults: [u64; FaultKind::ALL.len()],
            $($(#[doc = $doc])+ pub $field: u64,)+
            $($(#[doc = $read_doc])+ pub $read_field: u64,)+
            /// Times of lookups in nanoseconds: of the same ones as in
            /// [`CacheStats::call_times`](field@Self::call_times).
            pub lookup_ns: Histogram<u32>,
        }

        impl CacheStats {
            /// Every statistic that is a single number.
            pub const ALL: &[Statistic] = &[
                $(Statistic {
                    name: $read_name,
                    doc: concat!($($read_doc),+),
                    kind: StatisticKind::$read_kind,
                    unit: Unit::$read_unit,
                    metric: $read_metric,
                    label: statistics!(@label $($read_label = $read_value)?),
                    worry: $read_worry,
                    card: Card::$read_card,
                    title: $read_title,
                    shown: Shown::$read_shown,
                    value: |stats| stats.$read_field,
                },)+
                $(Statistic {
                    name: $name,
                    doc: concat!($($doc),+),
                    kind: StatisticKind::$kind,
                    unit: Unit::$unit,
                    metric: $metric,
                    label: statistics!(@label $($label = $value)?),
                    worry: $worry,
                    card: Card::$card,
                    title: $title,
                    shown: Shown::$shown,
                    value: |stats| stats.$field,
                },)+
            ];

            fn new(stats: &Stats, read: &Read, rest: Rest) -> Self {
                let Rest { state, is_suspended_by_operator, is_rolled_back, misses, calls, fuel, call_times, lookup_ns } = rest;
                Self {
                    state,
                    is_suspended_by_operator,
                    is_rolled_back,
                    misses,
                    calls,
                    fuel,
                    call_times,
                    faults: stats.faults.each_ref().map(Counter::read),
                    $($field: stats.$field.read(),)+
                    $($read_field: read.$read_field,)+
                    lookup_ns,
                }
            }

            /// The reading where no cache has been opened: all numbers are 0, and the state is [`CacheState::NoGuest`].
            pub fn none() -> Self {
                Self::new(&Stats::default(), &Read { $($read_field: 0,)+ }, Rest::none())
            }
        }
    };
    (@label) => { None };
    (@label $label:ident = $value:literal) => { Some((stringify!($label), $value)) };
}

statistics! {
    counted {
        /// Sessions registered.
        updates as "updates": Counter Count, "innkeeper_updates_total" [], "", Sessions Fact "Registered";
        /// Sessions that the vault refused.
        refused as "refused": Counter Count, "innkeeper_updates_refused_total" [],
            "It grows: sessions are larger than `session_bytes`, as with long chains of client certificates.",
            Sessions Trouble "Refused by the vault";
        /// Sessions that the guest evicted.
        evicted as "evicted": Counter Count, "innkeeper_evictions_total" [by = "guest"], "",
            Sessions Fact "Evicted by the guest";
        /// Sessions that the overflow policy took out.
        overflowed as "overflowed": Counter Count, "innkeeper_evictions_total" [by = "overflow"],
            "`overflow` grows while sessions are young: raise `sessions` or `vault_bytes`.",
            Sessions Fact "Overflowed";
        /// Sessions swept past their life.
        expired as "expired": Counter Count, "innkeeper_evictions_total" [by = "expiry"], "", Sessions Fact "Expired";
        /// Sessions revoked.
        revoked as "revoked": Counter Count, "innkeeper_evictions_total" [by = "revocation"], "", Sessions Fact "Revoked";
        /// Messages dropped because the mailbox was full: their sessions are lost.
        posts_dropped as "posts_dropped": Counter Count, "innkeeper_posts_dropped_total" [],
            "It grows: the guest's `update` is too slow for the tenant's handshakes.",
            Sessions Trouble "Lost before the guest";
        /// Time on a core of the cache's turns on an owner thread: calls into the guest, and the work around them.
        owner_ns as "owner_ns": Counter Ns, "innkeeper_guest_cpu_seconds_total" [thread = "owner"],
            "Its rate comes near the limit `time_ms_per_s`, both roles and threads together: the guest is slow, and is asked less.",
            Sessions Fact "On owner threads";
        /// Turns on an owner thread that were put off since the tenant had used up its fuel or its time.
        put_off as "put_off": Counter Count, "innkeeper_turns_put_off_total" [],
            "It grows: see `innkeeper_guest_cpu_seconds_total` and `innkeeper_fuel_total`.",
            Sessions Trouble "Put off: over its budget";
        /// Answers of the guest that the vault refused.
        false_claims as "false_claims": Counter Count, "innkeeper_false_claims_total" [],
            "It grows: the guest is broken or hostile. No session was misused.",
            Guest Watched "False claims";
        /// Instances built anew after a fault.
        restarts as "restarts": Counter Count, "innkeeper_restarts_total" [], "", Guest Fact "Restarts";
        /// Instances built anew since a cache that had been idle was used again.
        wakes as "wakes": Counter Count, "innkeeper_wakes_total" [],
            "It grows fast: `guest.idle_s` is too short for the tenant.", Guest Fact "Wakes";
        /// Upgrades made.
        upgrades as "upgrades": Counter Count, "innkeeper_upgrades_total" [result = "made"], "", Guest Fact "Upgrades";
        /// Upgrades refused, since the new guest failed before the exchange.
        upgrades_refused as "upgrades_refused": Counter Count, "innkeeper_upgrades_total" [result = "refused"],
            "`refused` or `rolled-back` grows: the component file has a guest that is not fit.",
            Guest Trouble "Upgrades refused";
        /// Upgrades undone, since the new guest was suspended on probation.
        rollbacks as "rollbacks": Counter Count, "innkeeper_upgrades_total" [result = "rolled-back"], "",
            Guest Trouble "Upgrades undone";
        /// Log lines of the guest written.
        log_lines as "log_lines": Counter Count, "innkeeper_log_lines_total" [result = "written"], "",
            Guest Fact "Log lines";
        /// Log lines of the guest dropped for their rate.
        log_lines_dropped as "log_lines_dropped": Counter Count, "innkeeper_log_lines_total" [result = "dropped"], "",
            Guest Trouble "Log lines dropped";
    }
    read {
        /// Sessions in the vault.
        sessions as "sessions": Gauge Count, "innkeeper_sessions" [], "", Sessions Fact "In the vault";
        /// Memory of the sessions in the vault with their names, in bytes.
        vault_bytes as "vault_bytes": Gauge Bytes, "innkeeper_vault_bytes" [], "", Sessions Fact "Memory of the vault";
        /// Linear memory of all instances together, in bytes, as of the last call into each. Those being built are left
        /// out.
        memory_bytes as "guest_memory_bytes": Gauge Bytes, "innkeeper_guest_memory_bytes" [],
            "It grows to `memory_bytes` while the number of sessions does not.", Guest Fact "Memory";
        /// Lookups, takes and picks that gave a session.
        hits as "hits": Counter Count, "innkeeper_lookup_hits_total" [], "", Lookups Fact "Hits";
        /// Time on a core of readers' calls into the guest. One lookup in 64 is timed, by chance, and stands for all.
        reader_ns as "reader_ns": Counter Ns, "innkeeper_guest_cpu_seconds_total" [thread = "reader"], "",
            Sessions Fact "In readers' calls";
    }
}

impl CacheStats {
    /// Misses of one cause.
    pub fn misses(&self, cause: Miss) -> u64 {
        self.misses[cause as usize]
    }

    /// Calls of one callback.
    pub fn calls(&self, callback: Callback) -> u64 {
        self.calls[callback as usize]
    }

    /// Fuel burned by one callback.
    pub fn fuel(&self, callback: Callback) -> u64 {
        self.fuel[callback as usize]
    }

    /// Times of the calls of one callback. Of lookups few are timed: see
    /// [`CacheStats::call_times`](field@Self::call_times).
    pub fn call_times(&self, callback: Callback) -> &CallTimes {
        &self.call_times[callback as usize]
    }

    /// Faults of one kind.
    pub fn faults(&self, kind: FaultKind) -> u64 {
        self.faults[kind as usize]
    }
}

/// The parts of a reading that are no single numbers.
struct Rest {
    state: CacheState,
    is_suspended_by_operator: bool,
    is_rolled_back: bool,
    misses: [u64; Miss::ALL.len()],
    calls: [u64; CALLBACKS],
    fuel: [u64; CALLBACKS],
    call_times: [CallTimes; CALLBACKS],
    lookup_ns: Histogram<u32>,
}

impl Rest {
    fn none() -> Self {
        Self {
            state: CacheState::NoGuest,
            is_suspended_by_operator: false,
            is_rolled_back: false,
            misses: [0; Miss::ALL.len()],
            calls: [0; CALLBACKS],
            fuel: [0; CALLBACKS],
            call_times: [CallTimes::NONE; CALLBACKS],
            lookup_ns: lookup_times(),
        }
    }
}

/// An empty histogram of the times of lookups.
pub(crate) fn lookup_times() -> Histogram<u32> {
    Histogram::new(2).expect("two significant digits are allowed")
}

/// The sources of a reading besides [`Stats`].
pub(crate) struct Sources<'a> {
    pub(crate) state: CacheState,
    pub(crate) is_suspended_by_operator: bool,
    pub(crate) is_rolled_back: bool,
    pub(crate) reads: Vec<&'a ReadCounts>,
    /// The calls into each instance in a slot.
    pub(crate) calls: Vec<&'a CallCounts>,
    pub(crate) lookup_ns: Histogram<u32>,
    pub(crate) sessions: u64,
    pub(crate) vault_bytes: u64,
    pub(crate) memory_bytes: u64,
}

impl Stats {
    pub(crate) fn reading(&self, sources: Sources<'_>) -> CacheStats {
        let Sources { state, is_suspended_by_operator, is_rolled_back, reads, mut calls, lookup_ns, .. } = sources;
        calls.push(&self.calls);
        let of_calls = |count: fn(&CallCounts, usize) -> u64| {
            std::array::from_fn(|callback| calls.iter().map(|calls| count(calls, callback)).sum())
        };
        let mut call_times = [CallTimes::NONE; CALLBACKS];
        calls.iter().for_each(|counts| counts.add_times(&mut call_times));
        let read_hits: u64 = reads.iter().map(|reads| reads.hits.read()).sum();
        let read = Read {
            sessions: sources.sessions,
            vault_bytes: sources.vault_bytes,
            memory_bytes: sources.memory_bytes,
            hits: read_hits + calls.iter().map(|calls| calls.hits()).sum::<u64>(),
            reader_ns: calls.iter().map(|calls| calls.reader_ns()).sum(),
        };
        let rest = Rest {
            state,
            is_suspended_by_operator,
            is_rolled_back,
            misses: std::array::from_fn(|cause| reads.iter().map(|reads| reads.misses[cause].read()).sum()),
            calls: of_calls(CallCounts::calls),
            fuel: of_calls(CallCounts::fuel),
            call_times,
            lookup_ns,
        };
        CacheStats::new(self, &read, rest)
    }
}
