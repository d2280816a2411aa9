// Entries in an order of their own, front to back: the least recently used first, or the oldest.

/** Entries are objects, each in one order at most, which keeps its neighbours in them. Every method costs O(1). */
export class Order {
  #end = {}; // closes the ring: after it comes the front, before it the back

  constructor() {
    this.#end.before = this.#end.after = this.#end;
  }

  /** The first entry, or nothing. */
  get front() {
    const front = this.#end.after;
    return front === this.#end ? undefined : front;
  }

  pushBack(entry) {
    entry.before = this.#end.before;
    entry.after = this.#end;
    entry.before.after = entry.after.before = entry;
  }

  remove({ before, after }) {
    before.after = after;
    after.before = before;
  }

  *[Symbol.iterator]() {
    for (let entry = this.#end.after; entry !== this.#end; entry = entry.after) yield entry;
  }
}
