export type Labels = Readonly<Record<string, string>>;

/** Equality-based selection: every pair must be there. An empty selector selects everything. */
export function selects(selector: Labels, labels: Labels): boolean {
  for (const key in selector) if (labels[key] !== selector[key]) return false;
  return true;
}

/**
 * Finds the selectors that match given labels without looking at all of them: each is filed under one of its pairs.
 * Empty selectors are not kept here.
 */
export class SelectorIndex {
  readonly #byPair = new Map<string, Map<string, Labels>>();
  readonly #pairOf = new Map<string, string>();

  set(id: string, selector: Labels): void {
    this.delete(id);
    const first = Object.entries(selector).sort()[0];
    if (first === undefined) return;
    const pair = first.join('=');
    const filed = this.#byPair.getOrInsertComputed(pair, () => new Map());
    filed.set(id, selector);
    this.#pairOf.set(id, pair);
  }

  delete(id: string): void {
    const pair = this.#pairOf.get(id);
    if (pair === undefined) return;
    this.#pairOf.delete(id);
    const filed = this.#byPair.get(pair);
    filed?.delete(id);
    if (filed?.size === 0) this.#byPair.delete(pair);
  }

  /** Sorted ids of the selectors that match. */
  match(labels: Labels): string[] {
    const found: string[] = [];
    for (const key in labels) {
      for (const [id, selector] of this.#byPair.get(`${key}=${labels[key]}`) ?? []) {
        if (selects(selector, labels)) found.push(id);
      }
    }
    return found.sort();
  }
}
