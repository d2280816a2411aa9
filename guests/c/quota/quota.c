// A guest in C that keeps at most `quota` sessions of each partial key, 16 unless the operator says otherwise: one
// more, and the oldest of that partial key goes. The host limits the total.

#include <stdlib.h>

#include "innkeeper_index.h"

struct Cache {
  uint64_t quota;
  Index *index;
};

Cache *cache_init(const InitArgs *args) {
  uint64_t quota = 16;
  const char *text = property(args, "quota");
  if (text && (!parse_number(text, &quota) || quota == 0))
    return refuse("property `quota` is not a number above zero", text);
  Cache *cache = malloc(sizeof *cache);
  if (!cache) abort();
  *cache = (Cache){quota, index_new(args->sessions_max)};
  return cache;
}

void cache_terminate(Cache *cache) {
  index_free(cache->index);
  free(cache);
}

void cache_update(Cache *cache, Key key, Session session) {
  cache_delete(cache, key);
  const Partial *own = index_partial(cache->index, key.partial);
  if (own && own->size >= cache->quota) {
    host_evict(own->first->session);
    index_remove(cache->index, own->first);
  }
  index_add(cache->index, key, session);
}

void cache_delete(Cache *cache, Key key) { index_remove(cache->index, index_find(cache->index, key)); }

Session cache_lookup(Cache *cache, Key key) {
  const Entry *entry = index_find(cache->index, key);
  return entry ? entry->session : NO_SESSION;
}

// The newest first: it lives longest.
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
