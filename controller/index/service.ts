import type { Service as ApiService } from '../api/service.ts';
import { canonicalAddress } from '../core/address.ts';
import type { AppProtocol, LocalityScope, Service } from '../core/model.ts';
import type { IndexOptions } from './options.ts';

type ApiPort = NonNullable<ApiService['spec']['ports']>[number];

const TRAFFIC_DISTRIBUTION = 'networking.istio.io/traffic-distribution';
/** kube-proxy's default for sessionAffinity: ClientIP. */
const DEFAULT_AFFINITY_SECONDS = 10_800;

const PREFER_ZONE: readonly LocalityScope[] = ['Network', 'Region', 'Zone'];
const PREFER_NODE: readonly LocalityScope[] = ['Network', 'Region', 'Zone', 'Subzone', 'Node'];

/** Names of protocols as `appProtocol` (KEP-1422) and as the first part of a port's name (Istio's rule). */
const APP_PROTOCOLS: Readonly<Record<string, AppProtocol>> = Object.freeze({
  http: 'http11',
  'http-web': 'http11',
  'kubernetes.io/ws': 'http11',
  http2: 'http2',
  h2c: 'http2',
  'kubernetes.io/h2c': 'http2',
  grpc: 'grpc',
  'grpc-web': 'http11',
  tcp: 'tcp',
  mongo: 'tcp',
  mysql: 'tcp',
  redis: 'tcp',
  https: 'tls',
  tls: 'tls',
  'kubernetes.io/wss': 'tls',
});

/** `namespace/hostname`: the name of the Service's resource. */
export function serviceKey(namespace: string, name: string, clusterDomain: string): string {
  return `${namespace}/${name}.${namespace}.svc.${clusterDomain}`;
}

/** TCP ports only: the mesh carries nothing else. */
export function tcpPorts(service: ApiService): ApiPort[] {
  return (service.spec.ports ?? []).filter(({ protocol }) => protocol === undefined || protocol === 'TCP');
}

/** Converts a Service; `namespaceAnnotations` because trafficDistribution may be set for a whole namespace. */
export function deriveService(
  service: ApiService,
  namespaceAnnotations: Readonly<Record<string, string>>,
  options: IndexOptions,
): Service {
  const { spec, metadata } = service;
  const namespace = metadata.namespace ?? 'default';
  const type = spec.type ?? 'ClusterIP';
  const addresses = type === 'ExternalName' ? [] : addressesOf(service);
  const internalTrafficPolicyLocal = spec.internalTrafficPolicy === 'Local';
  const routingPreference = internalTrafficPolicyLocal
    ? (['Node'] as const)
    : preferenceOf(
        spec.trafficDistribution ??
          metadata.annotations?.[TRAFFIC_DISTRIBUTION] ??
          namespaceAnnotations[TRAFFIC_DISTRIBUTION],
      );
  const failover = routingPreference.length > 0 ? 'failover' : 'standard';
  return {
    key: serviceKey(namespace, metadata.name, options.clusterDomain),
    name: metadata.name,
    namespace,
    hostname: `${metadata.name}.${namespace}.svc.${options.clusterDomain}`,
    network: options.network,
    addresses,
    ports: tcpPorts(service).map((port) => ({
      port: port.port,
      targetPort: typeof port.targetPort === 'string' ? numericTarget(port.targetPort) : (port.targetPort ?? port.port),
      appProtocol: appProtocolOf(port),
    })),
    type,
    ipFamilies: familiesOf(spec.ipFamilies ?? [], addresses),
    routingPreference,
    mode: internalTrafficPolicyLocal ? 'strict' : failover,
    publishNotReadyAddresses: spec.publishNotReadyAddresses ?? false,
    internalTrafficPolicyLocal,
    sessionAffinitySeconds:
      spec.sessionAffinity === 'ClientIP'
        ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? DEFAULT_AFFINITY_SECONDS)
        : 0,
  };
}

/** Kubernetes' IntOrString: a quoted number is a number. 0: a name. */
export function numericTarget(text: string): number {
  return /^\d{1,5}$/.test(text) ? Number(text) : 0;
}

function addressesOf({ spec, status }: ApiService): string[] {
  const clusterIps = spec.clusterIPs ?? (spec.clusterIP === undefined ? [] : [spec.clusterIP]);
  const ingress = (status?.loadBalancer?.ingress ?? [])
    .filter(({ ipMode }) => ipMode !== 'Proxy')
    .map(({ ip }) => ip ?? '');
  const all = [...clusterIps, ...(spec.externalIPs ?? []), ...ingress];
  const canonical = all.map((ip) => (ip === 'None' || ip === '' ? null : canonicalAddress(ip)));
  return [...new Set(canonical.filter((address) => address !== null))];
}

function preferenceOf(distribution: string | undefined): readonly LocalityScope[] {
  switch (distribution?.toLowerCase()) {
    case 'preferclose':
    case 'prefersamezone':
      return PREFER_ZONE;
    case 'prefersamenode':
      return PREFER_NODE;
    default:
      return [];
  }
}

function familiesOf(families: readonly string[], addresses: readonly string[]): Service['ipFamilies'] {
  const v4 = families.includes('IPv4') || (families.length === 0 && addresses.some((ip) => !ip.includes(':')));
  const v6 = families.includes('IPv6') || (families.length === 0 && addresses.some((ip) => ip.includes(':')));
  if (v4 && v6) return 'dual';
  if (v4) return 'ipv4';
  return v6 ? 'ipv6' : 'automatic';
}

function appProtocolOf({ appProtocol, name }: ApiPort): AppProtocol {
  const stated = appProtocol?.toLowerCase() ?? name?.split('-')[0]?.toLowerCase() ?? '';
  const whole = name?.toLowerCase() ?? '';
  // `grpc-web` is the one protocol whose own name has a dash.
  const key = appProtocol == null && whole.startsWith('grpc-web') ? 'grpc-web' : stated;
  return (Object.hasOwn(APP_PROTOCOLS, key) ? APP_PROTOCOLS[key] : undefined) ?? 'unknown';
}
