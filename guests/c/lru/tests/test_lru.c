// The native tests of `lru`.

#include "innkeeper_test.h"

static void the_least_recently_used_session_goes(void) {
  Cache *lru = test_open(2, NULL, NULL);
  cache_update(lru, (Key){1, 1}, 11);
  cache_update(lru, (Key){1, 2}, 12);
  CHECK_NUMBER(cache_lookup(lru, (Key){1, 1}), 11);
  cache_update(lru, (Key){1, 3}, 13);
  CHECK_TEXT(test_evicted(), "12");
  CHECK_NUMBER(cache_lookup(lru, (Key){1, 2}), NO_SESSION);
  CHECK_TEXT(test_fold(lru), "1/1=11 1/3=13");
  cache_terminate(lru);
}

static void a_key_stands_for_its_last_session(void) {
  Cache *lru = test_open(2, NULL, NULL);
  cache_update(lru, (Key){1, 1}, 11);
  cache_update(lru, (Key){1, 2}, 12);
  cache_update(lru, (Key){1, 1}, 13);
  CHECK_TEXT(test_evicted(), "");  // The old session is dead already.
  CHECK_TEXT(test_fold(lru), "1/2=12 1/1=13");
  CHECK_NUMBER(cache_size(lru), 2);
  cache_terminate(lru);
}

static void select_gives_the_sessions_of_one_partial_key(void) {
  Cache *lru = test_open(9, NULL, NULL);
  cache_update(lru, (Key){2, 7}, 27);
  cache_update(lru, (Key){1, 9}, 19);
  cache_update(lru, (Key){1, 3}, 13);
  CHECK_TEXT(test_select(lru, 1), "13 19");
  CHECK_NUMBER(cache_lookup(lru, (Key){1, 9}), 19);
  CHECK_TEXT(test_select(lru, 1), "13 19");
  CHECK_TEXT(test_select(lru, 3), "");
  cache_terminate(lru);
}

static void a_selection_is_not_longer_than_its_room(void) {
  Cache *lru = test_open(1000, NULL, NULL);
  for (SessionId id = 1; id <= 300; id++) cache_update(lru, (Key){1, id}, id);
  Session selected[SELECTED_MAX];
  CHECK_NUMBER(cache_select_session(lru, 1, selected), SELECTED_MAX);
  CHECK_NUMBER(selected[0], 300);
  cache_terminate(lru);
}

static void an_absent_key_is_forgotten_without_harm(void) {
  Cache *lru = test_open(2, NULL, NULL);
  cache_update(lru, (Key){1, 1}, 11);
  cache_delete(lru, (Key){1, 2});
  cache_delete(lru, (Key){1, 1});
  cache_delete(lru, (Key){1, 1});
  CHECK_NUMBER(cache_lookup(lru, (Key){1, 1}), NO_SESSION);
  CHECK_NUMBER(cache_size(lru), 0);
  CHECK_TEXT(test_evicted(), "");
  cache_terminate(lru);
}

// Random calls, beside a list from the least to the most recently used.
static void it_agrees_with_a_list(void) {
  enum { MAX = 40, STEPS = 20000 };
  Cache *lru = test_open(MAX, NULL, NULL);
  struct {
    Key key;
    Session session;
  } list[MAX + 1];
  size_t len = 0;
  uint64_t random = 1;
  for (Session step = 1; step <= STEPS; step++) {
    random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    Key key = {1 + (random >> 33) % 5, 1 + (random >> 40) % 20};
    size_t at = 0;
    while (at < len && (list[at].key.partial != key.partial || list[at].key.id != key.id)) at++;
    Session known = at < len ? list[at].session : NO_SESSION;
    CHECK_NUMBER(cache_lookup(lru, key), known);
    if (at < len) len--;
    for (; at < len; at++) list[at] = list[at + 1];
    Session next = known;
    if (random >> 62 == 0) {
      cache_delete(lru, key);
      next = NO_SESSION;
    } else if (random >> 62 == 1) {
      cache_update(lru, key, next = step);
    }
    if (next != NO_SESSION) {
      list[len].key = key;
      list[len++].session = next;
    }
    if (len > MAX)
      for (at = 0, len--; at < len; at++) list[at] = list[at + 1];
    CHECK_NUMBER(cache_size(lru), len);
  }
  cache_terminate(lru);
}

int main(void) {
  RUN(the_least_recently_used_session_goes);
  RUN(a_key_stands_for_its_last_session);
  RUN(select_gives_the_sessions_of_one_partial_key);
  RUN(a_selection_is_not_longer_than_its_room);
  RUN(an_absent_key_is_forgotten_without_harm);
  RUN(it_agrees_with_a_list);
  return test_report();
}
