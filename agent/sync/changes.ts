import type { Policy } from '../model/policy.ts';
import type { Service, Workload } from '../model/workload.ts';

/** Why a resource from the controller was refused, and what its refusal holds. */
export interface Rejection {
  typeUrl: string;
  /** The resource's name on the wire. */
  name: string;
  reason: string;
  /** For a policy: whom it concerns, as far as could be read; null: unknown, so anyone. */
  concerns: { scope: Policy['scope']; namespace: string } | null;
  /** For a workload or service without a last good version: addresses that must not be taken for the outside. */
  addresses: readonly string[];
}

/** What one batch of responses changes; null removes. */
export interface Changes {
  /** By uid. */
  workloads: Map<string, Workload | null>;
  /** By `namespace/hostname`. */
  services: Map<string, Service | null>;
  /** By `policyKey`. */
  policies: Map<string, Policy | null>;
  /** By `rejectionKey`; null: no longer rejected. */
  rejections: Map<string, Rejection | null>;
  /** Types of which a first answer is complete. */
  synced: Set<string>;
}

export function noChanges(): Changes {
  return { workloads: new Map(), services: new Map(), policies: new Map(), rejections: new Map(), synced: new Set() };
}

/** Enters later changes over earlier ones. */
export function mergeChanges(into: Changes, later: Changes): void {
  for (const [uid, workload] of later.workloads) into.workloads.set(uid, workload);
  for (const [key, service] of later.services) into.services.set(key, service);
  for (const [key, policy] of later.policies) into.policies.set(key, policy);
  for (const [key, rejection] of later.rejections) into.rejections.set(key, rejection);
  for (const typeUrl of later.synced) into.synced.add(typeUrl);
}

export function rejectionKey(typeUrl: string, name: string): string {
  return `${typeUrl} ${name}`;
}
