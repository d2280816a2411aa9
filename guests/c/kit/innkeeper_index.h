// An index of sessions: by key, by partial key, and in one order from the oldest to the newest.
//
// Every function but `index_new` and `index_free` costs O(1), the worst call as much as the usual one: the buckets are
// made for the vault's maximum at the start, so that no call files all sessions again.

#ifndef INNKEEPER_INDEX_H
#define INNKEEPER_INDEX_H

#include "innkeeper.h"

typedef struct Index Index;
typedef struct Entry Entry;
typedef struct Partial Partial;

// A session in an index. Its place in memory stays until it is removed. A guest writes `value` only.
struct Entry {
  Key key;
  Session session;
  uint64_t value;           // The guest's own; zero at first.
  Entry *older, *newer;     // In the order of the index, or NULL.
  Entry *previous, *next;   // Of the same partial key: registered before and after it, or NULL.
  Partial *partial;
  Entry *next_of_bucket;
};

// The sessions of one partial key, in the order in which they were registered. At least one.
struct Partial {
  PartialKey key;
  uint32_t size;
  Entry *first, *last;
  Partial *next_of_bucket;
};

// An empty index for about as many sessions as the vault holds. With more it is slower.
Index *index_new(uint32_t sessions_max);

// Frees the index and all its entries.
void index_free(Index *index);

// The number of sessions.
uint32_t index_size(const Index *index);

// The session under a key, or NULL.
Entry *index_find(const Index *index, Key key);

// The sessions of a partial key, or NULL.
const Partial *index_partial(const Index *index, PartialKey partial);

// The oldest of all, or NULL; the others follow by `newer`.
Entry *index_oldest(const Index *index);

// Adds a session, as the newest of all. One under the same key is removed.
Entry *index_add(Index *index, Key key, Session session);

// Makes an entry the newest of all. Its place among those of its partial key stays.
void index_move_to_newest(Index *index, Entry *entry);

// Removes an entry and frees it. NULL is no error.
void index_remove(Index *index, Entry *entry);

#endif
