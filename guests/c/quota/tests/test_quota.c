// The native tests of `quota`.

#include "innkeeper_test.h"

static void the_oldest_of_a_partial_key_goes(void) {
  Cache *quota = test_open(9, "quota", "2");
  cache_update(quota, (Key){2, 1}, 21);
  cache_update(quota, (Key){1, 1}, 11);
  cache_update(quota, (Key){1, 2}, 12);
  CHECK_NUMBER(cache_lookup(quota, (Key){1, 1}), 11);  // Which does not make it newer.
  cache_update(quota, (Key){1, 3}, 13);
  CHECK_TEXT(test_evicted(), "11");
  CHECK_NUMBER(cache_lookup(quota, (Key){1, 1}), NO_SESSION);
  CHECK_TEXT(test_select(quota, 1), "13 12");
  CHECK_TEXT(test_select(quota, 2), "21");
  CHECK_TEXT(test_fold(quota), "2/1=21 1/2=12 1/3=13");
  cache_terminate(quota);
}

static void a_key_registered_again_is_new_and_its_old_session_dead(void) {
  Cache *quota = test_open(9, "quota", "2");
  cache_update(quota, (Key){1, 1}, 11);
  cache_update(quota, (Key){1, 2}, 12);
  cache_update(quota, (Key){1, 1}, 13);
  CHECK_TEXT(test_evicted(), "");
  cache_update(quota, (Key){1, 3}, 14);
  CHECK_TEXT(test_evicted(), "12");
  CHECK_TEXT(test_select(quota, 1), "14 13");
  CHECK_NUMBER(cache_size(quota), 2);
  cache_terminate(quota);
}

static void a_deleted_session_makes_room(void) {
  Cache *quota = test_open(9, "quota", "1");
  cache_update(quota, (Key){1, 1}, 11);
  cache_delete(quota, (Key){1, 1});
  cache_delete(quota, (Key){1, 1});
  CHECK_TEXT(test_select(quota, 1), "");
  cache_update(quota, (Key){1, 2}, 12);
  CHECK_TEXT(test_evicted(), "");
  CHECK_TEXT(test_fold(quota), "1/2=12");
  cache_terminate(quota);
}

static void without_a_setting_there_are_sixteen(void) {
  Cache *quota = test_open(1000, NULL, NULL);
  for (SessionId id = 1; id <= 17; id++) cache_update(quota, (Key){1, id}, 100 + id);
  CHECK_TEXT(test_evicted(), "101");
  CHECK_NUMBER(cache_size(quota), 16);
  cache_terminate(quota);
}

static void a_setting_that_is_no_number_above_zero_is_refused(void) {
  CHECK(!test_open(9, "quota", "0"));
  CHECK_TEXT(test_refusal(), "property `quota` is not a number above zero: 0");
  CHECK(!test_open(9, "quota", ""));
  CHECK_TEXT(test_refusal(), "property `quota` is not a number above zero: ");
  CHECK(!test_open(9, "quota", "many"));
  CHECK_TEXT(test_refusal(), "property `quota` is not a number above zero: many");
}

int main(void) {
  RUN(the_oldest_of_a_partial_key_goes);
  RUN(a_key_registered_again_is_new_and_its_old_session_dead);
  RUN(a_deleted_session_makes_room);
  RUN(without_a_setting_there_are_sixteen);
  RUN(a_setting_that_is_no_number_above_zero_is_refused);
  return test_report();
}
