// See `innkeeper_index.h`. Two hash tables with chains, of entries and of partial keys, and two doubly linked lists.

#include "innkeeper_index.h"

#include <stdlib.h>

struct Index {
  uint32_t size;
  uint32_t buckets_shift;  // There are 2^(64 - shift) buckets of each kind.
  Entry **entries;
  Partial **partials;
  Entry *oldest, *newest;
};

// Keeps a table under a mebibyte, whatever maximum the operator sets.
enum { BUCKETS_BITS_MIN = 4, BUCKETS_BITS_MAX = 18 };

// Allocation fails only past the memory limit; the trap tells the host, which builds a new instance.
static void *must(void *memory) {
  if (!memory) abort();
  return memory;
}

// Keys are keyed fingerprints already: it only spreads their bits. The high bits of the product are the good ones.
static uint64_t hash(uint64_t number) { return number * 0x9e3779b97f4a7c15u; }

static Partial **partial_bucket(const Index *index, PartialKey partial) {
  return &index->partials[hash(partial) >> index->buckets_shift];
}

static Entry **entry_bucket(const Index *index, Key key) {
  return &index->entries[hash(hash(key.partial) ^ key.id) >> index->buckets_shift];
}

static Partial *find_partial(const Index *index, PartialKey key) {
  Partial *partial = *partial_bucket(index, key);
  while (partial && partial->key != key) partial = partial->next_of_bucket;
  return partial;
}

static Partial *add_partial(Index *index, PartialKey key) {
  Partial **bucket = partial_bucket(index, key), *partial = must(malloc(sizeof *partial));
  *partial = (Partial){.key = key, .next_of_bucket = *bucket};
  return *bucket = partial;
}

static void remove_partial(Index *index, Partial *partial) {
  Partial **link = partial_bucket(index, partial->key);
  while (*link != partial) link = &(*link)->next_of_bucket;
  *link = partial->next_of_bucket;
  free(partial);
}

static void link_newest(Index *index, Entry *entry) {
  entry->older = index->newest;
  entry->newer = NULL;
  *(index->newest ? &index->newest->newer : &index->oldest) = entry;
  index->newest = entry;
}

static void unlink_order(Index *index, Entry *entry) {
  *(entry->older ? &entry->older->newer : &index->oldest) = entry->newer;
  *(entry->newer ? &entry->newer->older : &index->newest) = entry->older;
}

Index *index_new(uint32_t sessions_max) {
  uint32_t bits = BUCKETS_BITS_MIN;
  while (bits < BUCKETS_BITS_MAX && (UINT32_C(1) << bits) < sessions_max) bits++;
  Index *index = must(calloc(1, sizeof *index));
  index->buckets_shift = 64 - bits;
  index->entries = must(calloc((size_t)1 << bits, sizeof *index->entries));
  index->partials = must(calloc((size_t)1 << bits, sizeof *index->partials));
  return index;
}

void index_free(Index *index) {
  while (index->oldest) index_remove(index, index->oldest);
  free(index->entries);
  free(index->partials);
  free(index);
}

uint32_t index_size(const Index *index) { return index->size; }

Entry *index_find(const Index *index, Key key) {
  Entry *entry = *entry_bucket(index, key);
  while (entry && (entry->key.id != key.id || entry->key.partial != key.partial)) entry = entry->next_of_bucket;
  return entry;
}

const Partial *index_partial(const Index *index, PartialKey partial) { return find_partial(index, partial); }

Entry *index_oldest(const Index *index) { return index->oldest; }

Entry *index_add(Index *index, Key key, Session session) {
  index_remove(index, index_find(index, key));
  Partial *partial = find_partial(index, key.partial);
  if (!partial) partial = add_partial(index, key.partial);
  Entry **bucket = entry_bucket(index, key), *entry = must(malloc(sizeof *entry));
  *entry = (Entry){.key = key, .session = session, .partial = partial, .next_of_bucket = *bucket};
  *bucket = entry;
  entry->previous = partial->last;
  *(partial->last ? &partial->last->next : &partial->first) = entry;
  partial->last = entry;
  partial->size++;
  link_newest(index, entry);
  index->size++;
  return entry;
}

void index_move_to_newest(Index *index, Entry *entry) {
  unlink_order(index, entry);
  link_newest(index, entry);
}

void index_remove(Index *index, Entry *entry) {
  if (!entry) return;
  Entry **link = entry_bucket(index, entry->key);
  while (*link != entry) link = &(*link)->next_of_bucket;
  *link = entry->next_of_bucket;
  Partial *partial = entry->partial;
  *(entry->previous ? &entry->previous->next : &partial->first) = entry->next;
  *(entry->next ? &entry->next->previous : &partial->last) = entry->previous;
  if (--partial->size == 0) remove_partial(index, partial);
  unlink_order(index, entry);
  index->size--;
  free(entry);
}
