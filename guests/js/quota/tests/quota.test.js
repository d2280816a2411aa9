import assert from "node:assert/strict";
import { test } from "node:test";

import { open, seen } from "#kit/testing.js";
import { callbacks } from "../guest.js";

const key = (partial, id) => ({ partial, id });
const openQuota = (quota) => open(callbacks, { properties: { quota } });

test("one more than the quota evicts the oldest of that partial key", () => {
  const quota = openQuota("2");
  quota.update(key(1, 1), 11);
  quota.update(key(2, 1), 21);
  quota.update(key(1, 2), 12);
  quota.update(key(1, 3), 13);
  assert.deepEqual(seen().evicted, [11]);
  assert.deepEqual(quota.selectSession(1), [12, 13]);
  assert.deepEqual(quota.selectSession(2), [21]);
  assert.equal(quota.lookup(key(1, 1)), undefined);
  assert.deepEqual(quota.fold(), [[1, 2, 12], [1, 3, 13], [2, 1, 21]]);
});

test("a key stands for its last session, which is the youngest", () => {
  const quota = openQuota("2");
  quota.update(key(1, 1), 11);
  quota.update(key(1, 2), 12);
  quota.update(key(1, 1), 13);
  assert.deepEqual(seen().evicted, [], "the vault has dropped the old session by itself");
  quota.update(key(1, 3), 14);
  assert.deepEqual(seen().evicted, [12]);
  assert.equal(quota.size(), 2);
});

test("a deleted session makes room, and an absent key is no error", () => {
  const quota = openQuota("1");
  quota.update(key(1, 1), 11);
  quota.delete(key(1, 1));
  quota.delete(key(1, 1));
  quota.update(key(1, 2), 12);
  assert.deepEqual(seen().evicted, []);
  assert.equal(quota.size(), 1);
});

test("the quota is 16 unless it is set, and a number above zero", () => {
  const quota = open(callbacks);
  for (let id = 1; id <= 17; id += 1) quota.update(key(1, id), 10 + id);
  assert.deepEqual(seen().evicted, [11]);
  for (const text of ["0", "few", ""]) {
    assert.throws(() => openQuota(text), (refusal) => refusal === `property \`quota\` is not a number above zero: ${text}`);
  }
});
