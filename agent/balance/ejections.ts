import type { BalanceLimits } from './limits.ts';

interface Failures {
  inARow: number;
  untilMs: number;
}

/** Endpoints that refused a connect and are left out for a while: short at first, doubling, bounded. */
export class Ejections {
  readonly #failures = new Map<string, Failures>();
  readonly #limits: BalanceLimits;
  /** Ejections since start. */
  count = 0;

  constructor(limits: BalanceLimits) {
    this.#limits = limits;
  }

  /** Endpoints with a failure that no success has cleared. */
  get size(): number {
    return this.#failures.size;
  }

  isEjected(endpoint: string, nowMs: number): boolean {
    return (this.#failures.get(endpoint)?.untilMs ?? 0) > nowMs;
  }

  failed(endpoint: string, nowMs: number): void {
    const { ejectionMinMs, ejectionMaxMs, ejectionEntries } = this.#limits;
    const before = this.#failures.get(endpoint);
    // What was quiet for the longest ejection starts anew: its failures are not in a row.
    const stale = before === undefined || nowMs - before.untilMs > ejectionMaxMs;
    // Connects that were under way together fail together: they are one failure.
    if (!stale && before.untilMs > nowMs) return;
    const inARow = stale ? 1 : before.inARow + 1;
    const pauseMs = Math.min(ejectionMaxMs, ejectionMinMs * 2 ** Math.min(inARow - 1, 30));
    this.#failures.delete(endpoint);
    this.#failures.set(endpoint, { inARow, untilMs: nowMs + pauseMs });
    this.count++;
    const oldest = this.#failures.size > ejectionEntries ? this.#failures.keys().next().value : undefined;
    if (oldest !== undefined) this.#failures.delete(oldest);
  }

  succeeded(endpoint: string): void {
    if (this.#failures.size > 0) this.#failures.delete(endpoint);
  }
}
