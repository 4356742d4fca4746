import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** How many updates are remembered while agents have not confirmed them. */
const MAX_OPEN_UPDATES = 1024;

/** The controller's metrics, in a registry of their own. */
export class ControllerMetrics {
  readonly registry = new Registry();
  readonly pushes: Counter<'type'>;
  readonly rejects: Counter<'type'>;
  readonly limits: Counter<'limit'>;
  readonly #convergence: Histogram;
  /** When each update of the cache was made, ms. */
  readonly #updates = new Map<number, number>();
  /** By node: the last update it confirmed. */
  readonly #confirmed = new Map<string, number>();

  constructor(state: { connectedAgents: () => number; objectsByKind: () => ReadonlyMap<string, number> }) {
    const registers = [this.registry];
    this.pushes = new Counter({
      name: 'aquifer_controller_pushes_total',
      help: 'Responses sent to agents',
      labelNames: ['type'],
      registers,
    });
    this.rejects = new Counter({
      name: 'aquifer_controller_push_rejects_total',
      help: 'Responses that agents refused (NACK)',
      labelNames: ['type'],
      registers,
    });
    this.limits = new Counter({
      name: 'aquifer_controller_limit_hits_total',
      help: 'Times that a limit was reached',
      labelNames: ['limit'],
      registers,
    });
    this.#convergence = new Histogram({
      name: 'aquifer_controller_convergence_seconds',
      help: 'Time from a change to its confirmation by an agent',
      buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    });
    new Gauge({
      name: 'aquifer_controller_connected_agents',
      help: 'Agents with an open stream',
      registers,
      collect() {
        this.set(state.connectedAgents());
      },
    });
    new Gauge({
      name: 'aquifer_controller_objects',
      help: 'Objects known, by kind',
      labelNames: ['kind'],
      registers,
      collect() {
        this.reset();
        for (const [kind, count] of state.objectsByKind()) this.set({ kind }, count);
      },
    });
  }

  /** An update was made now. */
  updated(sequence: number): void {
    this.#updates.set(sequence, performance.now());
    const oldest = this.#updates.keys().next();
    if (this.#updates.size > MAX_OPEN_UPDATES && !oldest.done) this.#updates.delete(oldest.value);
  }

  /** A node confirmed everything up to this update. */
  converged(node: string, sequence: number): void {
    const before = this.#confirmed.get(node);
    this.#confirmed.set(node, sequence);
    // What happened before the agent connected was not waiting for it.
    if (before === undefined) return;
    const now = performance.now();
    for (const [update, at] of this.#updates) {
      if (update > before && update <= sequence) this.#convergence.observe((now - at) / 1000);
    }
  }

  /** A node's stream ended: what changes until it is back does not count as slow. */
  disconnected(node: string): void {
    this.#confirmed.delete(node);
  }
}
