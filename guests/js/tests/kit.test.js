// What the kit promises to guests, beyond what their own tests show.

import assert from "node:assert/strict";
import { test } from "node:test";

import { describe, guest, log, nowMs } from "#kit/guest.js";
import { KeyMap } from "#kit/key-map.js";
import { Order } from "#kit/order.js";
import { open, seen, setInfo, setNowMs } from "#kit/testing.js";

class One {
  constructor({ role, maxSessions, lifetimeMs, property }) {
    this.args = [role, maxSessions, lifetimeMs, property("a"), property("none")];
  }
  update(key, session) {
    Object.assign(this, { key, session });
  }
  delete() {
    throw new Error("broken");
  }
  lookup() {
    return this.session;
  }
  selectSession() {
    return [this.session];
  }
  size() {
    return 1;
  }
  foldl(fold) {
    fold.apply(this.key, this.session);
    log("info", JSON.stringify(this));
  }
}

test("where a u64 is a BigInt, a guest sees Numbers all the same", () => {
  const callbacks = guest(One);
  const properties = [{ name: "a", value: "1" }, { name: "a", value: "2" }];
  open(guest(One));
  const cache = callbacks.init({ role: "client", maxSessions: 9, lifetimeMs: 1_000n, properties });
  assert.equal(cache, 0n);
  callbacks.update(cache, { partial: 1n, id: 2n }, 3n);
  assert.equal(callbacks.lookup(cache, { partial: 1n, id: 2n }), 3n);
  assert.deepEqual(callbacks.selectSession(cache, 1n), [3n]);
  assert.equal(callbacks.size(cache), 1n);
  assert.equal(callbacks.foldl(7n, 1n, cache), 2n);
  const [[, line]] = seen().log;
  assert.equal(line, '{"args":["client",9,1000,"2",null],"key":{"partial":1,"id":2},"session":3}');
  setNowMs(5n);
  setInfo(3n, { storedBytes: 10, createdMs: 1n, expiresMs: 2n });
  assert.equal(nowMs(), 5);
  assert.deepEqual(describe(3), { storedBytes: 10, createdMs: 1, expiresMs: 2 });
});

test("what a callback throws is in the log", () => {
  const cache = open(guest(One));
  assert.throws(() => cache.delete({ partial: 1, id: 2 }), /broken/);
  const [[level, line]] = seen().log;
  assert.equal(level, "error");
  assert.match(line, /^Error: broken\n.*kit\.test\.js/s);
});

test("a key map drops what it no longer needs", () => {
  const map = new KeyMap();
  map.set({ partial: 1, id: 1 }, "a");
  map.set({ partial: 1, id: 2 }, "b");
  map.set({ partial: 1, id: 1 }, "c");
  assert.deepEqual([...map.of(1)], ["b", "c"]);
  assert.deepEqual(map.first(1, 1), ["b"]);
  assert.deepEqual(map.first(1, 1, (value) => value > "b"), ["c"]);
  assert.deepEqual([map.size, map.sizeOf(1), map.sizeOf(2)], [2, 2, 0]);
  assert.equal(map.delete({ partial: 1, id: 2 }), "b");
  assert.equal(map.delete({ partial: 1, id: 2 }), undefined);
  assert.equal(map.delete({ partial: 1, id: 1 }), "c");
  assert.deepEqual([map.size, [...map.values()]], [0, []]);
});

test("an order keeps its entries front to back", () => {
  const order = new Order();
  const [a, b, c] = [{ name: "a" }, { name: "b" }, { name: "c" }];
  assert.equal(order.front, undefined);
  [a, b, c].forEach((entry) => order.pushBack(entry));
  order.remove(a);
  order.pushBack(a);
  assert.deepEqual([...order].map(({ name }) => name), ["b", "c", "a"]);
  order.remove(b);
  assert.equal(order.front, c);
});
