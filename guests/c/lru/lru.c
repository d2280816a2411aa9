// A guest in C that forgets the least recently used session once the vault is full. The order of its index is that of
// use.

#include <stdlib.h>

#include "innkeeper_index.h"

struct Cache {
  uint32_t sessions_max;
  Index *index;
};

Cache *cache_init(const InitArgs *args) {
  Cache *cache = malloc(sizeof *cache);
  if (!cache) abort();
  *cache = (Cache){args->sessions_max, index_new(args->sessions_max)};
  return cache;
}

void cache_terminate(Cache *cache) {
  index_free(cache->index);
  free(cache);
}

void cache_update(Cache *cache, Key key, Session session) {
  cache_delete(cache, key);
  Entry *oldest = index_oldest(cache->index);
  if (oldest && index_size(cache->index) >= cache->sessions_max) {
    host_evict(oldest->session);
    index_remove(cache->index, oldest);
  }
  index_add(cache->index, key, session);
}

void cache_delete(Cache *cache, Key key) { index_remove(cache->index, index_find(cache->index, key)); }

Session cache_lookup(Cache *cache, Key key) {
  Entry *entry = index_find(cache->index, key);
  if (!entry) return NO_SESSION;
  index_move_to_newest(cache->index, entry);
  return entry->session;
}

// The newest registration first: it lives longest.
size_t cache_select_session(Cache *cache, PartialKey partial, Session selected[SELECTED_MAX]) {
  const Partial *own = index_partial(cache->index, partial);
  size_t len = 0;
  for (const Entry *entry = own ? own->last : NULL; entry && len < SELECTED_MAX; entry = entry->previous)
    selected[len++] = entry->session;
  return len;
}

uint64_t cache_size(Cache *cache) { return index_size(cache->index); }

void cache_foldl(Cache *cache, Fold *fold) {
  for (const Entry *entry = index_oldest(cache->index); entry; entry = entry->newer)
    fold_apply(fold, entry->key, entry->session);
}
