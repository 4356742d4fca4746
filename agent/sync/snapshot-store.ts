import type { Policy } from '../model/policy.ts';
import { EMPTY_SNAPSHOT, type Snapshot } from '../model/snapshot.ts';
import type { Service, Workload } from '../model/workload.ts';
import { AddressClaims } from './address-claims.ts';
import { Awaiting } from './awaiting.ts';
import type { Changes, Rejection } from './changes.ts';
import { changedLists, type EndpointChanges, noteEndpoint } from './endpoint-lists.ts';
import { LayeredMap } from './layered-map.ts';

export type SnapshotListener = (next: Snapshot, previous: Snapshot) => void;

/**
 * The live snapshot. Each batch of changes makes one new snapshot, which shares with the one before all that has not
 * changed: maps without changes are the same objects, by which `decide` keeps its caches.
 */
export class SnapshotStore {
  #current: Snapshot = EMPTY_SNAPSHOT;
  #workloads = LayeredMap.empty<string, Workload>();
  #workloadByAddress = LayeredMap.empty<string, Workload>();
  #services = LayeredMap.empty<string, Service>();
  #serviceByAddress = LayeredMap.empty<string, Service>();
  #endpoints = LayeredMap.empty<string, readonly Workload[]>();
  #policies = LayeredMap.empty<string, Policy>();
  readonly #awaiting = new Awaiting();
  readonly #rejections = new Map<string, Rejection>();
  readonly #listeners = new Set<SnapshotListener>();
  readonly #workloadClaims = new AddressClaims<Workload>(({ uid }) => uid, byLiveness);
  readonly #serviceClaims = new AddressClaims<Service>(({ key }) => key, byDescendingKey);
  #sharedAddresses: ReadonlyMap<string, readonly Service[]> = new Map();
  #heldAddresses: ReadonlySet<string> = new Set();

  get current(): Snapshot {
    return this.#current;
  }

  /** Called on the tick on which a snapshot goes live; returns how to stop it. */
  onChange(listener: SnapshotListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Makes one batch live as a whole. */
  apply(changes: Changes): void {
    this.#applyWorkloads(changes.workloads);
    this.#applyServices(changes.services);
    this.#policies = this.#policies.with(changes.policies);
    this.#applyRejections(changes.rejections);
    this.#awaiting.update(changes);
    this.#publish();
  }

  #applyWorkloads(changes: Changes['workloads']): void {
    const byAddress = new Map<string, Workload | null>();
    const endpoints: EndpointChanges = new Map();
    for (const [uid, after] of changes) {
      const before = this.#workloads.get(uid) ?? null;
      this.#workloadClaims.replace(this.#workloadByAddress, byAddress, addressable(before), addressable(after));
      noteEndpoint(endpoints, before, after);
    }
    this.#workloads = this.#workloads.with(changes);
    this.#workloadByAddress = this.#workloadByAddress.with(byAddress);
    this.#endpoints = this.#endpoints.with(changedLists(this.#endpoints, endpoints));
  }

  #applyServices(changes: Changes['services']): void {
    if (changes.size === 0) return;
    const byAddress = new Map<string, Service | null>();
    for (const [key, after] of changes) {
      const before = this.#services.get(key) ?? null;
      this.#serviceClaims.replace(this.#serviceByAddress, byAddress, before, after);
    }
    this.#services = this.#services.with(changes);
    this.#serviceByAddress = this.#serviceByAddress.with(byAddress);
    const contested = [...this.#serviceClaims.contested];
    this.#sharedAddresses = new Map(contested.map(([address, services]) => [address, services.toReversed()]));
  }

  #applyRejections(changes: Changes['rejections']): void {
    if (changes.size === 0) return;
    for (const [key, rejection] of changes) {
      if (rejection === null) this.#rejections.delete(key);
      else this.#rejections.set(key, rejection);
    }
    this.#heldAddresses = new Set([...this.#rejections.values()].flatMap(({ addresses }) => addresses));
  }

  /** A batch that changes nothing (a reconnect) makes no snapshot, or every live connection would be judged again. */
  #publish(): void {
    const previous = this.#current;
    const next: Snapshot = Object.freeze({
      version: previous.version + 1,
      workloads: this.#workloads,
      workloadByAddress: this.#workloadByAddress,
      services: this.#services,
      serviceByAddress: this.#serviceByAddress,
      endpoints: this.#endpoints,
      policies: this.#policies,
      awaiting: this.#awaiting.current,
      sharedAddresses: this.#sharedAddresses,
      heldAddresses: this.#heldAddresses,
    });
    if (previous.version > 0 && PARTS.every((part) => next[part] === previous[part])) return;
    this.#current = next;
    for (const listener of this.#listeners) listener(next, previous);
  }
}

const PARTS = ['workloads', 'services', 'endpoints', 'policies', 'awaiting', 'heldAddresses'] as const;

/** A host-network pod has its node's address, which is nobody's identity. */
function addressable(workload: Workload | null): Workload | null {
  return workload?.hostNetwork ? null : workload;
}

/** A pod on its way out gives its address to the next one. */
function byLiveness(a: Workload, b: Workload): number {
  return Number(b.terminating) - Number(a.terminating);
}

function byDescendingKey(a: Service, b: Service): number {
  return a.key < b.key ? 1 : -1;
}
