import type { LayeredMap } from './layered-map.ts';

export interface Claimant {
  addresses: readonly string[];
}

/**
 * Who holds which address. Two can claim one for a moment (a pod that ended, and the next one with its address) or for
 * good (Services with one external address); when the one that holds it lets go, the other gets it.
 */
export class AddressClaims<T extends Claimant> {
  /** Only addresses with more than one claimant, by rising precedence. */
  readonly #contested = new Map<string, readonly T[]>();
  readonly #keyOf: (item: T) => string;
  readonly #compare: (a: T, b: T) => number;

  /** `compare` puts the one that holds the address last; among equals it is the one that came last. */
  constructor(keyOf: (item: T) => string, compare: (a: T, b: T) => number) {
    this.#keyOf = keyOf;
    this.#compare = compare;
  }

  get contested(): ReadonlyMap<string, readonly T[]> {
    return this.#contested;
  }

  /** Enters into `draft` what changes above `current` when one claimant is replaced; null: it was not there, or goes. */
  replace(current: LayeredMap<string, T>, draft: Map<string, T | null>, before: T | null, after: T | null): void {
    const holder = (address: string) => {
      const drafted = draft.get(address);
      return drafted === undefined ? (current.get(address) ?? null) : drafted;
    };
    for (const address of before?.addresses ?? []) {
      if (before !== null && !after?.addresses.includes(address)) this.#release(address, before, holder, draft);
    }
    for (const address of after?.addresses ?? []) {
      if (after !== null) this.#claim(address, after, holder(address), draft);
    }
  }

  #claim(address: string, item: T, holder: T | null, draft: Map<string, T | null>): void {
    const key = this.#keyOf(item);
    const claimants = this.#contested.get(address) ?? (holder === null ? [] : [holder]);
    const place = claimants.findIndex((other) => this.#keyOf(other) === key);
    const list = place < 0 ? [...claimants, item] : claimants.with(place, item);
    this.#settle(address, list, draft);
  }

  #release(address: string, item: T, holder: (address: string) => T | null, draft: Map<string, T | null>): void {
    const key = this.#keyOf(item);
    const holding = holder(address);
    const claimants = this.#contested.get(address) ?? (holding === null ? [] : [holding]);
    const list = claimants.filter((other) => this.#keyOf(other) !== key);
    this.#settle(address, list, draft);
  }

  #settle(address: string, claimants: readonly T[], draft: Map<string, T | null>): void {
    const sorted = claimants.length > 1 ? claimants.toSorted(this.#compare) : claimants;
    if (sorted.length > 1) this.#contested.set(address, sorted);
    else this.#contested.delete(address);
    draft.set(address, sorted.at(-1) ?? null);
  }
}
