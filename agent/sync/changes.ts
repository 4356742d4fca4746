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

export function rejectionKey(typeUrl: string, name: string): string {
  return `${typeUrl} ${name}`;
}
