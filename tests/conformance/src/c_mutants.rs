//! Guests in C with one mistake each: replacements of text in `guests/c/lru/lru.c`, or in its index.

use crate::mutants::Mutant;

/// A mistake, and the file below `guests/c` that it is made in.
#[derive(Clone, Copy, Debug)]
pub struct CMutant {
    /// The file.
    pub file: &'static str,
    /// The mistake.
    pub mutant: Mutant,
}

const fn lru(mutant: Mutant) -> CMutant {
    CMutant { file: "lru/lru.c", mutant }
}

const fn index(mutant: Mutant) -> CMutant {
    CMutant { file: "kit/innkeeper_index.c", mutant }
}

/// Every mistake, callback by callback, then those of the index.
pub const C_MUTANTS: &[CMutant] = &[
    lru(Mutant {
        name: "init-has-one-cache",
        what: "the second cache is the first",
        from: "Cache *cache = malloc(sizeof *cache);",
        to: "static Cache only; Cache *cache = &only;",
        case: "12 alone: two caches of one instance are independent",
    }),
    lru(Mutant {
        name: "terminate-traps",
        what: "`terminate` traps",
        from: "  index_free(cache->index);\n  free(cache);",
        to: "  free(cache);\n  __builtin_trap();",
        case: "14 alone: terminate returns",
    }),
    lru(Mutant {
        name: "update-cuts-numbers",
        what: "`update` keeps the low half of a session's number",
        from: "index_add(cache->index, key, session);",
        to: "index_add(cache->index, key, (uint32_t)session);",
        case: "03 alone: update twice overwrites",
    }),
    lru(Mutant {
        name: "update-forgets-silently",
        what: "`update` forgets a session at the maximum, and does not evict it",
        from: "    host_evict(oldest->session);\n",
        to: "",
        case: "16 alone: at the maximum the guest follows",
    }),
    lru(Mutant {
        name: "update-evicts-another",
        what: "`update` evicts the newest session and forgets the oldest",
        from: "host_evict(oldest->session);",
        to: "for (Entry *entry = oldest; entry; entry = entry->newer) if (!entry->newer) host_evict(entry->session);",
        case: "16 alone: at the maximum the guest follows",
    }),
    lru(Mutant {
        name: "update-evicts-early",
        what: "`update` evicts at a quarter of the maximum",
        from: ">= cache->sessions_max)",
        to: ">= cache->sessions_max / 4)",
        case: "16 alone: at the maximum the guest follows",
    }),
    lru(Mutant {
        name: "delete-forgets-nothing",
        what: "`delete` does nothing",
        from: "{ index_remove(cache->index, index_find(cache->index, key)); }",
        to: "{ (void)cache; (void)key; }",
        case: "04 alone: delete forgets one key, and an absent one is no error",
    }),
    lru(Mutant {
        name: "lookup-finds-nothing",
        what: "`lookup` gives none",
        from: "  return entry->session;\n",
        to: "  return NO_SESSION;\n",
        case: "02 alone: lookup gives what update was given",
    }),
    lru(Mutant {
        name: "lookup-evicts",
        what: "`lookup` evicts what it gives, which only the owner's calls may",
        from: "  index_move_to_newest(cache->index, entry);\n",
        to: "  host_evict(entry->session);\n",
        case: "02 alone: lookup gives what update was given",
    }),
    lru(Mutant {
        name: "select-misses-one",
        what: "`select-session` leaves out the newest session",
        from: "own ? own->last : NULL; entry && len",
        to: "own ? own->last->previous : NULL; entry && len",
        case: "05 alone: select gives the sessions of one partial key, in a stable order",
    }),
    lru(Mutant {
        name: "select-gives-all",
        what: "`select-session` gives the sessions of every partial key",
        from: "own ? own->last : NULL; entry && len < SELECTED_MAX; entry = entry->previous)",
        to: "own ? index_oldest(cache->index) : NULL; entry && len < SELECTED_MAX; entry = entry->newer)",
        case: "05 alone: select gives the sessions of one partial key, in a stable order",
    }),
    lru(Mutant {
        name: "size-is-one-more",
        what: "`size` counts one too many",
        from: "{ return index_size(cache->index); }",
        to: "{ return index_size(cache->index) + 1; }",
        case: "11 alone: random calls agree with a model",
    }),
    lru(Mutant {
        name: "foldl-shows-every-other",
        what: "`foldl` leaves out every other session",
        from: "entry; entry = entry->newer)",
        to: "entry; entry = entry->newer ? entry->newer->newer : NULL)",
        case: "06 alone: foldl shows each session once, and passes the accumulator on",
    }),
    lru(Mutant {
        name: "foldl-shows-twice",
        what: "`foldl` shows each session twice",
        from: "    fold_apply(fold, entry->key, entry->session);\n",
        to: "    fold_apply(fold, entry->key, entry->session), fold_apply(fold, entry->key, entry->session);\n",
        case: "06 alone: foldl shows each session once, and passes the accumulator on",
    }),
    lru(Mutant {
        name: "foldl-swaps-keys",
        what: "`foldl` shows each session under another key",
        from: "fold_apply(fold, entry->key, entry->session);",
        to: "fold_apply(fold, (Key){entry->key.partial, entry->key.id ^ 1}, entry->session);",
        case: "06 alone: foldl shows each session once, and passes the accumulator on",
    }),
    index(Mutant {
        name: "index-ignores-partials",
        what: "a key is found by its id alone",
        from: "(entry->key.id != key.id || entry->key.partial != key.partial)",
        to: "entry->key.id != key.id",
        case: "11 alone: random calls agree with a model",
    }),
    index(Mutant {
        name: "index-ignores-ids",
        what: "a key is found by its partial key alone, among those of its bucket",
        from: "(entry->key.id != key.id || entry->key.partial != key.partial)",
        to: "entry->key.partial != key.partial",
        case: "11 alone: random calls agree with a model",
    }),
    index(Mutant {
        name: "index-counts-registrations",
        what: "`size` counts what was deleted too",
        from: "  index->size--;\n",
        to: "",
        case: "11 alone: random calls agree with a model",
    }),
    index(Mutant {
        name: "index-leaks",
        what: "what is deleted keeps its memory",
        from: "  free(entry);\n",
        to: "",
        case: "B4 alone: memory does not grow without end",
    }),
    index(Mutant {
        name: "index-is-slow",
        what: "there are sixteen buckets, whatever the maximum",
        from: "BUCKETS_BITS_MAX = 18",
        to: "BUCKETS_BITS_MAX = 4",
        case: "B3 alone: a call costs about the same with a hundred times the sessions",
    }),
];
