//! Every guest that is compiled and that the demo does not have, in one table for each way to make it.

use innkeeper_embed::{
    Fate::{Either, Honest, Load, Open, Serves, Strikes},
    Row,
};

/// Honest guests in Rust: the crate, and the guest's name.
pub(crate) const RUST: [(&str, &str); 3] = [
    ("innkeeper_guest_quota", "rust-quota"),
    ("innkeeper_guest_lfu", "rust-lfu"),
    ("innkeeper_guest_random", "rust-random"),
];

/// Hostile guests in Rust: `guests/hostile/examples/NAME.rs`, with `_` for `-`.
pub(crate) const RUST_HOSTILE: [Row; 35] = [
    ("flaky", "traps every other time in the callback it strikes in", Strikes),
    ("every-hundredth", "traps every hundredth time in the callback it strikes in", Strikes),
    ("recurse", "calls itself until the stack ends", Strikes),
    ("balloon", "takes memory until it is refused, then traps", Strikes),
    ("fill", "fills and copies most of its memory, over and over", Strikes),
    ("waits", "reads the clock until an hour has passed", Strikes),
    ("log-flood", "logs for ever", Strikes),
    ("log-controls", "logs control characters, forged lines and 64 KiB lines", Strikes),
    ("describe-all", "asks the host to describe every number", Strikes),
    ("evict-all", "evicts every session it knows, then every number", Strikes),
    ("evict-anywhere", "evicts a session in the callback it strikes in", Strikes),
    ("evict-known", "evicts all but the newest session at each update", Serves),
    ("apply-anywhere", "calls `apply` where no fold runs", Strikes),
    ("later", "behaves for an hour, then never returns again", Serves),
    ("forgets", "never remembers a session", Serves),
    ("size-lies", "counts sessions that it lacks", Serves),
    ("random-claims", "claims random numbers", Serves),
    ("future-claims", "claims the numbers that the host will give next", Serves),
    ("dead-claims", "claims sessions that were deleted or replaced", Serves),
    ("foreign-claims", "claims live sessions of other keys", Serves),
    ("per-instance", "answers differently in each instance", Serves),
    ("remembers", "remembers every session, and claims the oldest", Serves),
    ("colluder-a", "logs what it knows, and claims what an accomplice may have", Serves),
    ("colluder-b", "logs what it knows, and claims what an accomplice may have", Serves),
    ("hoards-memory", "keeps every key it was ever told of, 16 KiB for each", Serves),
    ("fold-drops", "leaves one session out of a fold", Serves),
    ("fold-reorders", "shows a fold the sessions backwards", Serves),
    ("fold-invents", "shows a fold sessions that never were", Serves),
    ("fold-swaps", "shows a fold each session under its neighbour's key", Serves),
    ("fold-repeats", "shows a fold every session twice", Serves),
    ("fold-endless", "shows a fold one session for ever", Serves),
    ("refuse", "refuses every cache, with a long text and controls in it", Open),
    ("init-traps", "traps in `init`", Open),
    ("init-spins", "never returns from `init`", Open),
    ("terminate-spins", "never returns from `terminate`", Serves),
];

/// Guests in C: the folder below `guests`, and the guest's row.
pub(crate) const C: [(&str, Row); 4] = [
    ("c/ttl", ("c-ttl", "", Honest)),
    ("c/quota", ("c-quota", "", Honest)),
    ("hostile/c/overrun", ("overrun", "runs its stack over its own data", Strikes)),
    ("hostile/c/scribble", ("scribble", "writes over all of its memory, and past the end", Strikes)),
];

/// Guests in C++: the folder below `guests`, and the guest's name.
pub(crate) const CPP: [(&str, &str); 3] = [("cpp/lru", "cpp-lru"), ("cpp/ttl", "cpp-ttl"), ("cpp/quota", "cpp-quota")];

