import type { Policy } from './policy.ts';
import type { Service, Workload } from './workload.ts';

/**
 * All that the data path knows, immutable and replaced as a whole. It is live only when every policy that a workload
 * names is there in the named version; workloads for which that is not yet so are in `awaiting`.
 */
export interface Snapshot {
  /** Counts up with each replacement; 0: nothing received yet, every captured connection is held. */
  version: number;
  workloads: ReadonlyMap<string, Workload>;
  /** By address (no port, RFC 5952 form). */
  workloadByAddress: ReadonlyMap<string, Workload>;
  services: ReadonlyMap<string, Service>;
  serviceByAddress: ReadonlyMap<string, Service>;
  /** Endpoints of each service key, in a stable order. */
  endpoints: ReadonlyMap<string, readonly Workload[]>;
  /** `Inbound namespace/name` or `Outbound namespace/name`. */
  policies: ReadonlyMap<string, Policy>;
  /** Workload uids whose policies are not complete: their traffic is held, then refused with `awaiting_policy`. */
  awaiting: ReadonlySet<string>;
  /** Addresses that more than one Service holds (on different ports), in the order of their keys. */
  sharedAddresses?: ReadonlyMap<string, readonly Service[]>;
  /** Addresses of resources that were refused and have no last good version: connections to them are refused. */
  heldAddresses?: ReadonlySet<string>;
}

export const EMPTY_SNAPSHOT: Snapshot = Object.freeze({
  version: 0,
  workloads: new Map(),
  workloadByAddress: new Map(),
  services: new Map(),
  serviceByAddress: new Map(),
  endpoints: new Map(),
  policies: new Map(),
  awaiting: new Set<string>(),
});
