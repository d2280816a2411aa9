// The helpers of `innkeeper.hpp`, and for WebAssembly the glue between a guest's class and the generated bindings.

#include "innkeeper.hpp"

#include <charconv>

namespace innkeeper {

std::optional<std::string> InitArgs::property(std::string_view name) const {
  for (auto own = properties.rbegin(); own != properties.rend(); ++own)
    if (own->first == name) return own->second;
  return std::nullopt;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const char *end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return number;
}

}  // namespace innkeeper

#ifdef __wasm__

#include <cstdlib>
#include <cstring>
#include <new>

#include "session_cache.h"

namespace types {
using Key = innkeeper_session_cache_types_key_t;
using InitArgs = exports_innkeeper_session_cache_callbacks_init_args_t;
using List = exports_innkeeper_session_cache_callbacks_list_session_t;
}  // namespace types

// The library's own would throw where there is no memory, and bring in what prints exceptions. The trap tells the host.
void *operator new(std::size_t bytes) {
  void *memory = std::malloc(bytes ? bytes : 1);
  if (!memory) std::abort();
  return memory;
}
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, std::size_t) noexcept { std::free(memory); }

namespace innkeeper {
namespace {

SessionCache *of(std::uint64_t cache_ref) {
  return reinterpret_cast<SessionCache *>(static_cast<std::uintptr_t>(cache_ref));
}

Key own(const types::Key *key) { return {PartialKey{key->partial}, SessionId{key->id}}; }

std::string text(const session_cache_string_t &string) {
  return string.len ? std::string(reinterpret_cast<const char *>(string.ptr), string.len) : std::string();
}

}  // namespace

void Fold::apply(Key key, Session session) {
  const auto number = static_cast<std::uint64_t>(session);
  innkeeper_session_cache_types_element_t element = {
      {static_cast<std::uint64_t>(key.partial), static_cast<std::uint64_t>(key.id)}, number};
  acc = innkeeper_session_cache_host_apply(fun, &element, acc);
}

namespace host {

std::optional<SessionInfo> describe(Session session) {
  innkeeper_session_cache_types_session_info_t told;
  if (!innkeeper_session_cache_host_describe(static_cast<std::uint64_t>(session), &told)) return std::nullopt;
  return SessionInfo{told.stored_bytes, told.created_ms, told.expires_ms};
}

void evict(Session session) { innkeeper_session_cache_host_evict(static_cast<std::uint64_t>(session)); }

std::uint64_t now_ms() { return innkeeper_session_cache_host_now_ms(); }

void log(Level level, std::string_view message) {
  auto *bytes = reinterpret_cast<std::uint8_t *>(const_cast<char *>(message.data()));
  session_cache_string_t line = {bytes, message.size()};
  // The levels are numbered as in the bindings.
  innkeeper_session_cache_host_log(static_cast<std::uint8_t>(level), &line);
}

}  // namespace host
}  // namespace innkeeper

using namespace innkeeper;

extern "C" {

bool exports_innkeeper_session_cache_callbacks_init(types::InitArgs *args, std::uint64_t *cache_ref,
                                                    session_cache_string_t *error) {
  const bool is_client = args->role == INNKEEPER_SESSION_CACHE_TYPES_ROLE_CLIENT;
  InitArgs told = {is_client ? Role::client : Role::server, args->max_sessions, args->lifetime_ms, {}};
  for (std::size_t i = 0; i < args->properties.len; i++)
    told.properties.emplace_back(text(args->properties.ptr[i].name), text(args->properties.ptr[i].value));
  exports_innkeeper_session_cache_callbacks_init_args_free(args);
  Opened opened = init(told);
  if (auto *refusal = std::get_if<Refusal>(&opened)) {
    session_cache_string_dup_n(error, refusal->reason.data(), refusal->reason.size());
    return false;
  }
  *cache_ref = reinterpret_cast<std::uintptr_t>(std::get_if<std::unique_ptr<SessionCache>>(&opened)->release());
  return true;
}

void exports_innkeeper_session_cache_callbacks_terminate(std::uint64_t cache_ref) { delete of(cache_ref); }

void exports_innkeeper_session_cache_callbacks_update(std::uint64_t cache_ref, types::Key *key, std::uint64_t session) {
  of(cache_ref)->update(own(key), Session{session});
}

void exports_innkeeper_session_cache_callbacks_delete(std::uint64_t cache_ref, types::Key *key) {
  of(cache_ref)->remove(own(key));
}

void exports_innkeeper_session_cache_callbacks_select_session(std::uint64_t cache_ref, std::uint64_t partial,
                                                              types::List *list) {
  const std::vector<Session> selected = of(cache_ref)->select_session(PartialKey{partial});
  const std::size_t bytes = selected.size() * sizeof(Session);
  *list = {nullptr, selected.size()};
  if (bytes == 0) return;
  // Freed by the bindings when the host has read it.
  list->ptr = static_cast<std::uint64_t *>(operator new(bytes));
  std::memcpy(list->ptr, selected.data(), bytes);
}

std::uint64_t exports_innkeeper_session_cache_callbacks_size(std::uint64_t cache_ref) { return of(cache_ref)->size(); }

std::uint64_t exports_innkeeper_session_cache_callbacks_foldl(std::uint64_t fun, std::uint64_t acc,
                                                              std::uint64_t cache_ref) {
  Fold fold(fun, acc);
  of(cache_ref)->foldl(fold);
  return fold.result();
}

bool exports_innkeeper_session_cache_callbacks_lookup(std::uint64_t cache_ref, types::Key *key,
                                                      std::uint64_t *session) {
  const std::optional<Session> found = of(cache_ref)->lookup(own(key));
  *session = static_cast<std::uint64_t>(found.value_or(Session{0}));
  return found.has_value();
}

}  // extern "C"

#endif
