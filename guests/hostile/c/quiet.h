// The callbacks of a guest that remembers the last session, and strikes in the callback that the property `strike`
// names: `lookup` unless it says otherwise. Included once by each attack, which defines `strike`.

#include <stdlib.h>
#include <string.h>

#include "session_cache.h"

static void strike(void);

typedef innkeeper_session_cache_types_key_t quiet_key_t;

static struct {
  char callback[32];
  bool has_last;
  quiet_key_t key;
  uint64_t session;
} quiet = {.callback = "lookup"};

static void reach(const char *callback) {
  if (strcmp(quiet.callback, callback) == 0) strike();
}

static bool is_last(const quiet_key_t *key) {
  return quiet.has_last && quiet.key.partial == key->partial && quiet.key.id == key->id;
}

bool exports_innkeeper_session_cache_callbacks_init(exports_innkeeper_session_cache_callbacks_init_args_t *args,
                                                    uint64_t *cache, session_cache_string_t *error) {
  (void)error;
  for (size_t i = 0; i < args->properties.len; i++) {
    session_cache_string_t name = args->properties.ptr[i].name, value = args->properties.ptr[i].value;
    if (name.len != strlen("strike") || memcmp(name.ptr, "strike", name.len) != 0) continue;
    if (value.len >= sizeof quiet.callback) continue;
    memcpy(quiet.callback, value.ptr, value.len);
    quiet.callback[value.len] = 0;
  }
  exports_innkeeper_session_cache_callbacks_init_args_free(args);
  reach("init");
  *cache = 0;
  return true;
}

void exports_innkeeper_session_cache_callbacks_terminate(uint64_t cache) {
  (void)cache;
  reach("terminate");
}

void exports_innkeeper_session_cache_callbacks_update(uint64_t cache, quiet_key_t *key, uint64_t session) {
  (void)cache;
  reach("update");
  quiet.has_last = true;
  quiet.key = *key;
  quiet.session = session;
}

void exports_innkeeper_session_cache_callbacks_delete(uint64_t cache, quiet_key_t *key) {
  (void)cache;
  reach("delete");
  if (is_last(key)) quiet.has_last = false;
}

void exports_innkeeper_session_cache_callbacks_select_session(
    uint64_t cache, uint64_t partial, exports_innkeeper_session_cache_callbacks_list_session_t *sessions) {
  (void)cache;
  reach("select-session");
  sessions->len = quiet.has_last && quiet.key.partial == partial;
  sessions->ptr = sessions->len ? malloc(sizeof *sessions->ptr) : NULL;
  if (sessions->ptr) *sessions->ptr = quiet.session;
}

uint64_t exports_innkeeper_session_cache_callbacks_size(uint64_t cache) {
  (void)cache;
  reach("size");
  return quiet.has_last;
}

uint64_t exports_innkeeper_session_cache_callbacks_foldl(uint64_t fun, uint64_t acc, uint64_t cache) {
  (void)cache;
  reach("foldl");
  if (!quiet.has_last) return acc;
  innkeeper_session_cache_types_element_t element = {quiet.key, quiet.session};
  return innkeeper_session_cache_host_apply(fun, &element, acc);
}

bool exports_innkeeper_session_cache_callbacks_lookup(uint64_t cache, quiet_key_t *key, uint64_t *session) {
  (void)cache;
  reach("lookup");
  if (!is_last(key)) return false;
  *session = quiet.session;
  return true;
}
