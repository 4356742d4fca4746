import { parseAddress } from '../../agent/model/address.ts';
import { parseCidr } from '../../agent/model/cidr.ts';
import type { ConnectionFacts } from '../../agent/model/connection.ts';
import {
  type Cidr,
  type InboundPolicy,
  type Match,
  type OutboundPolicy,
  type Policy,
  policyKey,
  type StringMatch,
} from '../../agent/model/policy.ts';
import type { Snapshot } from '../../agent/model/snapshot.ts';
import type { Service, Workload } from '../../agent/model/workload.ts';
import { noChanges } from '../../agent/sync/changes.ts';
import { SnapshotStore } from '../../agent/sync/snapshot-store.ts';
import { TYPES } from '../../agent/sync/types.ts';

/** A workload of `namespace/name` with every field at its plainest. */
export function aWorkload(path: string, overrides: Partial<Workload> = {}): Workload {
  const [namespace = '', name = ''] = path.split('/');
  return {
    uid: `Kubernetes//Pod/${path}`,
    name,
    namespace,
    identity: { trustDomain: 'cluster.local', namespace, serviceAccount: name },
    addresses: [],
    network: '',
    node: 'node-1',
    clusterId: 'Kubernetes',
    workloadName: name,
    workloadType: 'deployment',
    canonicalName: name,
    canonicalRevision: 'latest',
    locality: { region: '', zone: '', subzone: '' },
    hostNetwork: false,
    enrolled: true,
    healthy: true,
    serving: true,
    terminating: false,
    capacity: 1,
    probePorts: [],
    policies: null,
    selectorPolicies: [],
    services: new Map(),
    endpointConditions: new Map(),
    podUid: '',
    ...overrides,
  };
}

export function serviceKeyOf(path: string): string {
  const [namespace = '', name = ''] = path.split('/');
  return `${namespace}/${name}.${namespace}.svc.cluster.local`;
}

/** A Service of `namespace/name`; `ports` maps service port to target port, 0 for a named one. */
export function aService(path: string, ports: Record<number, number>, overrides: Partial<Service> = {}): Service {
  const [namespace = '', name = ''] = path.split('/');
  const list = Object.entries(ports).map(([port, targetPort]) => ({ port: Number(port), targetPort }));
  return {
    key: serviceKeyOf(path),
    name,
    namespace,
    hostname: `${name}.${namespace}.svc.cluster.local`,
    addresses: ['10.96.0.1'],
    ports: new Map(list.map(({ port, targetPort }) => [port, { port, targetPort, appProtocol: 'unknown' }])),
    routingPreference: [],
    mode: 'standard',
    allowUnhealthy: false,
    sessionAffinitySeconds: 0,
    ...overrides,
  };
}

/** That a workload is an endpoint of Services; `ports` as in `aService`. */
export function endpointOf(...services: [path: string, ports: Record<number, number>][]): Workload['services'] {
  return new Map(
    services.map(([path, ports]) => [
      serviceKeyOf(path),
      new Map(Object.entries(ports).map(([port, target]) => [Number(port), target])),
    ]),
  );
}

export function exact(...values: string[]): StringMatch[] {
  return values.map((value) => ({ kind: 'exact', value }));
}

export function blocks(...texts: string[]): Cidr[] {
  return texts.map((text) => {
    const cidr = parseCidr(text);
    if (cidr === null) throw new Error(`${text} is no block`);
    return cidr;
  });
}

export function aMatch(fields: Partial<Match>): Match {
  return {
    namespaces: [],
    notNamespaces: [],
    principals: [],
    notPrincipals: [],
    serviceAccounts: [],
    notServiceAccounts: [],
    sourceIps: [],
    notSourceIps: [],
    destinationIps: [],
    notDestinationIps: [],
    destinationPorts: [],
    notDestinationPorts: [],
    ...fields,
  };
}

/** One rule with one clause: any of the matches. None: a policy without rules. */
export function inbound(
  name: string,
  action: Policy['action'],
  matches: readonly Partial<Match>[],
  overrides: Partial<InboundPolicy> = {},
): InboundPolicy {
  return {
    name,
    namespace: name.split('/')[0] ?? '',
    version: '1',
    scope: 'Namespace',
    action,
    enforcement: 'Enforce',
    direction: 'Inbound',
    rules: matches.length === 0 ? [] : [[matches.map(aMatch)]],
    appliesToPorts: [],
    ...overrides,
  };
}

export function outbound(
  name: string,
  action: Policy['action'],
  to: readonly Partial<OutboundPolicy['rules'][number]['to'][number]>[],
  overrides: Partial<OutboundPolicy> = {},
): OutboundPolicy {
  const destination = {
    services: [],
    notServices: [],
    namespaces: [],
    notNamespaces: [],
    ipBlocks: [],
    notIpBlocks: [],
    hosts: [],
    notHosts: [],
    ports: [],
    notPorts: [],
  };
  return {
    name,
    namespace: name.split('/')[0] ?? '',
    version: '1',
    scope: 'Namespace',
    action,
    enforcement: 'Enforce',
    direction: 'Outbound',
    rules: [{ from: [], to: to.map((fields) => ({ ...destination, ...fields })) }],
    ...overrides,
  };
}

export interface MeshParts {
  workloads?: readonly Workload[];
  services?: readonly Service[];
  policies?: readonly Policy[];
}

export function changesOf({ workloads = [], services = [], policies = [] }: MeshParts) {
  const changes = noChanges();
  for (const workload of workloads) changes.workloads.set(workload.uid, workload);
  for (const service of services) changes.services.set(service.key, service);
  for (const policy of policies) changes.policies.set(policyKey(policy.direction, policy.name), policy);
  for (const type of TYPES) changes.synced.add(type);
  return changes;
}

/** A snapshot as the store makes it, after a complete first sync. */
export function aSnapshot(parts: MeshParts): Snapshot {
  const store = new SnapshotStore();
  store.apply(changesOf(parts));
  return store.current;
}

/** A connection from an unknown caller to nowhere known, unless said otherwise. */
export function facts(fields: Partial<ConnectionFacts>): ConnectionFacts {
  return {
    source: null,
    sourceIdentity: fields.source?.identity ?? null,
    sourceAddress: fields.source?.addresses[0] ?? '192.0.2.1',
    destination: null,
    destinationAddress: fields.destination?.addresses[0] ?? '192.0.2.2',
    destinationPort: 8080,
    service: null,
    servicePort: 0,
    ...fields,
  };
}

/** The bytes of an address that the test knows to be one. */
export function addressBytes(text: string): Uint8Array {
  const bytes = parseAddress(text);
  if (bytes === null) throw new Error(`${text} is no address`);
  return bytes;
}

/** Seeded numbers in [0, 1): the same each time (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
