import assert from "node:assert/strict";
import { test } from "node:test";

import { open, seen, setInfo, setNowMs } from "#kit/testing.js";
import { callbacks } from "../guest.js";

const key = (id) => ({ partial: 1, id });
const openTtl = (ttlMs) => open(callbacks, { properties: { "ttl-ms": ttlMs } });

test("a session is forgotten after its time", () => {
  const ttl = openTtl("100");
  ttl.update(key(1), 11);
  setNowMs(99);
  assert.equal(ttl.lookup(key(1)), 11);
  assert.deepEqual(ttl.selectSession(1), [11]);
  setNowMs(100);
  assert.equal(ttl.lookup(key(1)), undefined);
  assert.deepEqual(ttl.selectSession(1), []);
  ttl.update(key(2), 12);
  assert.deepEqual(seen().evicted, [11]);
  assert.deepEqual(ttl.fold(), [[1, 2, 12]]);
});

test("a session's time is half the vault's lifetime, and runs from when it was created", () => {
  const ttl = open(callbacks, { lifetimeMs: 1_000 });
  setNowMs(700);
  setInfo(11, { createdMs: 300 });
  ttl.update(key(1), 11);
  setNowMs(799);
  assert.equal(ttl.lookup(key(1)), 11);
  setNowMs(800);
  assert.equal(ttl.lookup(key(1)), undefined);
});

test("one update forgets four old sessions, the oldest first", () => {
  const ttl = openTtl("100");
  for (let id = 1; id <= 6; id += 1) ttl.update(key(id), 10 + id);
  setNowMs(100);
  ttl.update(key(7), 17);
  assert.deepEqual(seen().evicted, [11, 12, 13, 14]);
  ttl.update(key(8), 18);
  assert.deepEqual(seen().evicted, [15, 16]);
  assert.equal(ttl.size(), 2);
});

test("a replaced or deleted session is not evicted", () => {
  const ttl = openTtl("100");
  ttl.update(key(1), 11);
  ttl.update(key(2), 12);
  setNowMs(60);
  ttl.update(key(1), 13);
  ttl.delete(key(2));
  setNowMs(120);
  ttl.update(key(3), 14);
  assert.deepEqual(seen().evicted, []);
  assert.equal(ttl.lookup(key(1)), 13);
  assert.equal(ttl.size(), 2);
});

test("a setting that is no number is refused", () => {
  assert.throws(() => openTtl("soon"), (refusal) => refusal === "property `ttl-ms` is not a number: soon");
});