/// Attacks in WAT, `guests/hostile/wat/NAME.wat`, each put into the module `quiet.wat` there.
pub(crate) const WAT: [Row; 53] = [
    ("young-init-traps", "traps in `init` while `now-ms` is below ten seconds", Either),
    ("start-spins", "never comes out of its start function", Open),
    ("start-traps", "traps in its start function", Open),
    ("start-evicts", "evicts in its start function", Open),
    ("start-logs", "logs before the host can see its memory", Open),
    ("memory-at-start", "asks for more than 16 MiB of memory at start", Load),
    ("memory-grows", "takes memory until it is refused, and goes on", Serves),
    ("memory-fills", "fills and copies 16 MiB at a time, over and over", Serves),
    ("table-at-start", "asks for a table of ten million elements at start", Load),
    ("table-grows", "takes table elements until it is refused", Serves),
    ("tail-spins", "runs for ever by tail calls", Serves),
    ("select-million", "claims a million sessions", Serves),
    ("select-thousands", "claims 8000 sessions that it numbered itself", Serves),
    ("select-long", "gives a list longer than the address space", Serves),
    ("select-out-of-bounds", "gives a list that ends outside of memory", Serves),
    ("select-misaligned", "gives a list at an odd address", Serves),
    ("lookup-out-of-bounds", "gives a result outside of memory", Serves),
    ("lookup-misaligned", "gives a result at an odd address", Serves),
    ("lookup-two", "gives an option that is neither some nor none", Serves),
    ("init-lies", "names its cache by the largest number there is", Serves),
    ("init-two", "gives a result that is neither ok nor an error", Open),
    ("init-error-bad-utf8", "refuses with a text that is invalid UTF-8", Open),
    ("init-error-out-of-bounds", "refuses with a text outside of memory", Open),
    ("post-return-spins", "never returns when its answer has been read", Serves),
    ("post-return-traps", "traps when its answer has been read", Serves),
    ("post-return-calls-host", "calls the host when its answer has been read", Serves),
    ("log-gib", "logs a message of one GiB", Serves),
    ("log-everything", "logs a message as long as the address space", Serves),
    ("log-large", "logs a message of one MiB that is in memory", Serves),
    ("log-bad-utf8", "logs a message that is invalid UTF-8", Serves),
    ("log-no-level", "logs at a missing level", Serves),
    ("describe-out-of-bounds", "has the host write an answer outside of memory", Serves),
    ("describe-misaligned", "has the host write an answer to an odd address", Serves),
    ("realloc-null", "gives out memory at address zero", Serves),
    ("realloc-overlaps", "gives out the same memory each time", Serves),
    ("realloc-misaligned", "gives out memory at odd addresses", Open),
    ("realloc-out-of-bounds", "gives out memory outside of its own", Open),
    ("realloc-traps", "traps when the host needs memory", Open),
    ("realloc-spins", "never returns when the host needs memory", Open),
    ("realloc-calls-host", "calls the host when the host needs memory", Open),
    ("fold-reuses-acc", "uses one accumulator twice", Serves),
    ("fold-invents-acc", "applies to an accumulator it was not given", Serves),
    ("fold-returns-invented-acc", "returns an accumulator it was not given", Serves),
    ("fold-drops-acc", "returns an accumulator from before the last element", Serves),
    ("fold-invents-fun", "applies a function it was not given", Serves),
    ("fold-keeps-fun", "applies the function of the fold before", Serves),
    ("memory64", "has a memory with addresses of 64 bits", Load),
    ("shared-memory", "has a memory that threads could share", Load),
    ("two-memories", "has more memories than it may", Load),
    ("gc", "has a type for a garbage collector", Load),
    ("exceptions", "throws an exception", Load),
    ("relaxed-simd", "uses an instruction that differs between machines", Load),
    ("stack-switching", "has a type for stacks of its own", Load),
];

/// A guest of a world that is not ours.
pub(crate) struct OtherWorld {
    /// Its name. Its attack, if it needs one, is in `guests/hostile/wat/NAME.wat`.
    pub name: &'static str,
    /// Its attack.
    pub what: &'static str,
    /// The replacement in our WIT package, and in the module, that makes the world.
    pub swap: (&'static str, &'static str),
}

/// Guests of other worlds. All are refused at load.
pub(crate) const OTHER_WORLDS: [OtherWorld; 8] = [
    OtherWorld {
        name: "imports-files",
        what: "imports WASI files",
        swap: ("import host;", "import host; import wasi:filesystem/preopens@0.2.6;"),
    },
    OtherWorld {
        name: "imports-sockets",
        what: "imports WASI sockets",
        swap: ("import host;", "import host; import wasi:sockets/instance-network@0.2.6;"),
    },
    OtherWorld {
        name: "imports-unknown",
        what: "imports an unknown interface",
        swap: ("import host;", "import host; import unknown:vendor/backdoor@1.0.0;"),
    },
    OtherWorld {
        name: "imports-secret",
        what: "imports a function that our interface lacks",
        swap: (
            "now-ms: func() -> u64;",
            "now-ms: func() -> u64; @since(version = 0.1.0) secret: func(session: session) -> list<u8>;",
        ),
    },
    OtherWorld { name: "other-version", what: "is made for version 0.2.0 of our package", swap: ("0.1.0", "0.2.0") },
    OtherWorld {
        name: "other-shape",
        what: "exports a `lookup` of another type",
        swap: ("-> option<session>;", "-> session;"),
    },
    OtherWorld {
        name: "other-name",
        what: "exports `fold-left` where `foldl` should be",
        swap: ("foldl", "fold-left"),
    },
    OtherWorld {
        name: "other-color",
        what: "exports a `lookup` that is asynchronous",
        swap: ("lookup: func(", "lookup: async func("),
    },
];
