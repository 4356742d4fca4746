/** Lets `perSecond` events through in each second and counts the others. */
export class RateLimit {
  /** Held back since the last one that was let through in a new second. */
  suppressed = 0;
  readonly #perSecond: number;
  #second = -1;
  #used = 0;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** `nowMs` of any clock that goes forward. */
  admit(nowMs: number): boolean {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#used = 0;
    }
    if (this.#used >= this.#perSecond) {
      this.suppressed++;
      return false;
    }
    this.#used++;
    return true;
  }

  /** How many were held back since it was last asked. */
  takeSuppressed(): number {
    const count = this.suppressed;
    this.suppressed = 0;
    return count;
  }
}
