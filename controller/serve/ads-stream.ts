import type { Logger } from 'pino';
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from '../proto/gen/envoy/service/discovery/v3/ads_pb.js';
import type { ControllerMetrics } from './metrics.ts';
import type { ResourceCache } from './resource-cache.ts';
import { Subscription } from './subscription.ts';
import { isTypeUrl, TYPE_URLS, type TypeUrl } from './types.ts';

/** The part of a gRPC call that a stream needs. */
export interface Channel {
  /** False: wait for `drained`. */
  write(response: DeltaDiscoveryResponse): boolean;
}

/** What one agent has said so far. */
export interface AgentState {
  acked: number;
  nacked: number;
  lastError: string | null;
}

/** One agent's stream: its subscriptions, one outstanding response each. */
export class AdsStream {
  readonly node: string;
  readonly #cache: ResourceCache;
  readonly #channel: Channel;
  readonly #metrics: ControllerMetrics;
  readonly #log: Logger;
  readonly #state: AgentState;
  readonly #subscriptions = new Map<TypeUrl, Subscription>();
  readonly #stopListening: () => void;
  #blocked = false;
  #scheduled = false;
  #closed = false;

  constructor(
    node: string,
    state: AgentState,
    parts: { cache: ResourceCache; channel: Channel; metrics: ControllerMetrics; log: Logger },
  ) {
    this.node = node;
    this.#state = state;
    this.#cache = parts.cache;
    this.#channel = parts.channel;
    this.#metrics = parts.metrics;
    this.#log = parts.log;
    this.#stopListening = this.#cache.onChange((typeUrl, names) => {
      this.#subscriptions.get(typeUrl)?.touch(names);
      this.#schedule();
    });
  }

  /** The update that the agent has confirmed for all types it asked for; -1: not yet in sync. */
  get ackedSequence(): number {
    const sequences = [...this.#subscriptions.values()].map(({ ackedSequence }) => ackedSequence);
    return sequences.length === 0 ? -1 : Math.min(...sequences);
  }

  holds(typeUrl: TypeUrl, name: string): boolean {
    return this.#subscriptions.get(typeUrl)?.holds(name) ?? false;
  }

  /** Takes a request. An error message means that the stream must end. */
  receive(request: DeltaDiscoveryRequest): string | null {
    const { typeUrl } = request;
    if (!isTypeUrl(typeUrl)) return `type ${typeUrl === '' ? '(none)' : typeUrl} is not served here`;
    const subscription = this.#subscriptions.getOrInsertComputed(typeUrl, (url) => new Subscription(url, this.#cache));
    const before = this.ackedSequence;
    const verdict = subscription.take(request);
    if (verdict?.kind === 'ack') this.#state.acked++;
    if (verdict?.kind === 'nack') {
      this.#state.nacked++;
      this.#state.lastError = verdict.message;
      this.#metrics.rejects.inc({ type: shortType(typeUrl) });
      this.#log.error({ node: this.node, type: typeUrl, reason: verdict.message }, 'agent refused a resource');
    }
    this.#schedule();
    if (verdict?.kind === 'ack') {
      // A later version that it took is what counts from now on.
      if (this.ackedSequence > before) this.#metrics.converged(this.node, this.ackedSequence);
      if (![...this.#subscriptions.values()].some(({ rejections }) => rejections > 0)) this.#state.lastError = null;
    }
    return null;
  }

  /** The transport takes more again. */
  drained(): void {
    this.#blocked = false;
    this.#schedule();
  }

  close(): void {
    this.#closed = true;
    this.#stopListening();
  }

  /** Sends after the present batch of changes is complete. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    // Policies before the workloads that name them.
    for (const typeUrl of [TYPE_URLS.authorization, TYPE_URLS.outbound, TYPE_URLS.address]) {
      if (this.#blocked || this.#closed) return;
      const response = this.#subscriptions.get(typeUrl)?.next();
      if (response == null) continue;
      this.#metrics.pushes.inc({ type: shortType(typeUrl) });
      this.#blocked = !this.#channel.write(response);
    }
  }
}

function shortType(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf('.') + 1);
}
