// Makes the component's eight callbacks of a class, and has the host's functions.
//
// A class has `constructor(args)`, `update(key, session)`, `delete(key)`, `lookup(key)`, `selectSession(partial)`,
// `size()`, `foldl(fold)` and, if it likes, `terminate()`. A key is `{ partial, id }`. An error that the constructor
// throws refuses the cache, and its message goes to the operator. An error that another method throws is a fault.

import * as there from "innkeeper:session-cache/host@0.1.0";

/** The most sessions that `selectSession` should return: more than the host asks for, and well within a call's fuel. */
export const SELECTED_MAX = 256;

// A guest sees Numbers, which are exact, since the host's numbers are below 2^53. Componentizers differ in their
// `u64`: QuickJS has Numbers, StarlingMonkey has BigInts. The arguments of `init` show which.
let u64 = Number;

/** Returns a session's `storedBytes`, `createdMs` and `expiresMs`, or nothing when the vault has no such session. */
export function describe(session) {
  const info = there.describe(u64(session));
  if (!info) return undefined;
  return { storedBytes: info.storedBytes, createdMs: Number(info.createdMs), expiresMs: Number(info.expiresMs) };
}

/** Asks the vault to forget a session once the running callback returns. Traps outside `update` and `delete`. */
export function evict(session) {
  there.evict(u64(session));
}

/** The time in milliseconds since some moment before the cache was opened. Coarse, and it never goes back. */
export function nowMs() {
  return Number(there.nowMs());
}

/** Writes one line to the tenant's log; the level is "debug", "info", "warn" or "error". */
export function log(level, message) {
  there.log(level, message);
}

/** One fold over the sessions of a cache. */
class Fold {
  constructor(fun, acc) {
    this.fun = fun;
    this.acc = acc;
  }

  /** Shows one session to the fold's function. */
  apply(key, session) {
    const element = { key: { partial: u64(key.partial), id: u64(key.id) }, session: u64(session) };
    this.acc = there.apply(this.fun, element, this.acc);
  }
}

/** Makes the callbacks of a class: `export const callbacks = guest(MyCache);`. */
export function guest(Cache) {
  const caches = []; // A cache-ref is a place here.
  const own = (key) => ({ partial: Number(key.partial), id: Number(key.id) });
  return {
    init({ role, maxSessions, lifetimeMs, properties }) {
      u64 = typeof lifetimeMs === "bigint" ? BigInt : Number;
      const property = (name) => properties.findLast((each) => each.name === name)?.value;
      try {
        caches.push(new Cache({ role, maxSessions, lifetimeMs: Number(lifetimeMs), property }));
      } catch (error) {
        there.log("error", `${error}\n${error.stack}`);
        throw error.message ?? error; // A thrown string is the error of the result.
      }
      return u64(caches.length - 1);
    },
    terminate: logged((cache) => {
      caches[cache].terminate?.();
      caches[cache] = undefined;
    }),
    update: logged((cache, key, session) => caches[cache].update(own(key), Number(session))),
    delete: logged((cache, key) => caches[cache].delete(own(key))),
    selectSession: logged((cache, partial) => caches[cache].selectSession(Number(partial)).map(u64)),
    size: logged((cache) => u64(caches[cache].size())),
    foldl: logged((fun, acc, cache) => {
      const fold = new Fold(fun, acc);
      caches[cache].foldl(fold);
      return fold.acc;
    }),
    lookup: logged((cache, key) => {
      const session = caches[cache].lookup(own(key));
      return session === undefined ? undefined : u64(session);
    }),
  };
}

/** A callback that throws is a trap, without a message: this writes the error to the log first. */
function logged(callback) {
  return (a, b, c) => {
    try {
      return callback(a, b, c);
    } catch (error) {
      there.log("error", `${error}\n${error.stack}`);
      throw error;
    }
  };
}
