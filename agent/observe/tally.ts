/** Counts by name, as plain numbers; read at scrape. The names come from the code, so the set is bounded. */
export class Tally {
  readonly #counts = new Map<string, number>();

  add(name: string, by = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + by);
  }

  get(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  entries(): Iterable<[string, number]> {
    return this.#counts;
  }
}
