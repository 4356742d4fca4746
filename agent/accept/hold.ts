/** What may wait in a `HoldQueue`. */
export interface Holdable {
  /** Monotonic milliseconds at which waiting ends. */
  holdUntilMs: number;
}

export interface HoldTimers {
  nowMs(): number;
  setTimer(callback: () => void, delayMs: number): unknown;
  clearTimer(timer: unknown): void;
}

/**
 * Connections that wait for a policy or an identity. All wait equally long, so the set's order is the order of the
 * deadlines and one timer serves all. Woken by a new snapshot, never by polling.
 */
export class HoldQueue<T extends Holdable> {
  readonly #waiting = new Set<T>();
  readonly #timers: HoldTimers;
  readonly #holdTimeMs: number;
  readonly #onExpired: (item: T) => void;
  #timer: unknown = null;

  constructor(timers: HoldTimers, holdTimeMs: number, onExpired: (item: T) => void) {
    this.#timers = timers;
    this.#holdTimeMs = holdTimeMs;
    this.#onExpired = onExpired;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** An item that comes back keeps its first deadline, so being woken in vain never prolongs the wait. */
  add(item: T): void {
    if (item.holdUntilMs === 0) item.holdUntilMs = this.#timers.nowMs() + this.#holdTimeMs;
    this.#waiting.add(item);
    this.#arm();
  }

  delete(item: T): boolean {
    return this.#waiting.delete(item);
  }

  /** Takes all out and hands each to `again`, which may add it back. */
  wake(again: (item: T) => void): void {
    const items = [...this.#waiting];
    this.#waiting.clear();
    for (const item of items) again(item);
  }

  #arm(): void {
    const [first] = this.#waiting;
    if (this.#timer !== null || first === undefined) return;
    const delayMs = Math.max(0, first.holdUntilMs - this.#timers.nowMs());
    this.#timer = this.#timers.setTimer(() => this.#expire(), delayMs);
  }

  #expire(): void {
    this.#timer = null;
    const now = this.#timers.nowMs();
    for (const item of this.#waiting) {
      if (item.holdUntilMs > now) break;
      this.#waiting.delete(item);
      this.#onExpired(item);
    }
    this.#arm();
  }
}
