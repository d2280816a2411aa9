// For a guest's own native tests: a double of the host, without a vault, and a small harness.
//
// A test is a function; `main` runs each by RUN, before which the double is as new, and returns `test_report()`. What
// the double has been asked is given as text, so that one check prints everything.

#ifndef INNKEEPER_TEST_H
#define INNKEEPER_TEST_H

#include "innkeeper.h"

// How long the vault keeps a session, as a cache is told that `test_open` opens.
#define TEST_LIFETIME_MS UINT64_C(3600000)

// Opens a cache of role server, with one setting, or with none where its name is NULL. Gives NULL when it is refused.
Cache *test_open(uint32_t sessions_max, const char *name, const char *value);

// The texts below are good until the same function is called again.

// Why the last cache was refused, or an empty text.
const char *test_refusal(void);

// The sessions evicted since the last call, in order: "11 12".
const char *test_evicted(void);

// The log lines since the last call, each with its level: "warn: half full\n".
const char *test_log(void);

// The sessions that a cache selects: "12 11".
const char *test_select(Cache *cache, PartialKey partial);

// Everything that a cache shows in a fold, in its order, each as partial key, id and session: "1/1=11 1/2=12".
const char *test_fold(Cache *cache);

// Sets the time that `host_now_ms` gives, zero before.
void test_set_now_ms(uint64_t now_ms);

// Makes `host_describe` know a session. It knows none of itself, and 64 at most.
void test_set_info(Session session, SessionInfo info);

// Runs one test, and says how it went.
#define RUN(test) test_run(#test, test)
void test_run(const char *name, void (*test)(void));

// What `main` returns: zero when every check held.
int test_report(void);

// A check that does not hold says where, what was expected, and what was seen; the test goes on.
#define CHECK(condition) test_check(condition, #condition, __FILE__, __LINE__)
#define CHECK_NUMBER(seen, expected) test_check_number(seen, expected, #seen, __FILE__, __LINE__)
#define CHECK_TEXT(seen, expected) test_check_text(seen, expected, #seen, __FILE__, __LINE__)
void test_check(bool holds, const char *what, const char *file, int line);
void test_check_number(uint64_t seen, uint64_t expected, const char *what, const char *file, int line);
void test_check_text(const char *seen, const char *expected, const char *what, const char *file, int line);

#endif
