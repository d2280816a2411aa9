// The native tests of `ttl`.

#include "innkeeper_test.h"

static const Key KEY = {1, 1}, OTHER = {1, 2};

static void a_session_is_forgotten_after_its_time(void) {
  Cache *ttl = test_open(9, "ttl-ms", "100");
  cache_update(ttl, KEY, 1);
  test_set_now_ms(99);
  CHECK_NUMBER(cache_lookup(ttl, KEY), 1);
  CHECK_TEXT(test_select(ttl, 1), "1");
  test_set_now_ms(100);
  CHECK_NUMBER(cache_lookup(ttl, KEY), NO_SESSION);
  CHECK_TEXT(test_select(ttl, 1), "");
  cache_update(ttl, OTHER, 2);
  CHECK_TEXT(test_evicted(), "1");
  CHECK_TEXT(test_fold(ttl), "1/2=2");
  cache_terminate(ttl);
}

static void a_replaced_session_is_not_evicted_with_its_successor(void) {
  Cache *ttl = test_open(9, "ttl-ms", "100");
  cache_update(ttl, KEY, 1);
  test_set_now_ms(60);
  cache_update(ttl, KEY, 2);
  test_set_now_ms(120);
  cache_update(ttl, OTHER, 3);
  CHECK_TEXT(test_evicted(), "");
  CHECK_NUMBER(cache_lookup(ttl, KEY), 2);
  cache_terminate(ttl);
}

static void one_update_forgets_the_four_oldest(void) {
  Cache *ttl = test_open(9, "ttl-ms", "100");
  for (Session session = 1; session <= 6; session++) cache_update(ttl, (Key){1, 9 - session}, session);
  test_set_now_ms(100);
  cache_update(ttl, KEY, 7);
  CHECK_TEXT(test_evicted(), "1 2 3 4");
  CHECK_NUMBER(cache_size(ttl), 3);
  CHECK_TEXT(test_select(ttl, 1), "7");
  cache_terminate(ttl);
}

static void a_rebuilt_instance_keeps_a_sessions_time(void) {
  Cache *ttl = test_open(9, "ttl-ms", "100");
  test_set_info(1, (SessionInfo){.stored_bytes = 1, .created_ms = 50, .expires_ms = 1000});
  test_set_now_ms(120);
  cache_update(ttl, KEY, 1);
  CHECK_NUMBER(cache_lookup(ttl, KEY), 1);
  test_set_now_ms(150);
  CHECK_NUMBER(cache_lookup(ttl, KEY), NO_SESSION);
  cache_terminate(ttl);
}

static void without_a_setting_it_is_half_the_lifetime(void) {
  Cache *ttl = test_open(9, NULL, NULL);
  cache_update(ttl, KEY, 1);
  test_set_now_ms(TEST_LIFETIME_MS / 2 - 1);
  CHECK_NUMBER(cache_lookup(ttl, KEY), 1);
  test_set_now_ms(TEST_LIFETIME_MS / 2);
  CHECK_NUMBER(cache_lookup(ttl, KEY), NO_SESSION);
  cache_terminate(ttl);
}

static void the_longest_time_does_not_overflow(void) {
  Cache *ttl = test_open(9, "ttl-ms", "18446744073709551615");
  test_set_now_ms(1000);
  cache_update(ttl, KEY, 1);
  CHECK_NUMBER(cache_lookup(ttl, KEY), 1);
  cache_terminate(ttl);
}

static void a_setting_that_is_no_number_is_refused(void) {
  CHECK(!test_open(9, "ttl-ms", "soon"));
  CHECK_TEXT(test_refusal(), "property `ttl-ms` is not a number: soon");
  CHECK(!test_open(9, "ttl-ms", "18446744073709551616"));
  CHECK_TEXT(test_refusal(), "property `ttl-ms` is not a number: 18446744073709551616");
}

int main(void) {
  RUN(a_session_is_forgotten_after_its_time);
  RUN(a_replaced_session_is_not_evicted_with_its_successor);
  RUN(one_update_forgets_the_four_oldest);
  RUN(a_rebuilt_instance_keeps_a_sessions_time);
  RUN(without_a_setting_it_is_half_the_lifetime);
  RUN(the_longest_time_does_not_overflow);
  RUN(a_setting_that_is_no_number_is_refused);
  return test_report();
}
