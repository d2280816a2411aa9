// See `innkeeper_test.h`. Nothing of it is in the component.

#ifndef __wasm__

#include "innkeeper_test.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A text that grows.
typedef struct {
  char *bytes;
  size_t len, cap;
} Text;

struct Fold {
  Text *shown;
};

enum { INFOS_MAX = 64 };

static uint64_t now_ms;
static size_t infos_len;
static struct {
  Session session;
  SessionInfo info;
} infos[INFOS_MAX];
static Text evicted, logged;
static unsigned failures, tests, tests_failed;

static void fail_to_test(const char *why) {
  fprintf(stderr, "the test cannot go on: %s\n", why);
  exit(2);
}

static void append(Text *text, const char *format, ...) {
  char piece[2048];
  va_list values;
  va_start(values, format);
  int len = vsnprintf(piece, sizeof piece, format, values);
  va_end(values);
  if (len < 0 || (size_t)len >= sizeof piece) fail_to_test("a text is too long");
  if (text->len + (size_t)len >= text->cap) {
    text->cap = 2 * text->cap + sizeof piece;
    text->bytes = realloc(text->bytes, text->cap);
    if (!text->bytes) fail_to_test("there is no memory");
  }
  memcpy(text->bytes + text->len, piece, (size_t)len + 1);
  text->len += (size_t)len;
}

static void append_session(Text *text, Session session) {
  append(text, "%s%" PRIu64, text->len ? " " : "", session);
}

// Gives the text, and begins a new one; the old one stays until the next call for the same `given`.
static const char *give(Text *text, Text *given) {
  free(given->bytes);
  *given = *text;
  *text = (Text){0};
  return given->bytes ? given->bytes : "";
}

Cache *test_open(uint32_t sessions_max, const char *name, const char *value) {
  Property property = {name, value};
  InitArgs args = {ROLE_SERVER, sessions_max, TEST_LIFETIME_MS, &property, name != NULL};
  return cache_init(&args);
}

const char *test_refusal(void) {
  static char *given;
  free(given);
  given = take_refusal();
  return given ? given : "";
}

const char *test_evicted(void) {
  static Text given;
  return give(&evicted, &given);
}

const char *test_log(void) {
  static Text given;
  return give(&logged, &given);
}

const char *test_select(Cache *cache, PartialKey partial) {
  static Text given;
  Session selected[SELECTED_MAX];
  size_t len = cache_select_session(cache, partial, selected);
  if (len > SELECTED_MAX) fail_to_test("more is selected than there is room for");
  Text text = {0};
  for (size_t i = 0; i < len; i++) append_session(&text, selected[i]);
  return give(&text, &given);
}

const char *test_fold(Cache *cache) {
  static Text given;
  Text text = {0};
  Fold fold = {&text};
  cache_foldl(cache, &fold);
  return give(&text, &given);
}

void test_set_now_ms(uint64_t to_ms) { now_ms = to_ms; }

void test_set_info(Session session, SessionInfo info) {
  if (infos_len == INFOS_MAX) fail_to_test("the double knows as many sessions as it can");
  infos[infos_len].session = session;
  infos[infos_len++].info = info;
}

bool host_describe(Session session, SessionInfo *info) {
  for (size_t i = infos_len; i > 0; i--) {
    if (infos[i - 1].session != session) continue;
    *info = infos[i - 1].info;
    return true;
  }
  return false;
}

void host_evict(Session session) { append_session(&evicted, session); }

uint64_t host_now_ms(void) { return now_ms; }

void host_log(Level level, const char *message) {
  static const char *const names[] = {"debug", "info", "warn", "error"};
  append(&logged, "%s: %s\n", names[level], message);
}

void fold_apply(Fold *fold, Key key, Session session) {
  append(fold->shown, "%s%" PRIu64 "/%" PRIu64 "=%" PRIu64, fold->shown->len ? " " : "", key.partial, key.id, session);
}

void test_run(const char *name, void (*test)(void)) {
  now_ms = infos_len = failures = 0;
  test_evicted(), test_log(), test_refusal();
  test();
  printf("%s %s\n", failures ? "FAILED" : "ok", name);
  tests++;
  tests_failed += failures > 0;
}

int test_report(void) {
  printf("%u tests, %u failed\n", tests, tests_failed);
  return tests_failed > 0;
}

void test_check(bool holds, const char *what, const char *file, int line) {
  if (holds) return;
  printf("%s:%d: does not hold: %s\n", file, line, what);
  failures++;
}

void test_check_number(uint64_t seen, uint64_t expected, const char *what, const char *file, int line) {
  if (seen == expected) return;
  printf("%s:%d: %s: expected %" PRIu64 ", seen %" PRIu64 "\n", file, line, what, expected, seen);
  failures++;
}

void test_check_text(const char *seen, const char *expected, const char *what, const char *file, int line) {
  if (strcmp(seen, expected) == 0) return;
  printf("%s:%d: %s: expected \"%s\", seen \"%s\"\n", file, line, what, expected, seen);
  failures++;
}

#endif
