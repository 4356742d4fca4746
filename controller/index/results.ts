import { contentHash } from '../core/hash.ts';
import type {
  Changed,
  Delta,
  InboundPolicy,
  OutboundPolicy,
  Policy,
  Service,
  Snapshot,
  Versioned,
  Workload,
} from '../core/model.ts';
import { isInbound, isOutbound } from './policies.ts';

/** One map of results that notes what changed since the last look. */
class ResultMap<T> {
  readonly live = new Map<string, Versioned<T>>();
  readonly #touched = new Set<string>();

  set(name: string, result: Versioned<T>): void {
    if (this.live.get(name)?.version === result.version) return;
    this.live.set(name, result);
    this.#touched.add(name);
  }

  delete(name: string): void {
    if (this.live.delete(name)) this.#touched.add(name);
  }

  drain(): Changed<T> {
    const set = new Map<string, Versioned<T>>();
    const removed: string[] = [];
    for (const name of this.#touched) {
      const result = this.live.get(name);
      if (result === undefined) removed.push(name);
      else set.set(name, result);
    }
    this.#touched.clear();
    return { set, removed };
  }
}

/** What the agents get, as it stands, and what of it is new. */
export class Results {
  readonly workloads = new ResultMap<Workload>();
  readonly services = new ResultMap<Service>();
  readonly #inbound = new ResultMap<InboundPolicy>();
  readonly #outbound = new ResultMap<OutboundPolicy>();

  setWorkload(workload: Workload): void {
    this.workloads.set(workload.uid, { value: workload, version: contentHash(workload) });
  }

  setService(service: Service): void {
    this.services.set(service.key, { value: service, version: contentHash(service) });
  }

  setPolicy(name: string, resource: Versioned<Policy>): void {
    if (isInbound(resource)) this.#inbound.set(name, resource);
    else if (isOutbound(resource)) this.#outbound.set(name, resource);
  }

  deletePolicy(name: string, direction: Policy['direction']): void {
    (direction === 'Inbound' ? this.#inbound : this.#outbound).delete(name);
  }

  drain(): Delta {
    return {
      workloads: this.workloads.drain(),
      services: this.services.drain(),
      inbound: this.#inbound.drain(),
      outbound: this.#outbound.drain(),
    };
  }

  snapshot(version: number): Snapshot {
    return {
      version,
      workloads: new Map(this.workloads.live),
      services: new Map(this.services.live),
      inbound: new Map(this.#inbound.live),
      outbound: new Map(this.#outbound.live),
    };
  }
}

/** Whether a commit changed anything at all. */
export function isEmptyDelta(delta: Delta): boolean {
  return Object.values(delta).every(
    (changed: Changed<unknown>) => changed.set.size === 0 && changed.removed.length === 0,
  );
}
