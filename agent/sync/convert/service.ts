import { ServiceExtensionSchema } from '../../../controller/proto/gen/aquifer/v1/extensions_pb.js';
import {
  AppProtocol,
  LoadBalancing_HealthPolicy,
  LoadBalancing_Mode,
  LoadBalancing_Scope,
  type NetworkAddress,
  type Service as WireService,
} from '../../../controller/proto/gen/istio/workload_pb.js';
import { formatAddress } from '../../model/address.ts';
import type { LocalityScope, Service, ServicePort } from '../../model/workload.ts';
import { ownExtension } from './extensions.ts';
import { enumOf, Malformed, nonEmpty, portOf } from './malformed.ts';

const MODES: Readonly<Record<number, Service['mode']>> = {
  [LoadBalancing_Mode.UNSPECIFIED_MODE]: 'standard',
  [LoadBalancing_Mode.STRICT]: 'strict',
  [LoadBalancing_Mode.FAILOVER]: 'failover',
  [LoadBalancing_Mode.PASSTHROUGH]: 'passthrough',
};
const SCOPES: Readonly<Record<number, LocalityScope>> = {
  [LoadBalancing_Scope.REGION]: 'Region',
  [LoadBalancing_Scope.ZONE]: 'Zone',
  [LoadBalancing_Scope.SUBZONE]: 'Subzone',
  [LoadBalancing_Scope.NODE]: 'Node',
  [LoadBalancing_Scope.CLUSTER]: 'Cluster',
  [LoadBalancing_Scope.NETWORK]: 'Network',
};
const HEALTH: Readonly<Record<number, boolean>> = {
  [LoadBalancing_HealthPolicy.ONLY_HEALTHY]: false,
  [LoadBalancing_HealthPolicy.ALLOW_ALL]: true,
};
const PROTOCOLS: Readonly<Record<number, ServicePort['appProtocol']>> = {
  [AppProtocol.UNKNOWN]: 'unknown',
  [AppProtocol.HTTP11]: 'http11',
  [AppProtocol.HTTP2]: 'http2',
  [AppProtocol.GRPC]: 'grpc',
  [AppProtocol.TCP]: 'tcp',
  [AppProtocol.TLS]: 'tls',
};
const LOCAL_ONLY: readonly LocalityScope[] = Object.freeze(['Node']);

/** A Service of the wire. Throws `Malformed`. */
export function toService(wire: WireService): Service {
  const extension = ownExtension(wire.extensions, 'aquifer.dev/service', ServiceExtensionSchema);
  const balancing = wire.loadBalancing;
  const local = extension?.internalTrafficPolicyLocal === true;
  const preference = (balancing?.routingPreference ?? []).map((scope, i) =>
    enumOf(SCOPES, scope, `load_balancing.routing_preference[${i}]`),
  );
  const mode = enumOf(MODES, balancing?.mode ?? LoadBalancing_Mode.UNSPECIFIED_MODE, 'load_balancing.mode');
  const allowAll = enumOf(HEALTH, balancing?.healthPolicy ?? 0, 'load_balancing.health_policy');
  return {
    key: `${wire.namespace}/${nonEmpty(wire.hostname, 'hostname')}`,
    name: wire.name,
    namespace: wire.namespace,
    hostname: wire.hostname,
    addresses: wire.addresses.map(toAddress),
    ports: toPorts(wire.ports),
    routingPreference: local ? LOCAL_ONLY : preference,
    mode: local ? 'strict' : mode,
    allowUnhealthy: allowAll || extension?.publishNotReadyAddresses === true,
    sessionAffinitySeconds: extension?.sessionAffinityTimeoutSeconds ?? 0,
  };
}

function toAddress({ address, length }: NetworkAddress, i: number): string {
  const text = formatAddress(address);
  if (text === null) throw new Malformed(`addresses[${i}]: ${address.length} bytes, expected 4 or 16`);
  if (length !== undefined && length !== address.length * 8) {
    throw new Malformed(`addresses[${i}]: a block of addresses (/${length}) is not supported`);
  }
  return text;
}

function toPorts(wire: WireService['ports']): Map<number, ServicePort> {
  const ports = new Map<number, ServicePort>();
  for (const [i, { servicePort, targetPort, appProtocol }] of wire.entries()) {
    const port = portOf(servicePort, `ports[${i}].service_port`);
    if (targetPort !== 0) portOf(targetPort, `ports[${i}].target_port`);
    ports.set(port, { port, targetPort, appProtocol: enumOf(PROTOCOLS, appProtocol, `ports[${i}].app_protocol`) });
  }
  return ports;
}
