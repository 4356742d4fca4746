/** `sessionAffinity: ClientIP`: which endpoint a client had last. Bounded; entries end `timeoutMs` after their last use. */
export class AffinityTable {
  readonly #entries = new Map<string, { endpoint: string; untilMs: number }>();
  readonly #limit: number;
  /** Entries forgotten because the table was full, since start. */
  evicted = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(client: string, nowMs: number): string | null {
    const entry = this.#entries.get(client);
    if (entry === undefined) return null;
    if (entry.untilMs > nowMs) return entry.endpoint;
    this.#entries.delete(client);
    return null;
  }

  /** Moves the client to the end, so that the first one is always the one that was quiet longest. */
  set(client: string, endpoint: string, timeoutMs: number, nowMs: number): void {
    this.#entries.delete(client);
    this.#entries.set(client, { endpoint, untilMs: nowMs + timeoutMs });
    if (this.#entries.size <= this.#limit) return;
    const quietest = this.#entries.keys().next().value;
    if (quietest !== undefined) this.#entries.delete(quietest);
    this.evicted++;
  }
}
