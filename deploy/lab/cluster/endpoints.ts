/** EndpointSlices of Services with a selector, by the rules of the EndpointSlice controller. */
import {
  type Endpoint,
  type EndpointPort,
  type EndpointSlice,
  isFinished,
  isReady,
  isTerminating,
  MANAGED_BY_LABEL,
  namespaceOf,
  type Pod,
  podIps,
  SERVICE_NAME_LABEL,
  type Service,
  type ServicePort,
} from './objects.ts';
import { matchesLabels } from './selector.ts';

const MANAGER = 'endpointslice-controller.k8s.io';

/**
 * One slice for each family and each distinct set of ports, since a named target port may differ from pod to pod.
 * `zoneOf` gives a node's zone label. Empty for a Service without selector: its slices are the user's.
 */
export function endpointSlices(
  service: Service,
  pods: readonly Pod[],
  zoneOf: (node: string) => string | undefined,
): EndpointSlice[] {
  const selector = service.spec.selector;
  if (selector === undefined || Object.keys(selector).length === 0 || service.spec.type === 'ExternalName') return [];
  const families = (service.spec.ipFamilies ?? ['IPv4']).filter((family) => family === 'IPv4' || family === 'IPv6');
  const members = pods
    .filter((pod) => namespaceOf(pod) === namespaceOf(service) && matchesLabels(selector, pod.metadata.labels))
    .filter((pod) => !isFinished(pod) && podIps(pod).length > 0)
    .sort((a, b) => a.metadata.name.localeCompare(b.metadata.name));
  return families.flatMap((family) => {
    const groups = new Map<string, { ports: EndpointPort[]; endpoints: Endpoint[] }>();
    for (const pod of members) {
      const address = podIps(pod).find((ip) => ip.includes(':') === (family === 'IPv6'));
      if (address === undefined) continue;
      const ports = portsOf(service, pod);
      const group = groups.getOrInsertComputed(JSON.stringify(ports), () => ({ ports, endpoints: [] }));
      group.endpoints.push(endpointOf(service, pod, address, zoneOf));
    }
    if (groups.size === 0) groups.set('', { ports: [], endpoints: [] });
    return [...groups.values()].map((group, index) => sliceOf(service, family, index, group));
  });
}

function sliceOf(
  service: Service,
  family: 'IPv4' | 'IPv6',
  index: number,
  group: { ports: EndpointPort[]; endpoints: Endpoint[] },
): EndpointSlice {
  const { name } = service.metadata;
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${name}-${family.toLowerCase()}${index === 0 ? '' : `-${index}`}`,
      namespace: namespaceOf(service),
      labels: { [SERVICE_NAME_LABEL]: name, [MANAGED_BY_LABEL]: MANAGER },
    },
    addressType: family,
    ports: group.ports,
    endpoints: group.endpoints,
  };
}

function endpointOf(
  service: Service,
  pod: Pod,
  address: string,
  zoneOf: (node: string) => string | undefined,
): Endpoint {
  const serving = isReady(pod);
  const terminating = isTerminating(pod);
  const always = service.spec.publishNotReadyAddresses === true;
  const node = pod.spec.nodeName;
  const zone = node === undefined ? undefined : zoneOf(node);
  const named = pod.spec.hostname !== undefined && pod.spec.subdomain === service.metadata.name;
  return {
    addresses: [address],
    conditions: { ready: always || (serving && !terminating), serving: always || serving, terminating },
    ...(named && pod.spec.hostname !== undefined ? { hostname: pod.spec.hostname } : {}),
    ...(node === undefined ? {} : { nodeName: node }),
    ...(zone === undefined ? {} : { zone }),
    targetRef: { kind: 'Pod', name: pod.metadata.name, namespace: namespaceOf(pod), uid: pod.metadata.uid ?? '' },
  };
}

function portsOf(service: Service, pod: Pod): EndpointPort[] {
  return (service.spec.ports ?? []).flatMap((port) => {
    const number = targetPort(port, pod);
    if (number === null) return [];
    return [
      {
        name: port.name ?? '',
        port: number,
        protocol: port.protocol ?? 'TCP',
        ...(port.appProtocol === undefined ? {} : { appProtocol: port.appProtocol }),
      },
    ];
  });
}

/** `null` when the pod has no port of that name and protocol: then it is no endpoint of this port. */
function targetPort(port: ServicePort, pod: Pod): number | null {
  const target = port.targetPort ?? port.port;
  if (typeof target === 'number') return target;
  if (/^\d+$/.test(target)) return Number(target);
  for (const container of pod.spec.containers) {
    for (const declared of container.ports ?? []) {
      if (declared.name === target && (declared.protocol ?? 'TCP') === (port.protocol ?? 'TCP'))
        return declared.containerPort;
    }
  }
  return null;
}
