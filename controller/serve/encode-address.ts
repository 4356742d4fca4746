import type { MessageInitShape } from '@bufbuild/protobuf';
import { create, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { addressBytes } from '../core/address.ts';
import type { AppProtocol as CoreProtocol, LocalityScope, Service, Workload } from '../core/model.ts';
import {
  PolicyRef_Kind,
  ServiceExtensionSchema,
  WorkloadExtensionSchema,
} from '../proto/gen/aquifer/v1/extensions_pb.js';
import {
  AddressSchema,
  AppProtocol,
  IPFamilies,
  LoadBalancing_HealthPolicy,
  LoadBalancing_Mode,
  LoadBalancing_Scope,
  NetworkMode,
  type ServiceSchema,
  TunnelProtocol,
  type WorkloadSchema,
  WorkloadStatus,
  WorkloadType,
} from '../proto/gen/istio/workload_pb.js';

const PROTOCOLS: Readonly<Record<CoreProtocol, AppProtocol>> = {
  unknown: AppProtocol.UNKNOWN,
  http11: AppProtocol.HTTP11,
  http2: AppProtocol.HTTP2,
  grpc: AppProtocol.GRPC,
  tcp: AppProtocol.TCP,
  tls: AppProtocol.TLS,
};

const SCOPES: Readonly<Record<LocalityScope, LoadBalancing_Scope>> = {
  Network: LoadBalancing_Scope.NETWORK,
  Region: LoadBalancing_Scope.REGION,
  Zone: LoadBalancing_Scope.ZONE,
  Subzone: LoadBalancing_Scope.SUBZONE,
  Node: LoadBalancing_Scope.NODE,
  Cluster: LoadBalancing_Scope.CLUSTER,
};

const MODES: Readonly<Record<Service['mode'], LoadBalancing_Mode>> = {
  standard: LoadBalancing_Mode.UNSPECIFIED_MODE,
  strict: LoadBalancing_Mode.STRICT,
  failover: LoadBalancing_Mode.FAILOVER,
};

const FAMILIES: Readonly<Record<Service['ipFamilies'], IPFamilies>> = {
  automatic: IPFamilies.AUTOMATIC,
  ipv4: IPFamilies.IPV4_ONLY,
  ipv6: IPFamilies.IPV6_ONLY,
  dual: IPFamilies.DUAL,
};

const TYPES: Readonly<Record<Workload['workloadType'], WorkloadType>> = {
  deployment: WorkloadType.DEPLOYMENT,
  cronjob: WorkloadType.CRONJOB,
  pod: WorkloadType.POD,
  job: WorkloadType.JOB,
};

/** A resource's bytes (the value of its Any) and the other names it can be asked for. */
export interface EncodedAddress {
  bytes: Uint8Array;
  aliases: readonly string[];
}

/** `istio.workload.Address` of a workload. Those in the host's network share its address, hence no alias. */
export function encodeWorkload(workload: Workload): EncodedAddress {
  const value = workloadMessage(workload);
  const message = create(AddressSchema, { type: { case: 'workload', value } });
  const aliases = workload.hostNetwork ? [] : workload.addresses.map((address) => `${workload.network}/${address}`);
  return { bytes: toBinary(AddressSchema, message), aliases };
}

/** `istio.workload.Address` of a Service. */
export function encodeService(service: Service): EncodedAddress {
  const message = create(AddressSchema, { type: { case: 'service', value: serviceMessage(service) } });
  const aliases = service.addresses.map((address) => `${service.network}/${address}`);
  return { bytes: toBinary(AddressSchema, message), aliases };
}

function workloadMessage(workload: Workload): MessageInitShape<typeof WorkloadSchema> {
  const extension = create(WorkloadExtensionSchema, {
    policies: workload.policies.map(({ name, version, direction }) => ({
      name,
      version,
      kind: direction === 'Inbound' ? PolicyRef_Kind.INBOUND : PolicyRef_Kind.OUTBOUND,
    })),
    serving: workload.serving,
    terminating: workload.terminating,
    probePorts: [...workload.probePorts],
    podUid: workload.podUid,
    endpoints: workload.endpointConditions.map((condition) => ({
      ...condition,
      forZones: [...condition.forZones],
      forNodes: [...condition.forNodes],
    })),
  });
  return {
    uid: workload.uid,
    name: workload.name,
    namespace: workload.namespace,
    addresses: workload.addresses.map(addressBytes),
    network: workload.network,
    tunnelProtocol: workload.enrolled ? TunnelProtocol.HBONE : TunnelProtocol.NONE,
    trustDomain: workload.trustDomain,
    serviceAccount: workload.serviceAccount,
    node: workload.node,
    canonicalName: workload.canonicalName,
    canonicalRevision: workload.canonicalRevision,
    workloadType: TYPES[workload.workloadType],
    workloadName: workload.workloadName,
    authorizationPolicies: [...workload.selectorPolicies],
    status: workload.healthy ? WorkloadStatus.HEALTHY : WorkloadStatus.UNHEALTHY,
    clusterId: workload.clusterId,
    services: Object.fromEntries(workload.services.map(({ service, ports }) => [service, { ports: [...ports] }])),
    locality: workload.locality,
    networkMode: workload.hostNetwork ? NetworkMode.HOST_NETWORK : NetworkMode.STANDARD,
    extensions: [{ name: 'aquifer.dev/workload', config: anyPack(WorkloadExtensionSchema, extension) }],
  };
}

function serviceMessage(service: Service): MessageInitShape<typeof ServiceSchema> {
  const extension = create(ServiceExtensionSchema, {
    sessionAffinityTimeoutSeconds: service.sessionAffinitySeconds,
    publishNotReadyAddresses: service.publishNotReadyAddresses,
    type: service.type,
    internalTrafficPolicyLocal: service.internalTrafficPolicyLocal,
  });
  return {
    name: service.name,
    namespace: service.namespace,
    hostname: service.hostname,
    addresses: service.addresses.map((address) => ({ network: service.network, address: addressBytes(address) })),
    ports: service.ports.map(({ port, targetPort, appProtocol }) => ({
      servicePort: port,
      targetPort,
      appProtocol: PROTOCOLS[appProtocol],
    })),
    loadBalancing: {
      routingPreference: service.routingPreference.map((scope) => SCOPES[scope]),
      mode: MODES[service.mode],
      healthPolicy: service.publishNotReadyAddresses
        ? LoadBalancing_HealthPolicy.ALLOW_ALL
        : LoadBalancing_HealthPolicy.ONLY_HEALTHY,
    },
    ipFamilies: FAMILIES[service.ipFamilies],
    canonical: true,
    extensions: [{ name: 'aquifer.dev/service', config: anyPack(ServiceExtensionSchema, extension) }],
  };
}
