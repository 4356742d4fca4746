/** What the controller tells the agents, as plain immutable values: no wire format, no Kubernetes shapes. */

import type { Cidr } from './address.ts';
import type { PortRange } from './ports.ts';
import type { StringMatch } from './string-match.ts';

/** Names one object of the API. `group` is empty for core Kubernetes kinds, `namespace` for cluster-scoped ones. */
export interface ObjectRef {
  group: string;
  kind: string;
  namespace: string;
  name: string;
}

/** The map key of an object. */
export function objectKey(ref: ObjectRef): string {
  return `${ref.group}/${ref.kind}/${ref.namespace}/${ref.name}`;
}

export interface PolicyRef {
  /** `namespace/name` of the policy resource. */
  name: string;
  direction: 'Inbound' | 'Outbound';
  /** Content hash of the policy resource that must be there before the workload's traffic may pass. */
  version: string;
}

export interface EndpointCondition {
  /** Service key, `namespace/hostname`. */
  service: string;
  ready: boolean;
  serving: boolean;
  terminating: boolean;
  forZones: readonly string[];
  forNodes: readonly string[];
}

/** What a workload serves of one Service: service port to own port. */
export interface ServedPorts {
  /** Service key, `namespace/hostname`. */
  service: string;
  ports: readonly { servicePort: number; targetPort: number }[];
}

export interface Locality {
  region: string;
  zone: string;
  subzone: string;
}

export interface Workload {
  /** `cluster/group/kind/namespace/name[/section]` */
  uid: string;
  name: string;
  namespace: string;
  addresses: readonly string[];
  network: string;
  trustDomain: string;
  serviceAccount: string;
  node: string;
  clusterId: string;
  workloadName: string;
  workloadType: 'deployment' | 'cronjob' | 'pod' | 'job';
  canonicalName: string;
  canonicalRevision: string;
  locality: Locality;
  hostNetwork: boolean;
  enrolled: boolean;
  healthy: boolean;
  serving: boolean;
  terminating: boolean;
  probePorts: readonly number[];
  podUid: string;
  /** Sorted by service. */
  services: readonly ServedPorts[];
  /** Only where a Service sees this workload otherwise than the flags above. */
  endpointConditions: readonly EndpointCondition[];
  /** Every policy that applies, mesh-wide and namespace ones included, sorted. Empty when not enrolled. */
  policies: readonly PolicyRef[];
  /** Names of those inbound policies that select workloads (WDS `authorization_policies`). */
  selectorPolicies: readonly string[];
}

export type AppProtocol = 'unknown' | 'http11' | 'http2' | 'grpc' | 'tcp' | 'tls';
export type LocalityScope = 'Network' | 'Region' | 'Zone' | 'Subzone' | 'Node' | 'Cluster';

export interface ServicePort {
  port: number;
  /** 0: a named port, resolved for each workload. */
  targetPort: number;
  appProtocol: AppProtocol;
}

export interface Service {
  /** `namespace/hostname` */
  key: string;
  name: string;
  namespace: string;
  hostname: string;
  network: string;
  addresses: readonly string[];
  ports: readonly ServicePort[];
  type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
  ipFamilies: 'automatic' | 'ipv4' | 'ipv6' | 'dual';
  routingPreference: readonly LocalityScope[];
  mode: 'standard' | 'strict' | 'failover';
  publishNotReadyAddresses: boolean;
  internalTrafficPolicyLocal: boolean;
  /** sessionAffinity ClientIP; 0: none. */
  sessionAffinitySeconds: number;
}

export interface ServiceAccountRef {
  namespace: string;
  serviceAccount: string;
}

/** All fields that are set, any value of a field, no value of a `not` field; no field set: never matches. */
export interface SourceMatch {
  namespaces: readonly StringMatch[];
  notNamespaces: readonly StringMatch[];
  principals: readonly StringMatch[];
  notPrincipals: readonly StringMatch[];
  serviceAccounts: readonly ServiceAccountRef[];
  notServiceAccounts: readonly ServiceAccountRef[];
  ipBlocks: readonly Cidr[];
  notIpBlocks: readonly Cidr[];
}

export interface PortMatch {
  ports: readonly PortRange[];
  notPorts: readonly PortRange[];
}

/** Each name is `namespace/name`, either part exact or with `*` at one end. Same rule of fields as `SourceMatch`. */
export interface DestinationMatch extends PortMatch {
  services: readonly string[];
  notServices: readonly string[];
  namespaces: readonly StringMatch[];
  notNamespaces: readonly StringMatch[];
  ipBlocks: readonly Cidr[];
  notIpBlocks: readonly Cidr[];
  hosts: readonly StringMatch[];
  notHosts: readonly StringMatch[];
}

interface PolicyHead {
  name: string;
  namespace: string;
  scope: 'Mesh' | 'Namespace' | 'Workload';
  action: 'Allow' | 'Deny';
  enforcement: 'Enforce' | 'Audit';
}

export interface InboundPolicy extends PolicyHead {
  direction: 'Inbound';
  /** Any rule; of a rule `from` and `to`, any entry each; an empty list: anyone, any port. */
  rules: readonly { from: readonly SourceMatch[]; to: readonly PortMatch[] }[];
  /** Container ports that it concerns; empty: all. */
  appliesToPorts: readonly number[];
}

export interface OutboundPolicy extends PolicyHead {
  direction: 'Outbound';
  rules: readonly { from: readonly SourceMatch[]; to: readonly DestinationMatch[] }[];
}

export type Policy = InboundPolicy | OutboundPolicy;

/** A value with the hash of its content: the version that agents compare. */
export interface Versioned<T> {
  value: T;
  version: string;
}

/** What one commit of the index changed; names as on the wire. */
export interface Delta {
  workloads: Changed<Workload>;
  services: Changed<Service>;
  inbound: Changed<InboundPolicy>;
  outbound: Changed<OutboundPolicy>;
}

export interface Changed<T> {
  set: ReadonlyMap<string, Versioned<T>>;
  removed: readonly string[];
}

/** All that one node gets. */
export interface Snapshot {
  version: number;
  workloads: ReadonlyMap<string, Versioned<Workload>>;
  services: ReadonlyMap<string, Versioned<Service>>;
  inbound: ReadonlyMap<string, Versioned<InboundPolicy>>;
  outbound: ReadonlyMap<string, Versioned<OutboundPolicy>>;
}
