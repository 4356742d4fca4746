import {
  PolicyRef_Kind,
  type WorkloadExtension,
  WorkloadExtensionSchema,
} from '../../../controller/proto/gen/aquifer/v1/extensions_pb.js';
import {
  NetworkMode,
  TunnelProtocol,
  type Workload as WireWorkload,
  WorkloadStatus,
  WorkloadType,
} from '../../../controller/proto/gen/istio/workload_pb.js';
import { formatAddress } from '../../model/address.ts';
import type { EndpointCondition, PolicyRef, Workload } from '../../model/workload.ts';
import { ownExtension, requireCapabilities } from './extensions.ts';
import { enumOf, Malformed, nonEmpty, portOf } from './malformed.ts';

/** What WDS means by an empty field. */
const DEFAULT_TRUST_DOMAIN = 'cluster.local';
const DEFAULT_SERVICE_ACCOUNT = 'default';

const ENROLLED: Readonly<Record<number, boolean>> = {
  [TunnelProtocol.NONE]: false,
  [TunnelProtocol.HBONE]: true,
  [TunnelProtocol.LEGACY_ISTIO_MTLS]: false,
};
const HEALTHY: Readonly<Record<number, boolean>> = {
  [WorkloadStatus.HEALTHY]: true,
  [WorkloadStatus.UNHEALTHY]: false,
};
const HOST_NETWORK: Readonly<Record<number, boolean>> = {
  [NetworkMode.STANDARD]: false,
  [NetworkMode.HOST_NETWORK]: true,
};
const TYPES: Readonly<Record<number, Workload['workloadType']>> = {
  [WorkloadType.DEPLOYMENT]: 'deployment',
  [WorkloadType.CRONJOB]: 'cronjob',
  [WorkloadType.POD]: 'pod',
  [WorkloadType.JOB]: 'job',
};
const DIRECTIONS: Readonly<Record<number, PolicyRef['direction']>> = {
  [PolicyRef_Kind.INBOUND]: 'Inbound',
  [PolicyRef_Kind.OUTBOUND]: 'Outbound',
};
const NO_CONDITIONS: ReadonlyMap<string, EndpointCondition> = new Map();

/** A Workload of the wire. Throws `Malformed`. */
export function toWorkload(wire: WireWorkload): Workload {
  const extension = ownExtension(wire.extensions, 'aquifer.dev/workload', WorkloadExtensionSchema);
  requireCapabilities(extension?.requiredCapabilities ?? []);
  const healthy = enumOf(HEALTHY, wire.status, 'status');
  return {
    uid: nonEmpty(wire.uid, 'uid'),
    name: wire.name,
    namespace: wire.namespace,
    identity: {
      trustDomain: wire.trustDomain || DEFAULT_TRUST_DOMAIN,
      namespace: wire.namespace,
      serviceAccount: wire.serviceAccount || DEFAULT_SERVICE_ACCOUNT,
    },
    addresses: wire.addresses.map(toAddress),
    network: wire.network,
    node: wire.node,
    clusterId: wire.clusterId,
    workloadName: wire.workloadName,
    workloadType: enumOf(TYPES, wire.workloadType, 'workload_type'),
    canonicalName: wire.canonicalName,
    canonicalRevision: wire.canonicalRevision,
    locality: {
      region: wire.locality?.region ?? '',
      zone: wire.locality?.zone ?? '',
      subzone: wire.locality?.subzone ?? '',
    },
    hostNetwork: enumOf(HOST_NETWORK, wire.networkMode, 'network_mode'),
    enrolled: enumOf(ENROLLED, wire.tunnelProtocol, 'tunnel_protocol'),
    healthy,
    serving: extension?.serving ?? healthy,
    terminating: extension?.terminating ?? false,
    capacity: wire.capacity ?? 1,
    probePorts: (extension?.probePorts ?? []).map((port, i) => portOf(port, `probe_ports[${i}]`)),
    policies: extension === null ? null : extension.policies.map(toPolicyRef),
    selectorPolicies: wire.authorizationPolicies,
    services: toServices(wire.services),
    endpointConditions: toConditions(extension),
    podUid: extension?.podUid ?? '',
  };
}

function toAddress(bytes: Uint8Array, i: number): string {
  const text = formatAddress(bytes);
  if (text === null) throw new Malformed(`addresses[${i}]: ${bytes.length} bytes, expected 4 or 16`);
  return text;
}

function toPolicyRef(ref: WorkloadExtension['policies'][number], i: number): PolicyRef {
  return {
    name: nonEmpty(ref.name, `policies[${i}].name`),
    version: nonEmpty(ref.version, `policies[${i}].version`),
    direction: enumOf(DIRECTIONS, ref.kind, `policies[${i}].kind`),
  };
}

/** A target port of 0 is a name that this workload does not have: no mapping, so it is no endpoint of that port. */
function toServices(wire: WireWorkload['services']): Workload['services'] {
  const services = new Map<string, ReadonlyMap<number, number>>();
  for (const [key, list] of Object.entries(wire)) {
    const ports = new Map<number, number>();
    for (const { servicePort, targetPort } of list.ports) {
      const port = portOf(servicePort, `services[${key}].service_port`);
      ports.set(port, targetPort === 0 ? 0 : portOf(targetPort, `services[${key}].target_port`));
    }
    services.set(key, ports);
  }
  return services;
}

function toConditions(extension: WorkloadExtension | null): Workload['endpointConditions'] {
  if (extension === null || extension.endpoints.length === 0) return NO_CONDITIONS;
  return new Map(
    extension.endpoints.map(({ service, ready, serving, terminating, forZones, forNodes }) => [
      service,
      { ready, serving, terminating, forZones, forNodes },
    ]),
  );
}
