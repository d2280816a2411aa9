// A double of the host for a guest's own native tests: without a vault. `register.js` makes it stand in for the host.

let double;

/** Opens a cache with a new double, whose time is 0. Returns the class's methods, and `fold()` for `foldl`. */
export function open(callbacks, { role = "server", maxSessions = 100, lifetimeMs = 1_000, properties = {} } = {}) {
  double = { nowMs: 0, info: new Map(), folded: [], seen: { evicted: [], log: [] } };
  const list = Object.entries(properties).map(([name, value]) => ({ name, value }));
  const cache = callbacks.init({ role, maxSessions, lifetimeMs, properties: list });
  return {
    update: (key, session) => callbacks.update(cache, key, session),
    delete: (key) => callbacks.delete(cache, key),
    lookup: (key) => callbacks.lookup(cache, key),
    selectSession: (partial) => callbacks.selectSession(cache, partial),
    size: () => callbacks.size(cache),
    terminate: () => callbacks.terminate(cache),
    /** Everything the cache shows in a fold, in its order: lists of partial key, id and session. */
    fold() {
      double.folded = [];
      callbacks.foldl(1, 0, cache);
      return double.folded;
    },
  };
}

/** Sets the time of `nowMs`. */
export function setNowMs(nowMs) {
  double.nowMs = nowMs;
}

/** Makes a session known to `describe`. */
export function setInfo(session, { storedBytes = 1_000, createdMs, expiresMs = createdMs + 1_000 }) {
  double.info.set(session, { storedBytes, createdMs, expiresMs });
}

/** Returns the calls of the double since the last time: `evicted`, and `log` as lists of level and message. */
export function seen() {
  const seen = double.seen;
  double.seen = { evicted: [], log: [] };
  return seen;
}

// The functions that a guest imports from `innkeeper:session-cache/host`.

export const describe = (session) => double.info.get(session);

export const evict = (session) => void double.seen.evicted.push(session);

export const nowMs = () => double.nowMs;

export const log = (level, message) => void double.seen.log.push([level, message]);

export function apply(_fun, { key, session }, acc) {
  double.folded.push([key.partial, key.id, session]);
  return ++acc; // a Number or a BigInt
}
