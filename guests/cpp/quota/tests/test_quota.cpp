// The native tests of `quota`.

#include "innkeeper_test.hpp"

using namespace innkeeper;
using namespace innkeeper::testing;

static void the_oldest_of_a_partial_key_goes() {
  const auto quota = open(9, {{"quota", "2"}});
  quota->update(key(2, 1), Session{21});
  quota->update(key(1, 1), Session{11});
  quota->update(key(1, 2), Session{12});
  CHECK_EQUAL(quota->lookup(key(1, 1)), Session{11});  // Which does not make it newer.
  quota->update(key(1, 3), Session{13});
  CHECK_EQUAL(evicted(), {Session{11}});
  CHECK_EQUAL(quota->lookup(key(1, 1)), std::nullopt);
  CHECK_EQUAL(quota->select_session(PartialKey{1}), {Session{13}, Session{12}});
  CHECK_EQUAL(quota->select_session(PartialKey{2}), {Session{21}});
  CHECK_EQUAL(fold(*quota), {{key(1, 2), Session{12}}, {key(1, 3), Session{13}}, {key(2, 1), Session{21}}});
}

static void a_key_registered_again_is_new_and_its_old_session_dead() {
  const auto quota = open(9, {{"quota", "2"}});
  quota->update(key(1, 1), Session{11});
  quota->update(key(1, 2), Session{12});
  quota->update(key(1, 1), Session{13});
  CHECK_EQUAL(evicted(), {});
  quota->update(key(1, 3), Session{14});
  CHECK_EQUAL(evicted(), {Session{12}});
  CHECK_EQUAL(quota->select_session(PartialKey{1}), {Session{14}, Session{13}});
  CHECK_EQUAL(quota->size(), 2);
}

static void a_quota_of_one_keeps_the_newest() {
  const auto quota = open(9, {{"quota", "1"}});
  quota->update(key(1, 1), Session{11});
  quota->update(key(1, 2), Session{12});
  CHECK_EQUAL(evicted(), {Session{11}});
  CHECK_EQUAL(fold(*quota), {{key(1, 2), Session{12}}});
}

static void a_deleted_session_makes_room() {
  const auto quota = open(9, {{"quota", "1"}});
  quota->update(key(1, 1), Session{11});
  quota->remove(key(1, 1));
  quota->remove(key(1, 1));
  CHECK_EQUAL(quota->select_session(PartialKey{1}), {});
  quota->update(key(1, 2), Session{12});
  CHECK_EQUAL(evicted(), {});
  CHECK_EQUAL(fold(*quota), {{key(1, 2), Session{12}}});
}

static void without_a_setting_there_are_sixteen() {
  const auto quota = open(1000);
  for (std::uint64_t id = 1; id <= 17; ++id) quota->update(key(1, id), Session{100 + id});
  CHECK_EQUAL(evicted(), {Session{101}});
  CHECK_EQUAL(quota->size(), 16);
}

static void a_setting_that_is_no_number_above_zero_is_refused() {
  for (const std::string text : {"0", "", "-1", "many"})
    CHECK_EQUAL(refusal({{"quota", text}}), "property `quota` is not a number above zero: " + text);
}

int main() {
  RUN(the_oldest_of_a_partial_key_goes);
  RUN(a_key_registered_again_is_new_and_its_old_session_dead);
  RUN(a_quota_of_one_keeps_the_newest);
  RUN(a_deleted_session_makes_room);
  RUN(without_a_setting_there_are_sixteen);
  RUN(a_setting_that_is_no_number_above_zero_is_refused);
  return report();
}
