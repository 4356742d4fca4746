import { bytesValue } from '../../model/address.ts';
import { prefixOf } from '../../model/cidr.ts';
import type { Cidr } from '../../model/policy.ts';

/**
 * Values filed under address blocks. A look-up costs one hash per distinct prefix length, not per block; real sets have
 * few lengths.
 */
export class CidrMap<V> {
  readonly #v4 = new Map<number, Map<number | bigint, V[]>>();
  readonly #v6 = new Map<number, Map<number | bigint, V[]>>();

  add(cidr: Cidr, value: V): void {
    const byLength = cidr.bytes.length === 4 ? this.#v4 : this.#v6;
    const byPrefix = byLength.getOrInsertComputed(cidr.length, () => new Map());
    byPrefix.getOrInsertComputed(prefixOf(bytesValue(cidr.bytes), cidr.length), () => []).push(value);
  }

  /** Calls back with the values of every block that contains the address. */
  visit(address: number | bigint, visitor: (values: readonly V[]) => void): void {
    for (const [length, byPrefix] of typeof address === 'number' ? this.#v4 : this.#v6) {
      const values = byPrefix.get(prefixOf(address, length));
      if (values !== undefined) visitor(values);
    }
  }

  contains(address: number | bigint): boolean {
    for (const [length, byPrefix] of typeof address === 'number' ? this.#v4 : this.#v6) {
      if (byPrefix.has(prefixOf(address, length))) return true;
    }
    return false;
  }
}

/** Any of some address blocks. */
export class CidrSet {
  readonly blocks: readonly Cidr[];
  readonly #map = new CidrMap<true>();

  constructor(blocks: readonly Cidr[]) {
    this.blocks = blocks;
    for (const block of blocks) this.#map.add(block, true);
  }

  /** Null for no blocks: the field is not set. */
  static of(blocks: readonly Cidr[]): CidrSet | null {
    return blocks.length === 0 ? null : new CidrSet(blocks);
  }

  has(address: number | bigint | null): boolean {
    return address !== null && this.#map.contains(address);
  }
}
