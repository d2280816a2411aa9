// A map by key that also finds the values of each partial key.

/** Every method but the iteration costs O(1). Equal calls make equal orders. */
export class KeyMap {
  #partials = new Map(); // of maps by id; none is empty
  #size = 0;

  get size() {
    return this.#size;
  }

  get({ partial, id }) {
    return this.#partials.get(partial)?.get(id);
  }

  /** Puts a value last among those of its partial key, also where the key was there before. */
  set(key, value) {
    this.delete(key);
    const ids = this.#partials.get(key.partial);
    if (ids) ids.set(key.id, value);
    else this.#partials.set(key.partial, new Map([[key.id, value]]));
    this.#size += 1;
  }

  /** Removes a value and returns it, or nothing. */
  delete({ partial, id }) {
    const ids = this.#partials.get(partial);
    const value = ids?.get(id);
    if (value === undefined) return undefined;
    ids.delete(id);
    if (ids.size === 0) this.#partials.delete(partial);
    this.#size -= 1;
    return value;
  }

  /** The number of values of a partial key. */
  sizeOf(partial) {
    return this.#partials.get(partial)?.size ?? 0;
  }

  /** The values of a partial key, in the order in which they were set. */
  of(partial) {
    return this.#partials.get(partial)?.values() ?? [].values();
  }

  /** The first few of them that are `wanted`. */
  first(partial, count, wanted = () => true) {
    const first = [];
    for (const value of this.of(partial)) {
      if (first.length === count) break;
      if (wanted(value)) first.push(value);
    }
    return first;
  }

  /** Every value: partial key by partial key. */
  *values() {
    for (const ids of this.#partials.values()) yield* ids.values();
  }
}
