// The helpers of `innkeeper.h`, and for WebAssembly the glue between a guest's functions and the generated bindings.

#include "innkeeper.h"

#include <stdlib.h>
#include <string.h>

// Why the cache was refused, until the host has been told.
static char *refusal;

const char *property(const InitArgs *args, const char *name) {
  for (size_t i = args->properties_len; i > 0; i--)
    if (strcmp(args->properties[i - 1].name, name) == 0) return args->properties[i - 1].value;
  return NULL;
}

bool parse_number(const char *text, uint64_t *number) {
  *number = 0;
  if (!*text) return false;
  for (; *text; text++) {
    uint64_t digit = (uint64_t)*text - '0';
    if (digit > 9 || *number > (UINT64_MAX - digit) / 10) return false;
    *number = *number * 10 + digit;
  }
  return true;
}

void *refuse(const char *message, const char *value) {
  free(refusal);
  refusal = malloc(strlen(message) + strlen(": ") + strlen(value) + 1);
  if (!refusal) abort();
  strcat(strcat(strcpy(refusal, message), ": "), value);
  return NULL;
}

char *take_refusal(void) {
  char *taken = refusal;
  refusal = NULL;
  return taken;
}

#ifdef __wasm__

#include "session_cache.h"

struct Fold {
  uint64_t fun, acc;
};

static Cache *of(uint64_t cache_ref) { return (Cache *)(uintptr_t)cache_ref; }

static Key own(const innkeeper_session_cache_types_key_t *key) { return (Key){key->partial, key->id}; }

static char *text(session_cache_string_t string) {
  char *copy = malloc(string.len + 1);
  if (!copy) abort();
  if (string.len) memcpy(copy, string.ptr, string.len);
  copy[string.len] = 0;
  return copy;
}

static Property *properties(const innkeeper_session_cache_types_list_property_t *list) {
  Property *copies = calloc(list->len + 1, sizeof *copies);
  if (!copies) abort();
  for (size_t i = 0; i < list->len; i++) copies[i] = (Property){text(list->ptr[i].name), text(list->ptr[i].value)};
  return copies;
}

bool exports_innkeeper_session_cache_callbacks_init(exports_innkeeper_session_cache_callbacks_init_args_t *args,
                                                    uint64_t *cache_ref, session_cache_string_t *error) {
  InitArgs init = {.role = args->role == INNKEEPER_SESSION_CACHE_TYPES_ROLE_CLIENT ? ROLE_CLIENT : ROLE_SERVER,
                   .sessions_max = args->max_sessions,
                   .lifetime_ms = args->lifetime_ms,
                   .properties = properties(&args->properties),
                   .properties_len = args->properties.len};
  exports_innkeeper_session_cache_callbacks_init_args_free(args);
  Cache *cache = cache_init(&init);
  for (size_t i = 0; i < init.properties_len; i++) {
    free((char *)init.properties[i].name);
    free((char *)init.properties[i].value);
  }
  free((Property *)init.properties);
  *cache_ref = (uintptr_t)cache;
  if (cache) return true;
  if (!refusal) refuse("the guest opens no cache", "it does not say why");
  // The bindings free it when the host has read it.
  session_cache_string_set(error, take_refusal());
  return false;
}

void exports_innkeeper_session_cache_callbacks_terminate(uint64_t cache_ref) { cache_terminate(of(cache_ref)); }

void exports_innkeeper_session_cache_callbacks_update(uint64_t cache_ref, innkeeper_session_cache_types_key_t *key,
                                                      uint64_t session) {
  cache_update(of(cache_ref), own(key), session);
}

void exports_innkeeper_session_cache_callbacks_delete(uint64_t cache_ref, innkeeper_session_cache_types_key_t *key) {
  cache_delete(of(cache_ref), own(key));
}

void exports_innkeeper_session_cache_callbacks_select_session(
    uint64_t cache_ref, uint64_t partial, exports_innkeeper_session_cache_callbacks_list_session_t *list) {
  Session selected[SELECTED_MAX];
  list->len = cache_select_session(of(cache_ref), partial, selected);
  if (list->len > SELECTED_MAX) abort();
  size_t bytes = list->len * sizeof *selected;
  // Freed by the bindings, which free nothing where there are none.
  list->ptr = bytes ? malloc(bytes) : NULL;
  if (bytes && !list->ptr) abort();
  if (bytes) memcpy(list->ptr, selected, bytes);
}

uint64_t exports_innkeeper_session_cache_callbacks_size(uint64_t cache_ref) { return cache_size(of(cache_ref)); }

uint64_t exports_innkeeper_session_cache_callbacks_foldl(uint64_t fun, uint64_t acc, uint64_t cache_ref) {
  Fold fold = {fun, acc};
  cache_foldl(of(cache_ref), &fold);
  return fold.acc;
}

bool exports_innkeeper_session_cache_callbacks_lookup(uint64_t cache_ref, innkeeper_session_cache_types_key_t *key,
                                                      uint64_t *session) {
  *session = cache_lookup(of(cache_ref), own(key));
  return *session != NO_SESSION;
}

bool host_describe(Session session, SessionInfo *info) {
  innkeeper_session_cache_types_session_info_t told;
  if (!innkeeper_session_cache_host_describe(session, &told)) return false;
  *info = (SessionInfo){told.stored_bytes, told.created_ms, told.expires_ms};
  return true;
}

void host_evict(Session session) { innkeeper_session_cache_host_evict(session); }

uint64_t host_now_ms(void) { return innkeeper_session_cache_host_now_ms(); }

void host_log(Level level, const char *message) {
  session_cache_string_t line;
  session_cache_string_set(&line, message);
  // The levels are numbered as in the bindings.
  innkeeper_session_cache_host_log((uint8_t)level, &line);
}

void fold_apply(Fold *fold, Key key, Session session) {
  innkeeper_session_cache_types_element_t element = {{key.partial, key.id}, session};
  fold->acc = innkeeper_session_cache_host_apply(fold->fun, &element, fold->acc);
}

#endif
