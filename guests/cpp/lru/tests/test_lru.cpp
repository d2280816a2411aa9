// The native tests of `lru`.

#include <list>

#include "innkeeper_test.hpp"

using namespace innkeeper;
using namespace innkeeper::testing;

static void the_least_recently_used_session_goes() {
  const auto lru = open(2);
  lru->update(key(1, 1), Session{11});
  lru->update(key(1, 2), Session{12});
  CHECK_EQUAL(lru->lookup(key(1, 1)), Session{11});
  lru->update(key(1, 3), Session{13});
  CHECK_EQUAL(evicted(), {Session{12}});
  CHECK_EQUAL(lru->lookup(key(1, 2)), std::nullopt);
  CHECK_EQUAL(fold(*lru), {{key(1, 1), Session{11}}, {key(1, 3), Session{13}}});
}

static void a_key_stands_for_its_last_session() {
  const auto lru = open(2);
  lru->update(key(1, 1), Session{11});
  lru->update(key(1, 2), Session{12});
  lru->update(key(1, 1), Session{13});
  CHECK_EQUAL(evicted(), {});  // The old session is dead already.
  CHECK_EQUAL(fold(*lru), {{key(1, 2), Session{12}}, {key(1, 1), Session{13}}});
  CHECK_EQUAL(lru->size(), 2);
}

static void select_gives_the_sessions_of_one_partial_key() {
  const auto lru = open(9);
  lru->update(key(2, 7), Session{27});
  lru->update(key(1, 9), Session{19});
  lru->update(key(1, 3), Session{13});
  CHECK_EQUAL(lru->select_session(PartialKey{1}), {Session{13}, Session{19}});
  CHECK_EQUAL(lru->select_session(PartialKey{3}), {});
}

static void a_selection_is_not_longer_than_allowed() {
  const auto lru = open(1000);
  for (std::uint64_t id = 1; id <= 300; ++id) lru->update(key(1, id), Session{id});
  CHECK_EQUAL(lru->select_session(PartialKey{1}).size(), selected_max);
}

static void an_absent_key_is_forgotten_without_harm() {
  const auto lru = open(2);
  lru->update(key(1, 1), Session{11});
  lru->remove(key(1, 2));
  lru->remove(key(1, 1));
  lru->remove(key(1, 1));
  CHECK_EQUAL(lru->lookup(key(1, 1)), std::nullopt);
  CHECK_EQUAL(lru->size(), 0);
  CHECK_EQUAL(evicted(), {});
}

// Random calls, beside a list from the least to the most recently used.
static void it_agrees_with_a_list() {
  constexpr std::size_t max = 40;
  const auto lru = open(max);
  std::list<Element> list;
  std::uint64_t random = 1;
  for (std::uint64_t step = 1; step <= 20000; ++step) {
    random = random * 6364136223846793005 + 1442695040888963407;
    const Key asked = key(1 + (random >> 33) % 5, 1 + (random >> 40) % 20);
    std::optional<Session> known;
    list.remove_if([&](const Element &element) {
      if (!(element.first == asked)) return false;
      known = element.second;
      return true;
    });
    CHECK_EQUAL(lru->lookup(asked), known);
    if (random >> 62 == 0) {
      lru->remove(asked);
      known = std::nullopt;
    } else if (random >> 62 == 1) {
      lru->update(asked, Session{step});
      known = Session{step};
    }
    if (known) list.emplace_back(asked, *known);
    std::vector<Session> victims;
    if (list.size() > max) {
      victims.push_back(list.front().second);
      list.pop_front();
    }
    CHECK_EQUAL(evicted(), victims);
    CHECK_EQUAL(lru->size(), list.size());
  }
  CHECK_EQUAL(fold(*lru), std::vector<Element>(list.begin(), list.end()));
}

int main() {
  RUN(the_least_recently_used_session_goes);
  RUN(a_key_stands_for_its_last_session);
  RUN(select_gives_the_sessions_of_one_partial_key);
  RUN(a_selection_is_not_longer_than_allowed);
  RUN(an_absent_key_is_forgotten_without_harm);
  RUN(it_agrees_with_a_list);
  return report();
}
