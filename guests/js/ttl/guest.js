// A guest that forgets a session some time before the host would: after `ttl-ms`, or half the vault's lifetime.

import { SELECTED_MAX, describe, evict, guest, nowMs } from "../kit/guest.js";
import { KeyMap } from "../kit/key-map.js";
import { Order } from "../kit/order.js";

// The sessions that one `update` forgets: more than one, so that it catches up.
const FORGOTTEN_MAX = 4;

class Ttl {
  #ttlMs;
  #entries = new KeyMap(); // key, session, and when to forget it
  #registered = new Order(); // the same entries, the oldest first

  constructor({ lifetimeMs, property }) {
    const text = property("ttl-ms") ?? `${Math.floor(lifetimeMs / 2)}`;
    if (!/^[0-9]+$/.test(text)) throw new Error(`property \`ttl-ms\` is not a number: ${text}`);
    this.#ttlMs = Number(text);
  }

  update(key, session) {
    const now = nowMs();
    this.delete(key);
    this.#forgetOld(now);
    // A rebuilt instance sees old sessions again: their time runs from their creation.
    const createdMs = describe(session)?.createdMs ?? now;
    const entry = { key, session, untilMs: createdMs + this.#ttlMs };
    this.#entries.set(key, entry);
    this.#registered.pushBack(entry);
  }

  delete(key) {
    const entry = this.#entries.delete(key);
    if (entry) this.#registered.remove(entry);
  }

  lookup(key) {
    const entry = this.#entries.get(key);
    return entry && nowMs() < entry.untilMs ? entry.session : undefined;
  }

  selectSession(partial) {
    const now = nowMs();
    const live = this.#entries.first(partial, SELECTED_MAX, ({ untilMs }) => now < untilMs);
    return live.map(({ session }) => session);
  }

  size() {
    return this.#entries.size;
  }

  foldl(fold) {
    for (const { key, session } of this.#registered) fold.apply(key, session);
  }

  #forgetOld(now) {
    for (let forgotten = 0; forgotten < FORGOTTEN_MAX; forgotten += 1) {
      const oldest = this.#registered.front;
      if (!oldest || now < oldest.untilMs) return;
      this.delete(oldest.key);
      evict(oldest.session);
    }
  }
}

export const callbacks = guest(Ttl);
