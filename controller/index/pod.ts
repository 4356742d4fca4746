import type { Container, Handler, Pod } from '../api/pod.ts';
import { canonicalAddress } from '../core/address.ts';
import type { Workload } from '../core/model.ts';
import { numericTarget } from './service.ts';

/** Addresses of a pod that can receive traffic; empty for one that has ended or has none yet. */
export function podAddresses({ status }: Pod): string[] {
  if (status == null || status.phase === 'Succeeded' || status.phase === 'Failed') return [];
  const listed = status.podIPs?.map(({ ip }) => ip) ?? [];
  const all = listed.length > 0 ? listed : [status.podIP ?? ''];
  return [...new Set(all.map(canonicalAddress).filter((address) => address !== null))];
}

/** Readiness as the EndpointSlice controller derives it from the Pod. */
export function podConditions(pod: Pod): { ready: boolean; serving: boolean; terminating: boolean } {
  const isReady = pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
  const serving = isReady && pod.status?.phase === 'Running';
  const terminating = pod.metadata.deletionTimestamp != null;
  return { ready: serving && !terminating, serving, terminating };
}

/** Containers that run beside each other: a restartable init container is a sidecar. */
function runningContainers({ spec }: Pod): Container[] {
  const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  return [...sidecars, ...spec.containers];
}

/** A Service's targetPort for this pod; null when the pod has no port of that name. */
export function resolveTargetPort(pod: Pod, target: number | string): number | null {
  if (typeof target === 'number') return target;
  const numeric = numericTarget(target);
  if (numeric > 0) return numeric;
  for (const { ports } of runningContainers(pod)) {
    for (const { name, containerPort, protocol } of ports ?? []) {
      if (name === target && (protocol === undefined || protocol === 'TCP')) return containerPort;
    }
  }
  return null;
}

/** Ports on which the node itself may call: probes and lifecycle hooks that go to the pod's own address. */
export function probePorts(pod: Pod): number[] {
  const ports = new Set<number>();
  for (const container of runningContainers(pod)) {
    const { livenessProbe, readinessProbe, startupProbe, lifecycle } = container;
    for (const handler of [livenessProbe, readinessProbe, startupProbe, lifecycle?.postStart, lifecycle?.preStop]) {
      const port = handler == null ? null : handlerPort(pod, handler);
      if (port !== null) ports.add(port);
    }
  }
  return [...ports].sort((a, b) => a - b);
}

function handlerPort(pod: Pod, { httpGet, tcpSocket, grpc }: Handler): number | null {
  if (grpc != null) return grpc.port;
  const target = httpGet ?? tcpSocket;
  // A probe with a host of its own calls somewhere else.
  if (target == null || (target.host !== undefined && target.host !== '')) return null;
  return resolveTargetPort(pod, target.port);
}

/** Telemetry name of what made the pod; Istio's rules (ReplicaSet of a Deployment, Job of a CronJob). */
export function workloadOf({ metadata }: Pod): Pick<Workload, 'workloadName' | 'workloadType'> {
  const owners = metadata.ownerReferences ?? [];
  const owner = owners.find(({ controller }) => controller === true) ?? owners[0];
  const hash = metadata.labels?.['pod-template-hash'];
  if (owner === undefined) {
    const made = hash === undefined ? -1 : metadata.name.lastIndexOf(`-${hash}-`);
    if (made > 0) return { workloadName: metadata.name.slice(0, made), workloadType: 'deployment' };
    return { workloadName: metadata.name, workloadType: 'pod' };
  }
  switch (owner.kind) {
    case 'ReplicaSet':
      if (hash !== undefined && owner.name.endsWith(`-${hash}`)) {
        return { workloadName: owner.name.slice(0, -hash.length - 1), workloadType: 'deployment' };
      }
      return { workloadName: owner.name, workloadType: 'pod' };
    case 'Deployment':
      return { workloadName: owner.name, workloadType: 'deployment' };
    case 'Job': {
      const scheduled = /^(.+)-\d{8,10}$/.exec(owner.name)?.[1];
      return scheduled === undefined
        ? { workloadName: owner.name, workloadType: 'job' }
        : { workloadName: scheduled, workloadType: 'cronjob' };
    }
    case 'CronJob':
      return { workloadName: owner.name, workloadType: 'cronjob' };
    default:
      return { workloadName: owner.name, workloadType: 'pod' };
  }
}

/** Istio's labels for telemetry, in order of precedence. */
export function canonicalOf(
  labels: Readonly<Record<string, string>>,
  workloadName: string,
): Pick<Workload, 'canonicalName' | 'canonicalRevision'> {
  return {
    canonicalName:
      labels['service.istio.io/canonical-name'] ?? labels['app.kubernetes.io/name'] ?? labels.app ?? workloadName,
    canonicalRevision:
      labels['service.istio.io/canonical-revision'] ??
      labels['app.kubernetes.io/version'] ??
      labels.version ??
      'latest',
  };
}
