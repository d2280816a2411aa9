import assert from "node:assert/strict";
import { test } from "node:test";

import { open, seen } from "#kit/testing.js";
import { callbacks } from "../guest.js";

const key = (partial, id) => ({ partial, id });

test("the least recently used session goes", () => {
  const lru = open(callbacks, { maxSessions: 2 });
  lru.update(key(1, 1), 11);
  lru.update(key(1, 2), 12);
  assert.equal(lru.lookup(key(1, 1)), 11);
  lru.update(key(1, 3), 13);
  assert.deepEqual(seen().evicted, [12]);
  assert.equal(lru.lookup(key(1, 2)), undefined);
  assert.deepEqual(lru.fold(), [[1, 1, 11], [1, 3, 13]]);
});

test("a key stands for its last session", () => {
  const lru = open(callbacks, { maxSessions: 2 });
  lru.update(key(1, 1), 11);
  lru.update(key(1, 1), 12);
  assert.equal(lru.lookup(key(1, 1)), 12);
  assert.equal(lru.size(), 1);
  assert.deepEqual(seen().evicted, [], "the vault has dropped the old session by itself");
});

test("select gives the sessions of one partial key, 256 at most", () => {
  const lru = open(callbacks, { maxSessions: 1_000 });
  lru.update(key(2, 7), 27);
  lru.update(key(1, 9), 19);
  lru.update(key(1, 3), 13);
  assert.deepEqual(lru.selectSession(1), [19, 13]);
  assert.deepEqual(lru.selectSession(3), []);
  for (let id = 1; id <= 300; id += 1) lru.update(key(4, id), 1_000 + id);
  assert.equal(lru.selectSession(4).length, 256);
});

test("a deleted session is forgotten, and an absent key is no error", () => {
  const lru = open(callbacks);
  lru.update(key(1, 1), 11);
  lru.delete(key(1, 1));
  lru.delete(key(1, 1));
  assert.equal(lru.lookup(key(1, 1)), undefined);
  assert.equal(lru.size(), 0);
  assert.deepEqual(lru.fold(), []);
});
