import type { Node } from '../api/core-kinds.ts';
import { wantsEnrolment } from '../api/enrolment.ts';
import type { Service as ApiService } from '../api/service.ts';
import type { EndpointCondition, Locality, ServedPorts, Workload } from '../core/model.ts';
import type { Labels } from '../core/selector.ts';
import type { IndexOptions } from './options.ts';
import { canonicalOf, podConditions, probePorts, resolveTargetPort, workloadOf } from './pod.ts';
import type { PodEntry } from './pods.ts';
import { serviceKey, tcpPorts } from './service.ts';
import type { Endpoint, Slice } from './slices.ts';
import { findEndpoint } from './slices.ts';

/** What a pod is to one Service. */
export interface Membership {
  /** `namespace/name` */
  key: string;
  service: ApiService;
  ports: ServedPorts['ports'];
  /** As the EndpointSlices say, when they speak of it. */
  endpoint: Endpoint | undefined;
}

/** A pod as a member of a Service that selects it by labels. */
export function memberBySelector(
  service: ApiService,
  key: string,
  entry: PodEntry,
  slices: readonly Slice[],
): Membership {
  const ports: { servicePort: number; targetPort: number }[] = [];
  for (const port of tcpPorts(service)) {
    const targetPort = resolveTargetPort(entry.pod, port.targetPort ?? port.port);
    if (targetPort !== null) ports.push({ servicePort: port.port, targetPort });
  }
  let endpoint: Endpoint | undefined;
  for (const slice of slices) endpoint ??= findEndpoint(slice, entry.key, entry.ownAddresses);
  return { key, service, ports, endpoint };
}

/** A pod (or bare address) as an endpoint of a Service without selector. */
export function memberBySlice(service: ApiService, slice: Slice, endpoint: Endpoint): Membership {
  return { key: slice.service, service, ports: slicePorts(service, slice), endpoint };
}

function slicePorts(service: ApiService, slice: Slice): ServedPorts['ports'] {
  const ports: { servicePort: number; targetPort: number }[] = [];
  for (const { name, port } of tcpPorts(service)) {
    const targetPort = slice.ports.get(name ?? '');
    if (targetPort !== undefined) ports.push({ servicePort: port, targetPort });
  }
  return ports;
}

/** The workload of a pod, without its policies. */
export function podWorkload(
  entry: PodEntry,
  memberships: readonly Membership[],
  namespaceLabels: Labels,
  locality: Locality,
  options: IndexOptions,
): Workload {
  const { pod, namespace, labels, hostNetwork } = entry;
  const { ready, serving, terminating } = podConditions(pod);
  const owner = workloadOf(pod);
  const annotations = pod.metadata.annotations ?? {};
  return {
    uid: `${options.clusterId}//Pod/${entry.key}`,
    name: pod.metadata.name,
    namespace,
    addresses: entry.addresses,
    network: options.network,
    trustDomain: options.trustDomain,
    serviceAccount: pod.spec.serviceAccountName ?? pod.spec.serviceAccount ?? 'default',
    node: entry.node,
    clusterId: options.clusterId,
    workloadName: owner.workloadName,
    workloadType: owner.workloadType,
    ...canonicalOf(labels, owner.workloadName),
    locality,
    hostNetwork,
    enrolled: wantsEnrolment(namespaceLabels, labels, annotations, hostNetwork, options.honourIstioLabel),
    healthy: ready,
    serving,
    terminating,
    probePorts: probePorts(pod),
    podUid: pod.metadata.uid ?? '',
    services: servedPorts(memberships, options),
    endpointConditions: memberships.flatMap((member) => {
      const condition = conditionOf(member, terminating, options);
      return condition === null || isSame(condition, { ready, serving, terminating }) ? [] : [condition];
    }),
    policies: [],
    selectorPolicies: [],
  };
}

/** The workload of an endpoint that is no pod we know: an address outside, of a Service without selector. */
export function sliceWorkload(
  slice: Slice,
  endpoint: Endpoint,
  member: Membership,
  locality: Locality,
  options: IndexOptions,
): Workload {
  const [namespace = '', name = ''] = slice.key.split('/');
  const { ready, serving, terminating } = endpoint;
  const condition = conditionOf(member, false, options);
  return {
    uid: `${options.clusterId}/discovery.k8s.io/EndpointSlice/${slice.key}/${endpoint.address}`,
    name,
    namespace,
    addresses: [endpoint.address],
    network: options.network,
    trustDomain: options.trustDomain,
    serviceAccount: '',
    node: endpoint.node,
    clusterId: options.clusterId,
    workloadName: name,
    workloadType: 'pod',
    ...canonicalOf({}, member.service.metadata.name),
    locality: endpoint.zone === '' ? locality : { ...locality, zone: endpoint.zone },
    hostNetwork: false,
    enrolled: false,
    healthy: ready,
    serving,
    terminating,
    probePorts: [],
    podUid: '',
    services: servedPorts([member], options),
    endpointConditions: condition === null || isSame(condition, { ready, serving, terminating }) ? [] : [condition],
    policies: [],
    selectorPolicies: [],
  };
}

/** From the well-known labels of a Node; empty where it is unknown. */
export function localityOf(node: Node | undefined): Locality {
  const labels = node?.metadata.labels ?? {};
  return {
    region: labels['topology.kubernetes.io/region'] ?? '',
    zone: labels['topology.kubernetes.io/zone'] ?? '',
    subzone: labels['topology.istio.io/subzone'] ?? '',
  };
}

function servedPorts(memberships: readonly Membership[], options: IndexOptions): ServedPorts[] {
  return memberships
    .map(({ service, ports }) => ({ service: nameOf(service, options), ports }))
    .sort((a, b) => (a.service < b.service ? -1 : 1));
}

function nameOf({ metadata }: ApiService, options: IndexOptions): string {
  return serviceKey(metadata.namespace ?? 'default', metadata.name, options.clusterDomain);
}

function conditionOf(member: Membership, podTerminating: boolean, options: IndexOptions): EndpointCondition | null {
  const { endpoint, service } = member;
  if (endpoint === undefined) return null;
  const always = service.spec.publishNotReadyAddresses ?? false;
  return {
    service: nameOf(service, options),
    // The Pod's own deletion is known before its slice says so.
    ready: endpoint.ready && (always || !podTerminating),
    serving: endpoint.serving,
    terminating: endpoint.terminating || podTerminating,
    forZones: endpoint.forZones,
    forNodes: endpoint.forNodes,
  };
}

function isSame(
  condition: EndpointCondition,
  flags: Pick<EndpointCondition, 'ready' | 'serving' | 'terminating'>,
): boolean {
  return (
    condition.ready === flags.ready &&
    condition.serving === flags.serving &&
    condition.terminating === flags.terminating &&
    condition.forZones.length === 0 &&
    condition.forNodes.length === 0
  );
}
