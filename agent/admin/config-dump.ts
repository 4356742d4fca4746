import type { Cidr, Policy } from '../model/policy.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Service, Workload } from '../model/workload.ts';

/** The snapshot as ztunnel dumps its own, so that `istioctl ztunnel-config` reads it; what is ours only is added. */
export function dumpSnapshot(snapshot: Snapshot): Record<string, unknown> {
  return {
    version: snapshot.version,
    workloads: [...snapshot.workloads.values()].map(dumpWorkload),
    services: [...snapshot.services.values()].map((service) => dumpService(service, snapshot)),
    policies: [...snapshot.policies.values()].map(dumpPolicy),
    awaiting: [...snapshot.awaiting],
  };
}

function dumpWorkload(workload: Workload): Record<string, unknown> {
  const {
    identity,
    addresses,
    enrolled,
    healthy,
    services,
    endpointConditions,
    hostNetwork,
    policies,
    selectorPolicies,
    ...rest
  } = workload;
  return {
    ...rest,
    ...identity,
    namespace: workload.namespace,
    workloadIps: addresses,
    protocol: enrolled ? 'HBONE' : 'TCP',
    networkMode: hostNetwork ? 'HostNetwork' : 'Standard',
    status: healthy ? 'Healthy' : 'Unhealthy',
    services: Object.fromEntries([...services].map(([key, ports]) => [key, Object.fromEntries(ports)])),
    endpointConditions: Object.fromEntries(endpointConditions),
    authorizationPolicies: selectorPolicies,
    policies,
  };
}

function dumpService(service: Service, snapshot: Snapshot): Record<string, unknown> {
  const { addresses, ports, key, ...rest } = service;
  return {
    ...rest,
    vips: addresses,
    ports: Object.fromEntries(ports),
    endpoints: (snapshot.endpoints.get(key) ?? []).map((workload) => workload.uid),
  };
}

function dumpPolicy(policy: Policy): unknown {
  return JSON.parse(JSON.stringify(policy, (_, value: unknown) => (isCidr(value) ? cidrText(value) : value)));
}

function isCidr(value: unknown): value is Cidr {
  return typeof value === 'object' && value !== null && 'bytes' in value && value.bytes instanceof Uint8Array;
}

function cidrText({ bytes, length }: Cidr): string {
  if (bytes.length === 4) return `${bytes.join('.')}/${length}`;
  const groups = Array.from({ length: 8 }, (_, group) =>
    (((bytes[group * 2] ?? 0) << 8) | (bytes[group * 2 + 1] ?? 0)).toString(16),
  );
  return `${groups.join(':')}/${length}`;
}
