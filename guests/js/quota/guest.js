// A guest that remembers at most `quota` sessions of each partial key, or 16. One more forgets the oldest.

import { SELECTED_MAX, evict, guest } from "../kit/guest.js";
import { KeyMap } from "../kit/key-map.js";

class Quota {
  #quota;
  #entries = new KeyMap(); // key and session, the oldest first

  constructor({ property }) {
    const text = property("quota") ?? "16";
    this.#quota = /^[0-9]+$/.test(text) ? Number(text) : 0;
    if (this.#quota === 0) throw new Error(`property \`quota\` is not a number above zero: ${text}`);
  }

  update(key, session) {
    this.delete(key);
    if (this.#entries.sizeOf(key.partial) >= this.#quota) {
      const [oldest] = this.#entries.of(key.partial);
      this.delete(oldest.key);
      evict(oldest.session);
    }
    this.#entries.set(key, { key, session });
  }

  delete(key) {
    this.#entries.delete(key);
  }

  lookup(key) {
    return this.#entries.get(key)?.session;
  }

  selectSession(partial) {
    return this.#entries.first(partial, SELECTED_MAX).map(({ session }) => session);
  }

  size() {
    return this.#entries.size;
  }

  foldl(fold) {
    for (const { key, session } of this.#entries.values()) fold.apply(key, session);
  }
}

export const callbacks = guest(Quota);
