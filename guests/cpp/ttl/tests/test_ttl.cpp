// The native tests of `ttl`.

#include "innkeeper_test.hpp"

using namespace innkeeper;
using namespace innkeeper::testing;

constexpr Key ours = key(1, 1), other = key(1, 2);

static void a_session_is_forgotten_after_its_time() {
  const auto ttl = open(9, {{"ttl-ms", "100"}});
  ttl->update(ours, Session{1});
  set_now_ms(99);
  CHECK_EQUAL(ttl->lookup(ours), Session{1});
  CHECK_EQUAL(ttl->select_session(PartialKey{1}), {Session{1}});
  set_now_ms(100);
  CHECK_EQUAL(ttl->lookup(ours), std::nullopt);
  CHECK_EQUAL(ttl->select_session(PartialKey{1}), {});
  ttl->update(other, Session{2});
  CHECK_EQUAL(evicted(), {Session{1}});
  CHECK_EQUAL(fold(*ttl), {{other, Session{2}}});
}

static void a_replaced_session_is_not_evicted_with_its_successor() {
  const auto ttl = open(9, {{"ttl-ms", "100"}});
  ttl->update(ours, Session{1});
  set_now_ms(60);
  ttl->update(ours, Session{2});
  set_now_ms(120);
  ttl->update(other, Session{3});
  CHECK_EQUAL(evicted(), {});
  CHECK_EQUAL(ttl->lookup(ours), Session{2});
}

static void one_update_forgets_the_four_oldest() {
  const auto ttl = open(9, {{"ttl-ms", "100"}});
  for (std::uint64_t id = 1; id <= 6; ++id) ttl->update(key(1, 9 - id), Session{id});
  set_now_ms(100);
  ttl->update(ours, Session{7});
  CHECK_EQUAL(evicted(), {Session{1}, Session{2}, Session{3}, Session{4}});
  CHECK_EQUAL(ttl->size(), 3);
  CHECK_EQUAL(ttl->select_session(PartialKey{1}), {Session{7}});
}

static void a_rebuilt_instance_keeps_a_sessions_time() {
  const auto ttl = open(9, {{"ttl-ms", "100"}});
  set_info(Session{1}, {1, 50, 1000});
  set_now_ms(120);
  ttl->update(ours, Session{1});
  CHECK_EQUAL(ttl->lookup(ours), Session{1});
  set_now_ms(150);
  CHECK_EQUAL(ttl->lookup(ours), std::nullopt);
}

static void without_a_setting_it_is_half_the_lifetime() {
  const auto ttl = open(9);
  ttl->update(ours, Session{1});
  set_now_ms(lifetime_ms / 2 - 1);
  CHECK_EQUAL(ttl->lookup(ours), Session{1});
  set_now_ms(lifetime_ms / 2);
  CHECK_EQUAL(ttl->lookup(ours), std::nullopt);
}

static void the_longest_time_does_not_overflow() {
  const auto ttl = open(9, {{"ttl-ms", "18446744073709551615"}});
  set_now_ms(1000);
  ttl->update(ours, Session{1});
  CHECK_EQUAL(ttl->lookup(ours), Session{1});
}

static void a_setting_that_is_no_number_is_refused() {
  for (const std::string text : {"soon", "", "-1", "1.5", "18446744073709551616"})
    CHECK_EQUAL(refusal({{"ttl-ms", text}}), "property `ttl-ms` is not a number: " + text);
}

int main() {
  RUN(a_session_is_forgotten_after_its_time);
  RUN(a_replaced_session_is_not_evicted_with_its_successor);
  RUN(one_update_forgets_the_four_oldest);
  RUN(a_rebuilt_instance_keeps_a_sessions_time);
  RUN(without_a_setting_it_is_half_the_lifetime);
  RUN(the_longest_time_does_not_overflow);
  RUN(a_setting_that_is_no_number_is_refused);
  return report();
}
