// A guest that forgets the least recently used session once the vault is full.

import { SELECTED_MAX, evict, guest } from "../kit/guest.js";
import { KeyMap } from "../kit/key-map.js";
import { Order } from "../kit/order.js";

class Lru {
  #maxSessions;
  #entries = new KeyMap(); // key and session
  #recency = new Order(); // the same entries, the least recently used first

  constructor({ maxSessions }) {
    this.#maxSessions = maxSessions;
  }

  update(key, session) {
    this.delete(key);
    if (this.#entries.size >= this.#maxSessions) {
      const oldest = this.#recency.front;
      this.delete(oldest.key);
      evict(oldest.session);
    }
    const entry = { key, session };
    this.#entries.set(key, entry);
    this.#recency.pushBack(entry);
  }

  delete(key) {
    const entry = this.#entries.delete(key);
    if (entry) this.#recency.remove(entry);
  }

  lookup(key) {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#recency.remove(entry);
    this.#recency.pushBack(entry);
    return entry.session;
  }

  selectSession(partial) {
    return this.#entries.first(partial, SELECTED_MAX).map(({ session }) => session);
  }

  size() {
    return this.#entries.size;
  }

  foldl(fold) {
    for (const { key, session } of this.#recency) fold.apply(key, session);
  }
}

export const callbacks = guest(Lru);
