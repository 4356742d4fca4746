/** Small objects for the lab's unit tests. */
import type { Deployment, EndpointSlice, Node, Pod, Service } from '../../../deploy/lab/cluster/objects.ts';

export interface PodShape {
  namespace?: string;
  labels?: Record<string, string>;
  node?: string;
  ips?: string[];
  ready?: boolean;
  terminating?: boolean;
  phase?: 'Pending' | 'Running' | 'Succeeded' | 'Failed';
  owner?: string;
  created?: string;
  ports?: { name?: string; containerPort: number }[];
}

export function pod(name: string, shape: PodShape = {}): Pod {
  const {
    namespace = 'shop',
    labels = {},
    node,
    ips = [],
    ready = true,
    terminating = false,
    phase = 'Running',
  } = shape;
  return {
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      uid: `uid-${name}`,
      labels,
      creationTimestamp: shape.created ?? '2026-01-01T00:00:00Z',
      ...(terminating ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
      ...(shape.owner === undefined
        ? {}
        : { ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: shape.owner, uid: 'u' }] }),
    },
    spec: {
      containers: [{ name: 'main', ...(shape.ports === undefined ? {} : { ports: shape.ports }) }],
      ...(node === undefined ? {} : { nodeName: node }),
    },
    status: {
      phase,
      podIPs: ips.map((ip) => ({ ip })),
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    },
  };
}

export function service(name: string, spec: Service['spec'], namespace = 'shop'): Service {
  return { kind: 'Service', metadata: { name, namespace }, spec };
}

export function node(name: string, labels: Record<string, string> = {}): Node {
  return { kind: 'Node', metadata: { name, labels } };
}

export function deployment(name: string, spec: Partial<Deployment['spec']>): Deployment {
  return {
    kind: 'Deployment',
    metadata: { name, namespace: 'shop' },
    spec: {
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'main' }] } },
      ...spec,
    },
  };
}

export function slice(
  of: string,
  endpoints: EndpointSlice['endpoints'],
  ports: EndpointSlice['ports'],
  v6 = false,
): EndpointSlice {
  return {
    kind: 'EndpointSlice',
    metadata: { name: `${of}-${v6 ? 6 : 4}`, namespace: 'shop', labels: { 'kubernetes.io/service-name': of } },
    addressType: v6 ? 'IPv6' : 'IPv4',
    ...(endpoints === undefined ? {} : { endpoints }),
    ...(ports === undefined ? {} : { ports }),
  };
}
