interface Waiter {
  resolve: () => void;
  timer: NodeJS.Timeout;
}

/** Long-polls on keys, bounded in number. */
export class Waiters {
  readonly #byKey = new Map<string, Set<Waiter>>();
  readonly #max: number;
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Resolves at `wake(key)`, after `waitMs`, or at once when too many wait (then false). */
  wait(key: string, waitMs: number): Promise<boolean> {
    if (this.#count >= this.#max) return Promise.resolve(false);
    return new Promise((resolve) => {
      const waiters = this.#byKey.get(key) ?? new Set();
      this.#byKey.set(key, waiters);
      const done = (): void => {
        clearTimeout(waiter.timer);
        if (waiters.delete(waiter)) this.#count--;
        if (waiters.size === 0 && this.#byKey.get(key) === waiters) this.#byKey.delete(key);
        resolve(true);
      };
      const waiter: Waiter = { resolve: done, timer: setTimeout(done, waitMs) };
      waiter.timer.unref();
      waiters.add(waiter);
      this.#count++;
    });
  }

  wake(key: string): void {
    for (const waiter of [...(this.#byKey.get(key) ?? [])]) waiter.resolve();
  }
}
