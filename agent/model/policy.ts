/** L4 policies as the data path judges them: compiled once in `sync/`, never partly valid. */

export type StringMatch =
  | { kind: 'exact'; value: string }
  | { kind: 'prefix'; value: string }
  | { kind: 'suffix'; value: string }
  /** Any non-empty string. */
  | { kind: 'presence' };

/** A CIDR as bytes (4 or 16) and a prefix length. */
export interface Cidr {
  bytes: Uint8Array;
  length: number;
}

/** Inclusive. */
export interface PortRange {
  first: number;
  last: number;
}

export interface ServiceAccountRef {
  namespace: string;
  serviceAccount: string;
}

/** All fields that are set, any value of a field, no value of a `not` field. No field set: never matches (WDS Match). */
export interface Match {
  namespaces: readonly StringMatch[];
  notNamespaces: readonly StringMatch[];
  principals: readonly StringMatch[];
  notPrincipals: readonly StringMatch[];
  serviceAccounts: readonly ServiceAccountRef[];
  notServiceAccounts: readonly ServiceAccountRef[];
  sourceIps: readonly Cidr[];
  notSourceIps: readonly Cidr[];
  destinationIps: readonly Cidr[];
  notDestinationIps: readonly Cidr[];
  destinationPorts: readonly PortRange[];
  notDestinationPorts: readonly PortRange[];
}

/** Where an Outbound policy lets its subject go; same rule of fields as `Match`. */
export interface DestinationMatch {
  /** `namespace/name` of a Service, each part a match. */
  services: readonly { namespace: StringMatch; name: StringMatch }[];
  notServices: readonly { namespace: StringMatch; name: StringMatch }[];
  namespaces: readonly StringMatch[];
  notNamespaces: readonly StringMatch[];
  ipBlocks: readonly Cidr[];
  notIpBlocks: readonly Cidr[];
  hosts: readonly StringMatch[];
  notHosts: readonly StringMatch[];
  ports: readonly PortRange[];
  notPorts: readonly PortRange[];
}

interface PolicyHead {
  /** `namespace/name` */
  name: string;
  namespace: string;
  version: string;
  scope: 'Mesh' | 'Namespace' | 'Workload';
  action: 'Allow' | 'Deny';
  /** Audit: judged, logged and counted, never in force. */
  enforcement: 'Enforce' | 'Audit';
}

export interface InboundPolicy extends PolicyHead {
  direction: 'Inbound';
  /** Any rule; all clauses of it; any match of a clause. */
  rules: readonly (readonly (readonly Match[])[])[];
  /** Container ports that it concerns; empty: all. */
  appliesToPorts: readonly number[];
}

export interface OutboundPolicy extends PolicyHead {
  direction: 'Outbound';
  rules: readonly { from: readonly Match[]; to: readonly DestinationMatch[] }[];
}

export type Policy = InboundPolicy | OutboundPolicy;

/** Key of `Snapshot.policies`. */
export function policyKey(direction: Policy['direction'], name: string): string {
  return `${direction} ${name}`;
}
