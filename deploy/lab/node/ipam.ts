/** Addresses of one node's pods. */
import { podAddresses } from '../names.ts';

/** Lowest free first: an address comes back at once, which is the hardest case for a mesh. */
export class AddressPool {
  readonly #node: number;
  readonly #size: number;
  readonly #taken = new Map<string, number>();

  /** `node` 0 is the outside; `size` counts pods. */
  constructor(node: number, size: number) {
    this.#node = node;
    this.#size = size;
  }

  /** `[IPv4, IPv6]`, the same for the same pod, or `null` when none is left. */
  take(uid: string): [string, string] | null {
    const known = this.#taken.get(uid);
    if (known !== undefined) return podAddresses(this.#node, known);
    const used = new Set(this.#taken.values());
    for (let slot = 0; slot < this.#size; slot++) {
      if (used.has(slot)) continue;
      this.#taken.set(uid, slot);
      return podAddresses(this.#node, slot);
    }
    return null;
  }

  release(uid: string): void {
    this.#taken.delete(uid);
  }

  get size(): number {
    return this.#size;
  }
}
