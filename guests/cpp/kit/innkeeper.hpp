// The class that a guest in C++ derives from, and the host's functions. C++17, without exceptions.
//
// A guest derives a class from `innkeeper::SessionCache` and defines `innkeeper::init`, which makes one. A guest
// decides and the host keeps: the numbers stand for sessions in the host's vault, which checks every answer.
//
// The host never calls two functions of a guest at a time. Each call has a grant of fuel, about one unit an
// instruction: 200 000 for a lookup, selection or size, ten times that for an update or delete. Only `foldl` should
// look at every session. A call that traps, as `abort` does, or runs out of fuel is a miss, and costs the instance:
// the host then opens a fresh cache and registers all live sessions again, oldest first.

#ifndef INNKEEPER_HPP
#define INNKEEPER_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

namespace innkeeper {

// The peer of a session: a keyed fingerprint of the server name (role server) or of the peer's host and port (role
// client). Above zero and below 2^53, as all numbers here.
enum class PartialKey : std::uint64_t {};

// One of a peer's sessions: a keyed fingerprint of the TLS session id or ticket id.
enum class SessionId : std::uint64_t {};

// A session in the host's vault, by its number, which is never used for another session.
enum class Session : std::uint64_t {};

// The name of a session. At most one live session has a given key. Keys of one partial key are neighbours in
// the order, and the one with the id zero, which no session has, is before them: `std::map` finds them by
// `lower_bound`, and none of its calls files all sessions again, unlike a growing hash table's.
struct Key {
  PartialKey partial;
  SessionId id;

  friend bool operator==(const Key &a, const Key &b) { return a.partial == b.partial && a.id == b.id; }
  friend bool operator<(const Key &a, const Key &b) { return std::tie(a.partial, a.id) < std::tie(b.partial, b.id); }
};

// The end of a TLS connection that a cache serves.
enum class Role {
  client,  // The host is the TLS client: sessions to resume with other servers.
  server,  // The host is the TLS server: sessions that connecting clients may resume.
};

// The settings of a new cache.
struct InitArgs {
  Role role;
  std::uint32_t sessions_max;  // The most sessions that the vault holds; past that the host removes some.
  std::uint64_t lifetime_ms;   // The time that the vault keeps a session.
  std::vector<std::pair<std::string, std::string>> properties;  // The operator's settings: names and values, in order.

  // The value of the last setting with a name.
  std::optional<std::string> property(std::string_view name) const;
};

// Reads a text of decimal digits; none for any other text, or a number that is too large.
std::optional<std::uint64_t> parse_number(std::string_view text);

// One fold over the sessions of a cache.
class Fold {
 public:
  Fold(std::uint64_t fun, std::uint64_t acc) : fun(fun), acc(acc) {}
  Fold(const Fold &) = delete;
  Fold &operator=(const Fold &) = delete;

  // Shows one session to the fold's function: a call of the host.
  void apply(Key key, Session session);

  // The host's last accumulator.
  std::uint64_t result() const { return acc; }

 private:
  [[maybe_unused]] const std::uint64_t fun;  // The host's double has none.
  std::uint64_t acc;
};

// The most sessions of a selection: more than the host asks for.
constexpr std::size_t selected_max = 256;

// The logic of a session cache. One object is one cache; it is destroyed when the host closes it.
class SessionCache {
 public:
  SessionCache() = default;
  SessionCache(const SessionCache &) = delete;
  SessionCache &operator=(const SessionCache &) = delete;
  virtual ~SessionCache() = default;

  // Registers a session. It replaces the one under the same key, which is dead. May `host::evict` others: those that
  // the guest forgets of its own accord.
  virtual void update(Key key, Session session) = 0;

  // Forgets the session under a key, if it is known. May `host::evict` others.
  virtual void remove(Key key) = 0;

  // Finds the session under a key; none means: do not resume. The host asks only for keys that its vault holds.
  virtual std::optional<Session> lookup(Key key) = 0;

  // Returns the sessions of a partial key, best first. No more than `selected_max`.
  virtual std::vector<Session> select_session(PartialKey partial) = 0;

  // Counts the sessions that the guest remembers: as many as `foldl` shows.
  virtual std::uint64_t size() const = 0;

  // Shows each session to the fold once, in any order.
  virtual void foldl(Fold &fold) const = 0;
};

// The reason for a refusal, for the operator.
struct Refusal {
  std::string reason;
};

using Opened = std::variant<std::unique_ptr<SessionCache>, Refusal>;

// A guest defines this one. Opens a cache: empty, even where the vault is not. The vault's sessions follow by `update`,
// oldest first.
Opened init(const InitArgs &args);

namespace host {

// A session's size and times, which reveal nothing of it.
struct SessionInfo {
  std::uint32_t stored_bytes;  // Its size in the vault, key included.
  std::uint64_t created_ms;    // The time of its registration, on the clock of `now_ms`.
  std::uint64_t expires_ms;    // The time when the vault drops it, on the same clock.
};

// The importance of a log line.
enum class Level {
  debug,  // For the guest's author.
  info,   // Worth knowing.
  warn,   // A problem; the cache still serves.
  error,  // A failure.
};

// Each call costs 200 units of fuel.

// Returns a session's size and times, or none when the vault has no such session.
std::optional<SessionInfo> describe(Session session);

// Asks the vault to forget a session once the running function returns. The host calls no `remove` for it, so the
// guest forgets it too. Traps outside `update` and `remove`.
void evict(Session session);

// The time in milliseconds since some moment before the cache was opened. It never goes back, and may stand still.
std::uint64_t now_ms();

// Writes one line to the tenant's log. Long lines are cut, and lines beyond the tenant's rate dropped.
void log(Level level, std::string_view message);

}  // namespace host
}  // namespace innkeeper

#endif
