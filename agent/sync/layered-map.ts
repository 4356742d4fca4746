const GONE = Symbol('gone');

/**
 * An immutable map whose next version costs what has changed, not what it holds: a large base that versions share, and
 * a small layer of changes above it that is folded into a new base when it has grown to about the square root.
 */
export class LayeredMap<K, V extends object> implements ReadonlyMap<K, V> {
  readonly size: number;
  readonly #base: ReadonlyMap<K, V>;
  readonly #layer: ReadonlyMap<K, V | typeof GONE>;

  private constructor(base: ReadonlyMap<K, V>, layer: ReadonlyMap<K, V | typeof GONE>, size: number) {
    this.#base = base;
    this.#layer = layer;
    this.size = size;
  }

  static empty<K, V extends object>(): LayeredMap<K, V> {
    return new LayeredMap<K, V>(new Map(), new Map(), 0);
  }

  /** The next version; null removes. Without changes it is this very map, by which caches know that nothing changed. */
  with(changes: ReadonlyMap<K, V | null>): LayeredMap<K, V> {
    let size = this.size;
    const effective: [K, V | null][] = [];
    for (const [key, value] of changes) {
      const before = this.get(key);
      if (before === (value ?? undefined)) continue;
      effective.push([key, value]);
      size += Number(value !== null) - Number(before !== undefined);
    }
    if (effective.length === 0) return this;
    const limit = Math.max(32, 4 * Math.sqrt(this.#base.size));
    if (this.#layer.size + effective.length > limit) return this.#fold(effective, size);
    const layer = new Map(this.#layer);
    for (const [key, value] of effective) layer.set(key, value ?? GONE);
    return new LayeredMap(this.#base, layer, size);
  }

  get(key: K): V | undefined {
    const above = this.#layer.size === 0 ? undefined : this.#layer.get(key);
    if (above === undefined) return this.#base.get(key);
    return above === GONE ? undefined : above;
  }

  has(key: K): boolean {
    return this.get(key) !== undefined;
  }

  *entries(): MapIterator<[K, V]> {
    for (const entry of this.#base) if (!this.#layer.has(entry[0])) yield entry;
    for (const [key, value] of this.#layer) if (value !== GONE) yield [key, value];
    return undefined;
  }

  *keys(): MapIterator<K> {
    for (const [key] of this.entries()) yield key;
    return undefined;
  }

  *values(): MapIterator<V> {
    for (const [, value] of this.entries()) yield value;
    return undefined;
  }

  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries();
  }

  forEach(callback: (value: V, key: K, map: ReadonlyMap<K, V>) => void): void {
    for (const [key, value] of this.entries()) callback(value, key, this);
  }

  #fold(changes: readonly [K, V | null][], size: number): LayeredMap<K, V> {
    const base = new Map(this.#base);
    for (const [key, value] of [...this.#layer, ...changes]) {
      if (value === GONE || value === null) base.delete(key);
      else base.set(key, value);
    }
    return new LayeredMap<K, V>(base, new Map(), size);
  }
}
