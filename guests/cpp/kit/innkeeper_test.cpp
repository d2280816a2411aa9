// See `innkeeper_test.hpp`. Nothing of it is in the component.

#ifndef __wasm__

#include "innkeeper_test.hpp"

#include <cstdio>
#include <cstdlib>
#include <map>

namespace innkeeper {
namespace {

struct Double {
  std::uint64_t now_ms = 0;
  std::map<Session, host::SessionInfo> infos;
  std::vector<testing::Element> shown;
  std::vector<Session> evicted;
  std::vector<testing::Line> logged;
};

Double the_double;
unsigned failures, tests, tests_failed;

}  // namespace

void Fold::apply(Key key, Session session) {
  the_double.shown.emplace_back(key, session);
  acc++;
}

namespace host {

std::optional<SessionInfo> describe(Session session) {
  const auto known = the_double.infos.find(session);
  if (known == the_double.infos.end()) return std::nullopt;
  return known->second;
}

void evict(Session session) { the_double.evicted.push_back(session); }

std::uint64_t now_ms() { return the_double.now_ms; }

void log(Level level, std::string_view message) { the_double.logged.emplace_back(level, message); }

}  // namespace host

namespace testing {

std::unique_ptr<SessionCache> open(std::uint32_t sessions_max,
                                   std::vector<std::pair<std::string, std::string>> properties) {
  Opened opened = init({Role::server, sessions_max, lifetime_ms, std::move(properties)});
  if (const auto *refusal = std::get_if<Refusal>(&opened)) {
    std::printf("the test cannot go on: %s\n", refusal->reason.c_str());
    std::exit(2);
  }
  return std::move(*std::get_if<std::unique_ptr<SessionCache>>(&opened));
}

std::optional<std::string> refusal(std::vector<std::pair<std::string, std::string>> properties) {
  const Opened opened = init({Role::server, 10, lifetime_ms, std::move(properties)});
  if (const auto *refusal = std::get_if<Refusal>(&opened)) return refusal->reason;
  return std::nullopt;
}

void set_now_ms(std::uint64_t now_ms) { the_double.now_ms = now_ms; }

void set_info(Session session, host::SessionInfo info) { the_double.infos[session] = info; }

std::vector<Session> evicted() { return std::exchange(the_double.evicted, {}); }

std::vector<Line> logged() { return std::exchange(the_double.logged, {}); }

std::vector<Element> fold(const SessionCache &cache) {
  Fold fold(0, 0);
  cache.foldl(fold);
  return std::exchange(the_double.shown, {});
}

std::string text(bool value) { return value ? "true" : "false"; }

std::string text(std::uint64_t number) { return std::to_string(number); }

std::string text(Session session) { return text(static_cast<std::uint64_t>(session)); }

std::string text(const Element &element) {
  const auto &[key, session] = element;
  const std::string partial = text(static_cast<std::uint64_t>(key.partial));
  return partial + "/" + text(static_cast<std::uint64_t>(key.id)) + "=" + text(session);
}

std::string text(const Line &line) {
  constexpr const char *names[] = {"debug", "info", "warn", "error"};
  return names[static_cast<int>(line.first)] + (": " + text(line.second));
}

std::string text(const std::string &string) { return "\"" + string + "\""; }

std::string text(std::nullopt_t) { return "none"; }

void run(const char *name, void (*test)()) {
  the_double = {};
  failures = 0;
  test();
  std::printf("%s %s\n", failures ? "FAILED" : "ok", name);
  tests++;
  tests_failed += failures > 0;
}

int report() {
  std::printf("%u tests, %u failed\n", tests, tests_failed);
  return tests_failed > 0;
}

void check(bool holds, const char *what, const char *file, int line) {
  if (holds) return;
  std::printf("%s:%d: does not hold: %s\n", file, line, what);
  failures++;
}

void check_text(const std::string &seen, const std::string &expected, const char *what, const char *file, int line) {
  if (seen == expected) return;
  std::printf("%s:%d: %s: expected %s, seen %s\n", file, line, what, expected.c_str(), seen.c_str());
  failures++;
}

}  // namespace testing
}  // namespace innkeeper

#endif
