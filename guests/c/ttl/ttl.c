// A guest in C that forgets a session some time before the host would: after `ttl-ms`, or half the vault's lifetime.
// The order of its index is that of registration.

#include <stdlib.h>

#include "innkeeper_index.h"

// The most old sessions that one update forgets: more than one, so that it catches up.
enum { FORGOTTEN_MAX = 4 };

struct Cache {
  uint64_t ttl_ms;
  Index *index;  // The value of an entry is the time when it is hidden.
};

Cache *cache_init(const InitArgs *args) {
  uint64_t ttl_ms = args->lifetime_ms / 2;
  const char *text = property(args, "ttl-ms");
  if (text && !parse_number(text, &ttl_ms)) return refuse("property `ttl-ms` is not a number", text);
  Cache *cache = malloc(sizeof *cache);
  if (!cache) abort();
  *cache = (Cache){ttl_ms, index_new(args->sessions_max)};
  return cache;
}

void cache_terminate(Cache *cache) {
  index_free(cache->index);
  free(cache);
}

static void forget_old(Cache *cache, uint64_t now_ms) {
  for (int forgotten = 0; forgotten < FORGOTTEN_MAX; forgotten++) {
    Entry *oldest = index_oldest(cache->index);
    if (!oldest || now_ms < oldest->value) return;
    host_evict(oldest->session);
    index_remove(cache->index, oldest);
  }
}

void cache_update(Cache *cache, Key key, Session session) {
  uint64_t now_ms = host_now_ms();
  cache_delete(cache, key);
  forget_old(cache, now_ms);
  // A rebuilt instance sees old sessions again: their time runs from their creation.
  SessionInfo info;
  uint64_t created_ms = host_describe(session, &info) ? info.created_ms : now_ms;
  bool has_end = created_ms <= UINT64_MAX - cache->ttl_ms;
  index_add(cache->index, key, session)->value = has_end ? created_ms + cache->ttl_ms : UINT64_MAX;
}

void cache_delete(Cache *cache, Key key) { index_remove(cache->index, index_find(cache->index, key)); }

Session cache_lookup(Cache *cache, Key key) {
  const Entry *entry = index_find(cache->index, key);
  return entry && host_now_ms() < entry->value ? entry->session : NO_SESSION;
}

// The newest first: it lives longest.
size_t cache_select_session(Cache *cache, PartialKey partial, Session selected[SELECTED_MAX]) {
  uint64_t now_ms = host_now_ms();
  const Partial *own = index_partial(cache->index, partial);
  size_t len = 0;
  for (const Entry *entry = own ? own->last : NULL; entry && len < SELECTED_MAX; entry = entry->previous) {
    if (now_ms >= entry->value) break;  // The others are older still.
    selected[len++] = entry->session;
  }
  return len;
}

uint64_t cache_size(Cache *cache) { return index_size(cache->index); }

void cache_foldl(Cache *cache, Fold *fold) {
  for (const Entry *entry = index_oldest(cache->index); entry; entry = entry->newer)
    fold_apply(fold, entry->key, entry->session);
}
