// What a guest in C implements, and what it may ask of the host.
//
// A guest defines `struct Cache`, whatever it needs to remember, and the eight `cache_` functions. A guest decides and
// the host keeps: the numbers stand for sessions in the host's vault, and whatever a guest answers is checked there.
//
// The host never calls two functions of a guest at a time. Each call has a grant of fuel, about one unit an
// instruction: 200 000 for a lookup, selection or size, ten times that for an update or delete. No function but
// `cache_foldl` should look at every session. A call that traps, as `abort` does, or runs out of fuel is a miss, and
// costs the instance: the host then opens a fresh cache and registers all live sessions again, oldest first.

#ifndef INNKEEPER_H
#define INNKEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Whom a session is with: a keyed fingerprint of the server name (role server) or of the peer's host and port (role
// client). Above zero and below 2^53, as all numbers here.
typedef uint64_t PartialKey;

// Which of their sessions it is: a keyed fingerprint of the TLS session id or ticket id.
typedef uint64_t SessionId;

// A session in the host's vault, by its number, which is never used for another session.
typedef uint64_t Session;

// In place of a session: there is none.
#define NO_SESSION ((Session)0)

// What a session is filed under. At most one live session has a given key.
typedef struct {
  PartialKey partial;
  SessionId id;
} Key;

// Which end of a TLS connection a cache serves.
typedef enum {
  ROLE_CLIENT,  // The host is the TLS client: sessions to resume with other servers.
  ROLE_SERVER,  // The host is the TLS server: sessions that connecting clients may resume.
} Role;

// A setting that the operator wrote for this guest.
typedef struct {
  const char *name;
  const char *value;
} Property;

// What a cache is told when it is opened. The texts are gone when `cache_init` has returned.
typedef struct {
  Role role;
  uint32_t sessions_max;  // How many sessions the vault holds at most; past that the host takes some out.
  uint64_t lifetime_ms;   // How long the vault keeps a session.
  const Property *properties;
  size_t properties_len;
} InitArgs;

// The value of the last setting with a name, or NULL.
const char *property(const InitArgs *args, const char *name);

// Reads a text that is nothing but decimal digits, and tells whether it is one that fits.
bool parse_number(const char *text, uint64_t *number);

// For `return` in `cache_init`: refuses the cache, and tells the operator `message: value`. Gives NULL.
void *refuse(const char *message, const char *value);

// For those who call `cache_init`: takes the text of the last refusal, to be freed, or NULL.
char *take_refusal(void);

// ---- What a guest implements.

// One cache; the guest says what is in it.
typedef struct Cache Cache;

// One fold over the sessions of a cache.
typedef struct Fold Fold;

// As many sessions as a selection has room for: more than the host asks for.
enum { SELECTED_MAX = 256 };

// Opens a cache: empty, even where the vault is not. What the vault holds comes by `cache_update`, oldest first.
Cache *cache_init(const InitArgs *args);

// Closes a cache.
void cache_terminate(Cache *cache);

// Registers a session. It replaces the one under the same key, which is dead. May `host_evict` others: those that the
// guest forgets of its own accord.
void cache_update(Cache *cache, Key key, Session session);

// Forgets the session under a key, if it is known. May `host_evict` others.
void cache_delete(Cache *cache, Key key);

// Finds the session under a key, or gives NO_SESSION: do not resume. The host asks only for keys that its vault holds.
Session cache_lookup(Cache *cache, Key key);

// Writes the sessions of a partial key to `selected`, best first, and gives how many.
size_t cache_select_session(Cache *cache, PartialKey partial, Session selected[SELECTED_MAX]);

// Counts the sessions that the guest remembers: as many as `cache_foldl` shows.
uint64_t cache_size(Cache *cache);

// Shows each session to the fold once, in any order.
void cache_foldl(Cache *cache, Fold *fold);

// ---- What a guest may ask of the host: 200 units of fuel a call.

// What may be told of a session without revealing it.
typedef struct {
  uint32_t stored_bytes;  // What it takes in the vault, key included.
  uint64_t created_ms;    // When it was registered, on the clock of `host_now_ms`.
  uint64_t expires_ms;    // When the vault will drop it, on the same clock.
} SessionInfo;

// How much a log line matters.
typedef enum {
  LEVEL_DEBUG,  // For the guest's author.
  LEVEL_INFO,   // Worth knowing.
  LEVEL_WARN,   // Something is off; the cache still serves.
  LEVEL_ERROR,  // Something failed.
} Level;

// Tells a session's size and times; false when the vault does not hold it.
bool host_describe(Session session, SessionInfo *info);

// Asks the vault to forget a session once the running function returns. The host does not call `cache_delete` for it,
// so the guest forgets it too. Traps outside `cache_update` and `cache_delete`.
void host_evict(Session session);

// The time in milliseconds since some moment before the cache was opened. It never goes back, and may stand still.
uint64_t host_now_ms(void);

// Writes one line to the tenant's log. Long lines are cut, and lines beyond the tenant's rate dropped.
void host_log(Level level, const char *message);

// Shows one session to the fold's function. Only in `cache_foldl`.
void fold_apply(Fold *fold, Key key, Session session);

#endif
