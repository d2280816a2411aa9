// The functions that a guest in C implements, and those of the host.
//
// A guest defines `struct Cache`, with everything it remembers, and the eight `cache_` functions. A guest decides and
// the host keeps: the numbers stand for sessions in the host's vault, which checks every answer.
//
// The host never calls two functions of a guest at a time. Each call has a grant of fuel, about one unit an
// instruction: 200 000 for a lookup, selection or size, ten times that for an update or delete. Only `cache_foldl`
// should look at every session. A call that traps, as `abort` does, or runs out of fuel is a miss, and costs the
// instance: the host then opens a fresh cache and registers all live sessions again, oldest first.

#ifndef INNKEEPER_H
#define INNKEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The peer of a session: a keyed fingerprint of the server name (role server) or of the peer's host and port (role
// client). Above zero and below 2^53, as all numbers here.
typedef uint64_t PartialKey;

// One of a peer's sessions: a keyed fingerprint of the TLS session id or ticket id.
typedef uint64_t SessionId;

// A session in the host's vault, by its number, which is never used for another session.
typedef uint64_t Session;

// The answer without a session.
#define NO_SESSION ((Session)0)

// The name of a session. At most one live session has a given key.
typedef struct {
  PartialKey partial;
  SessionId id;
} Key;

// The end of a TLS connection that a cache serves.
typedef enum {
  ROLE_CLIENT,  // The host is the TLS client: sessions to resume with other servers.
  ROLE_SERVER,  // The host is the TLS server: sessions that connecting clients may resume.
} Role;

// One of the operator's settings for this guest.
typedef struct {
  const char *name;
  const char *value;
} Property;

// The settings of a new cache. The texts live until `cache_init` returns.
typedef struct {
  Role role;
  uint32_t sessions_max;  // The most sessions that the vault holds; past that the host removes some.
  uint64_t lifetime_ms;   // The time that the vault keeps a session.
  const Property *properties;
  size_t properties_len;
} InitArgs;

// The value of the last setting with a name, or NULL.
const char *property(const InitArgs *args, const char *name);

// Reads a text of decimal digits. False for any other text, or a number that is too large.
bool parse_number(const char *text, uint64_t *number);

// For `return` in `cache_init`: refuses the cache, and tells the operator `message: value`. Returns NULL.
void *refuse(const char *message, const char *value);

// For callers of `cache_init`: takes the text of the last refusal, which they free, or NULL.
char *take_refusal(void);

// ---- The functions of a guest.

// One cache; the guest defines its content.
typedef struct Cache Cache;

// One fold over the sessions of a cache.
typedef struct Fold Fold;

// The most sessions of a selection: more than the host asks for.
enum { SELECTED_MAX = 256 };

// Opens a cache: empty, even where the vault is not. The vault's sessions follow by `cache_update`, oldest first.
Cache *cache_init(const InitArgs *args);

// Closes a cache.
void cache_terminate(Cache *cache);

// Registers a session. It replaces the one under the same key, which is dead. May `host_evict` others: those that the
// guest forgets of its own accord.
void cache_update(Cache *cache, Key key, Session session);

// Forgets the session under a key, if it is known. May `host_evict` others.
void cache_delete(Cache *cache, Key key);

// Finds the session under a key, or returns NO_SESSION: no resumption. The host asks only for keys in its vault.
Session cache_lookup(Cache *cache, Key key);

// Writes the sessions of a partial key to `selected`, best first, and returns their number.
size_t cache_select_session(Cache *cache, PartialKey partial, Session selected[SELECTED_MAX]);

// Counts the sessions that the guest remembers: as many as `cache_foldl` shows.
uint64_t cache_size(Cache *cache);

// Shows each session to the fold once, in any order.
void cache_foldl(Cache *cache, Fold *fold);

// ---- The host's functions: 200 units of fuel a call.

// A session's size and times, which reveal nothing of it.
typedef struct {
  uint32_t stored_bytes;  // Its size in the vault, key included.
  uint64_t created_ms;    // The time of its registration, on the clock of `host_now_ms`.
  uint64_t expires_ms;    // The time when the vault drops it, on the same clock.
} SessionInfo;

// The importance of a log line.
typedef enum {
  LEVEL_DEBUG,  // For the guest's author.
  LEVEL_INFO,   // Worth knowing.
  LEVEL_WARN,   // A problem; the cache still serves.
  LEVEL_ERROR,  // A failure.
} Level;

// Returns a session's size and times; false when the vault has no such session.
bool host_describe(Session session, SessionInfo *info);

// Asks the vault to forget a session once the running function returns. The host calls no `cache_delete` for it,
// so the guest forgets it too. Traps outside `cache_update` and `cache_delete`.
void host_evict(Session session);

// The time in milliseconds since some moment before the cache was opened. It never goes back, and may stand still.
uint64_t host_now_ms(void);

// Writes one line to the tenant's log. Long lines are cut, and lines beyond the tenant's rate dropped.
void host_log(Level level, const char *message);

// Shows one session to the fold's function. Only in `cache_foldl`.
void fold_apply(Fold *fold, Key key, Session session);

#endif
