// A guest in C that forgets the least recently used session once the vault is full.
//
// Sessions lie in an array of nodes. Each is in three lists: the bucket of its key, the bucket of its partial key, and
// the order of use. Only numbers are kept: the sessions themselves never leave the host.

#include <stdlib.h>
#include <string.h>

#include "session_cache.h"

typedef innkeeper_session_cache_types_key_t lru_key_t;

#define NONE UINT32_MAX

typedef struct {
  lru_key_t key;
  uint64_t session;
  uint32_t next_of_key;  // in the bucket of the key; of free nodes, the next free one
  uint32_t next_of_partial, previous_of_partial;  // in the bucket of the partial key, which may be long
  uint32_t older, newer;  // in the order of use
} node_t;

typedef struct {
  uint32_t sessions_max;
  uint32_t size;
  node_t *nodes;
  uint32_t nodes_len, nodes_cap;
  uint32_t free;
  uint32_t *key_buckets, *partial_buckets;
  uint32_t buckets;  // of each kind; a power of two
  uint32_t oldest, newest;
} lru_t;

// The parts of a key are keyed fingerprints already: their low bits are as good as a hash.
static uint32_t *key_bucket(lru_t *lru, lru_key_t key) {
  return &lru->key_buckets[(uint32_t)(key.id ^ (key.partial >> 7)) & (lru->buckets - 1)];
}

static uint32_t *partial_bucket(lru_t *lru, uint64_t partial) {
  return &lru->partial_buckets[(uint32_t)partial & (lru->buckets - 1)];
}

static uint32_t find(lru_t *lru, lru_key_t key) {
  uint32_t at = *key_bucket(lru, key);
  while (at != NONE && (lru->nodes[at].key.id != key.id || lru->nodes[at].key.partial != key.partial))
    at = lru->nodes[at].next_of_key;
  return at;
}

static void unlink_use(lru_t *lru, uint32_t at) {
  node_t *node = &lru->nodes[at];
  *(node->older == NONE ? &lru->oldest : &lru->nodes[node->older].newer) = node->newer;
  *(node->newer == NONE ? &lru->newest : &lru->nodes[node->newer].older) = node->older;
}

static void link_newest(lru_t *lru, uint32_t at) {
  node_t *node = &lru->nodes[at];
  node->older = lru->newest;
  node->newer = NONE;
  *(lru->newest == NONE ? &lru->oldest : &lru->nodes[lru->newest].newer) = at;
  lru->newest = at;
}

static void link_buckets(lru_t *lru, uint32_t at) {
  node_t *node = &lru->nodes[at];
  uint32_t *of_key = key_bucket(lru, node->key), *of_partial = partial_bucket(lru, node->key.partial);
  node->next_of_key = *of_key;
  node->next_of_partial = *of_partial;
  node->previous_of_partial = NONE;
  if (*of_partial != NONE) lru->nodes[*of_partial].previous_of_partial = at;
  *of_key = *of_partial = at;
}

static void forget(lru_t *lru, uint32_t at) {
  node_t *node = &lru->nodes[at];
  uint32_t *link = key_bucket(lru, node->key);
  while (*link != at) link = &lru->nodes[*link].next_of_key;
  *link = node->next_of_key;
  uint32_t next = node->next_of_partial, previous = node->previous_of_partial;
  *(previous == NONE ? partial_bucket(lru, node->key.partial) : &lru->nodes[previous].next_of_partial) = next;
  if (next != NONE) lru->nodes[next].previous_of_partial = previous;
  unlink_use(lru, at);
  node->next_of_key = lru->free;
  lru->free = at;
  lru->size--;
}

// Allocation fails only past the memory limit; the trap tells the host, which builds a new instance.
static void *must(void *memory) {
  if (!memory) abort();
  return memory;
}

// Makes as many buckets as nodes, and files every node again.
static void grow(lru_t *lru) {
  lru->nodes_cap = lru->nodes_cap ? lru->nodes_cap * 2 : 64;
  lru->buckets = lru->nodes_cap;
  lru->nodes = must(realloc(lru->nodes, lru->nodes_cap * sizeof *lru->nodes));
  size_t bytes = lru->buckets * sizeof(uint32_t);
  lru->key_buckets = must(realloc(lru->key_buckets, bytes));
  lru->partial_buckets = must(realloc(lru->partial_buckets, bytes));
  memset(lru->key_buckets, 0xff, bytes);
  memset(lru->partial_buckets, 0xff, bytes);
  for (uint32_t at = lru->oldest; at != NONE; at = lru->nodes[at].newer) link_buckets(lru, at);
}

