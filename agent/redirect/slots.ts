import { MeshError } from '../model/errors.ts';

/** Hands out the numbers of pods' steer instances; a number rests as long as others are free. */
export class Slots {
  readonly #size: number;
  #next = 0;

  constructor(size: number) {
    this.#size = size;
  }

  /** Throws `MESH_LIMIT`. */
  allocate(used: ReadonlySet<number>): number {
    for (let i = 0; i < this.#size; i++) {
      const slot = (this.#next + i) % this.#size;
      if (used.has(slot)) continue;
      this.#next = (slot + 1) % this.#size;
      return slot;
    }
    throw new MeshError('MESH_LIMIT', `${this.#size} pods are enrolled on this node, which is all there is room for`);
  }
}
