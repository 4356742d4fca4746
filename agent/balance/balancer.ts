import type { Candidate } from '../model/connection.ts';
import type { Service } from '../model/workload.ts';
import { AffinityTable } from './affinity.ts';
import { Ejections } from './ejections.ts';
import { BALANCE_LIMITS, type BalanceLimits } from './limits.ts';
import { capacityOf, samplerOf } from './sampler.ts';

export interface BalancerParts {
  /** Monotonic milliseconds. */
  monotonicMs: () => number;
  /** In [0, 1). */
  random: () => number;
  limits?: BalanceLimits;
}

/** The same one drawn twice is no choice; bounded, since one may hold nearly all the capacity. */
const MAX_REDRAWS = 3;

/** Who asks, and for what. */
export interface BalancedClient {
  /** The source pod's address: what `ClientIP` goes by. */
  address: string;
  service: Service | null;
  servicePort: number;
}

/**
 * Which candidate a connection is made to: the one that its client had before where the Service wants that, else the
 * less loaded of two drawn at random by capacity, endpoints that just failed left out as long as another is there.
 */
export class Balancer {
  readonly affinity: AffinityTable;
  readonly ejections: Ejections;
  readonly #monotonicMs: () => number;
  readonly #random: () => number;
  readonly #open = new Map<string, number>();

  constructor({ monotonicMs, random, limits = BALANCE_LIMITS }: BalancerParts) {
    this.#monotonicMs = monotonicMs;
    this.#random = random;
    this.affinity = new AffinityTable(limits.affinityEntries);
    this.ejections = new Ejections(limits);
  }

  /** Connections open to a candidate. */
  openTo(candidate: Candidate): number {
    return this.#open.get(endpointKey(candidate)) ?? 0;
  }

  /**
   * `exclude` holds keys (`endpointKey`) of candidates that this connection has tried already. Null: none is left, or
   * none has any capacity.
   */
  pick(candidates: readonly Candidate[], exclude: ReadonlySet<string>, client: BalancedClient): Candidate | null {
    const nowMs = this.#monotonicMs();
    const usable = this.#usable(candidates, exclude, nowMs);
    const { service } = client;
    if (service === null || service.sessionAffinitySeconds === 0) return this.#lessLoaded(usable);
    const clientKey = `${client.address} ${service.key} ${client.servicePort}`;
    const before = this.affinity.get(clientKey, nowMs);
    const kept = before === null ? undefined : candidateBy(candidates, before);
    const chosen = kept !== undefined && usable.includes(kept) ? kept : this.#lessLoaded(usable);
    if (chosen === null) return null;
    this.affinity.set(clientKey, endpointKey(chosen), service.sessionAffinitySeconds * 1000, nowMs);
    return chosen;
  }

  /** A connection to it is being made or open; pair with `closed`. */
  opened(candidate: Candidate): void {
    const key = endpointKey(candidate);
    this.#open.set(key, (this.#open.get(key) ?? 0) + 1);
  }

  closed(candidate: Candidate): void {
    const key = endpointKey(candidate);
    const left = (this.#open.get(key) ?? 0) - 1;
    if (left > 0) this.#open.set(key, left);
    else this.#open.delete(key);
  }

  connectFailed(candidate: Candidate): void {
    this.ejections.failed(endpointKey(candidate), this.#monotonicMs());
  }

  connectSucceeded(candidate: Candidate): void {
    this.ejections.succeeded(endpointKey(candidate));
  }

  #usable(candidates: readonly Candidate[], exclude: ReadonlySet<string>, nowMs: number): readonly Candidate[] {
    if (candidates.length === 1 && exclude.size === 0) return candidates;
    const left = exclude.size === 0 ? candidates : candidates.filter((c) => !exclude.has(endpointKey(c)));
    if (this.ejections.size === 0) return left;
    const sound = left.filter((candidate) => !this.ejections.isEjected(endpointKey(candidate), nowMs));
    if (sound.length === left.length) return left;
    return sound.some((candidate) => capacityOf(candidate) > 0) ? sound : left;
  }

  #lessLoaded(candidates: readonly Candidate[]): Candidate | null {
    const [only] = candidates;
    // No sums for a list of one: it is made anew for each connection to an address that is no Service's.
    if (only !== undefined && candidates.length === 1) return capacityOf(only) > 0 ? only : null;
    const sampler = samplerOf(candidates);
    if (sampler.total === 0) return null;
    const first = sampler.draw(this.#random());
    let second = sampler.draw(this.#random());
    for (let i = 0; i < MAX_REDRAWS && second === first; i++) second = sampler.draw(this.#random());
    if (first === null || second === null) return first ?? second;
    return this.#load(second) < this.#load(first) ? second : first;
  }

  /** As it would be with this connection, by capacity. */
  #load(candidate: Candidate): number {
    return (this.openTo(candidate) + 1) / capacityOf(candidate);
  }
}

/** What tells one place to connect to from another, whichever Service leads there. */
export function endpointKey(candidate: Candidate): string {
  return `${candidate.address} ${candidate.port}`;
}

const keyed = new WeakMap<readonly Candidate[], ReadonlyMap<string, Candidate>>();

function candidateBy(candidates: readonly Candidate[], key: string): Candidate | undefined {
  const byKey = keyed.getOrInsertComputed(candidates, () => new Map(candidates.map((c) => [endpointKey(c), c])));
  return byKey.get(key);
}