static uint32_t free_node(lru_t *lru) {
  if (lru->free != NONE) {
    uint32_t at = lru->free;
    lru->free = lru->nodes[at].next_of_key;
    return at;
  }
  if (lru->nodes_len == lru->nodes_cap) grow(lru);
  return lru->nodes_len++;
}

static lru_t *of(uint64_t cache) { return (lru_t *)(uintptr_t)cache; }

bool exports_innkeeper_session_cache_callbacks_init(exports_innkeeper_session_cache_callbacks_init_args_t *args,
                                                    uint64_t *cache, session_cache_string_t *error) {
  (void)error;
  lru_t *lru = must(calloc(1, sizeof *lru));
  lru->sessions_max = args->max_sessions;
  lru->free = lru->oldest = lru->newest = NONE;
  grow(lru);
  exports_innkeeper_session_cache_callbacks_init_args_free(args);
  *cache = (uintptr_t)lru;
  return true;
}

void exports_innkeeper_session_cache_callbacks_terminate(uint64_t cache) {
  lru_t *lru = of(cache);
  free(lru->nodes);
  free(lru->key_buckets);
  free(lru->partial_buckets);
  free(lru);
}

void exports_innkeeper_session_cache_callbacks_update(uint64_t cache, lru_key_t *key, uint64_t session) {
  lru_t *lru = of(cache);
  uint32_t known = find(lru, *key);
  if (known != NONE) forget(lru, known);
  if (lru->size >= lru->sessions_max && lru->oldest != NONE) {
    uint64_t victim = lru->nodes[lru->oldest].session;
    forget(lru, lru->oldest);
    innkeeper_session_cache_host_evict(victim);
  }
  uint32_t at = free_node(lru);
  lru->nodes[at].key = *key;
  lru->nodes[at].session = session;
  link_buckets(lru, at);
  link_newest(lru, at);
  lru->size++;
}

void exports_innkeeper_session_cache_callbacks_delete(uint64_t cache, lru_key_t *key) {
  uint32_t at = find(of(cache), *key);
  if (at != NONE) forget(of(cache), at);
}

// More sessions than the host asks for, and well within a call's fuel.
#define SELECTED_MAX 256

// Newest registration first, as the bucket has them.
void exports_innkeeper_session_cache_callbacks_select_session(
    uint64_t cache, uint64_t partial, exports_innkeeper_session_cache_callbacks_list_session_t *sessions) {
  lru_t *lru = of(cache);
  sessions->ptr = NULL;
  sessions->len = 0;
  size_t cap = 0;
  for (uint32_t at = *partial_bucket(lru, partial); at != NONE && sessions->len < SELECTED_MAX;
       at = lru->nodes[at].next_of_partial) {
    if (lru->nodes[at].key.partial != partial) continue;
    if (sessions->len == cap) {
      cap = cap ? cap * 2 : 8;
      sessions->ptr = must(realloc(sessions->ptr, cap * sizeof *sessions->ptr));
    }
    sessions->ptr[sessions->len++] = lru->nodes[at].session;
  }
}

uint64_t exports_innkeeper_session_cache_callbacks_size(uint64_t cache) { return of(cache)->size; }

uint64_t exports_innkeeper_session_cache_callbacks_foldl(uint64_t fun, uint64_t acc, uint64_t cache) {
  lru_t *lru = of(cache);
  for (uint32_t at = lru->oldest; at != NONE; at = lru->nodes[at].newer) {
    innkeeper_session_cache_types_element_t element = {lru->nodes[at].key, lru->nodes[at].session};
    acc = innkeeper_session_cache_host_apply(fun, &element, acc);
  }
  return acc;
}

bool exports_innkeeper_session_cache_callbacks_lookup(uint64_t cache, lru_key_t *key, uint64_t *session) {
  lru_t *lru = of(cache);
  uint32_t at = find(lru, *key);
  if (at == NONE) return false;
  unlink_use(lru, at);
  link_newest(lru, at);
  *session = lru->nodes[at].session;
  return true;
}
