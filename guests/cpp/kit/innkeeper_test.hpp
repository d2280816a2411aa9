// For a guest's own native tests: a double of the host, without a vault, and a small harness.
//
// A test is a function; `main` runs each by RUN, before which the double is as new, and returns `testing::report()`.

#ifndef INNKEEPER_TEST_HPP
#define INNKEEPER_TEST_HPP

#include "innkeeper.hpp"

namespace innkeeper::testing {

// How long the vault keeps a session, as a cache is told that `open` opens.
constexpr std::uint64_t lifetime_ms = 3'600'000;

using Element = std::pair<Key, Session>;
using Line = std::pair<host::Level, std::string>;

// A key of two numbers.
constexpr Key key(std::uint64_t partial, std::uint64_t id) { return {PartialKey{partial}, SessionId{id}}; }

// Opens a cache of role server with the operator's properties. A refusal ends the test program.
std::unique_ptr<SessionCache> open(std::uint32_t sessions_max,
                                   std::vector<std::pair<std::string, std::string>> properties = {});

// Why a cache is refused, or none where it is opened.
std::optional<std::string> refusal(std::vector<std::pair<std::string, std::string>> properties);

// Sets the time that `host::now_ms` gives, zero before.
void set_now_ms(std::uint64_t now_ms);

// Makes `host::describe` know a session. It knows none of itself.
void set_info(Session session, host::SessionInfo info);

// The sessions evicted since the last call, in order.
std::vector<Session> evicted();

// The log lines since the last call, whole, in order.
std::vector<Line> logged();

// Everything that a cache shows in a fold, in its order.
std::vector<Element> fold(const SessionCache &cache);

// What a check prints.
std::string text(bool value);
std::string text(std::uint64_t number);
std::string text(Session session);
std::string text(const Element &element);
std::string text(const Line &line);
std::string text(const std::string &string);
std::string text(std::nullopt_t);

template <class T>
std::string text(const std::optional<T> &value) {
  return value ? text(*value) : text(std::nullopt);
}

template <class T>
std::string text(const std::vector<T> &values) {
  std::string list;
  for (const T &value : values) list += (list.empty() ? "" : " ") + text(value);
  return "[" + list + "]";
}

// Runs one test, and says how it went.
void run(const char *name, void (*test)());

// What `main` returns: zero when every check held.
int report();

// Says where a check does not hold; the test goes on.
void check(bool holds, const char *what, const char *file, int line);
void check_text(const std::string &seen, const std::string &expected, const char *what, const char *file, int line);

}  // namespace innkeeper::testing

#define RUN(test) innkeeper::testing::run(#test, test)
#define CHECK(condition) innkeeper::testing::check(condition, #condition, __FILE__, __LINE__)

// Compares two values as they are printed. The second is a value of the first one's type, or a list for it.
#define CHECK_EQUAL(seen, ...)                                                                      \
  do {                                                                                              \
    const auto seen_value = seen;                                                                   \
    const decltype(seen_value) expected_value = __VA_ARGS__;                                        \
    innkeeper::testing::check_text(innkeeper::testing::text(seen_value),                            \
                                   innkeeper::testing::text(expected_value), #seen, __FILE__, __LINE__); \
  } while (false)

#endif
