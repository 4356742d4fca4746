/** What the cluster's DNS answers, by the Kubernetes DNS specification 1.1.0; pure. */
import type { Answer, RecordType, SrvAnswer, StringAnswer } from 'dns-packet';
import { type EndpointSlice, namespaceOf, SERVICE_NAME_LABEL, type Service } from '../../cluster/objects.ts';
import { CLUSTER_DOMAIN } from '../../names.ts';

const TTL_SECONDS = 5;

export interface ZoneView {
  service(namespace: string, name: string): Service | undefined;
  services(): readonly Service[];
  /** Slices of one Service. */
  slices(namespace: string, name: string): readonly EndpointSlice[];
  hasNamespace(name: string): boolean;
  allSlices(): readonly EndpointSlice[];
}

export interface ZoneReply {
  rcode: 'NOERROR' | 'NXDOMAIN';
  answers: Answer[];
}

/** NODATA: the name is there, but not this type. */
const NODATA: ZoneReply = { rcode: 'NOERROR', answers: [] };
const NXDOMAIN: ZoneReply = { rcode: 'NXDOMAIN', answers: [] };

/** Names outside the cluster's domain do not exist here: the lab reaches no other network. */
export function answer(question: { name: string; type: RecordType }, view: ZoneView): ZoneReply {
  const name = question.name.toLowerCase().replace(/\.$/, '');
  if (name.endsWith('.arpa')) return question.type === 'PTR' ? pointer(name, view) : NODATA;
  if (name === CLUSTER_DOMAIN) return NODATA;
  if (!name.endsWith(`.${CLUSTER_DOMAIN}`)) return NXDOMAIN;
  const labels = name
    .slice(0, -CLUSTER_DOMAIN.length - 1)
    .split('.')
    .reverse();
  const [kind, namespace, service, ...rest] = labels;
  if (kind !== 'svc') return NXDOMAIN;
  if (namespace === undefined) return NODATA;
  if (service === undefined) return view.hasNamespace(namespace) ? NODATA : NXDOMAIN;
  const object = view.service(namespace, service);
  if (object === undefined) return NXDOMAIN;
  return inService(question.name, question.type, object, rest.reverse(), view);
}

function inService(name: string, type: RecordType, service: Service, prefix: string[], view: ZoneView): ZoneReply {
  const { spec } = service;
  if (spec.type === 'ExternalName') {
    if (prefix.length > 0) return NXDOMAIN;
    const target = spec.externalName ?? '';
    const alias: StringAnswer = { name, type: 'CNAME', ttl: TTL_SECONDS, data: target };
    // A stub resolver does not ask again for the target of an alias. The alias of an alias is not followed: no loops.
    const next = type === 'CNAME' || isAlias(target, view) ? NODATA : answer({ name: target, type }, view);
    return { rcode: 'NOERROR', answers: [alias, ...next.answers] };
  }
  const hosts = hostsOf(service, view);
  if (prefix.length === 0)
    return addresses(name, type, spec.clusterIP === 'None' ? hosts.map((host) => host.address) : virtualOf(service));
  const [first = '', second = ''] = prefix;
  if (prefix.length === 2 && first.startsWith('_') && second.startsWith('_')) {
    return serviceRecords(name, type, service, first.slice(1), second.slice(1), hosts);
  }
  if (prefix.length === 1 && spec.clusterIP === 'None') {
    const own = hosts.filter((host) => host.label === first).map((host) => host.address);
    if (own.length > 0) return addresses(name, type, own);
  }
  return NXDOMAIN;
}

function isAlias(name: string, view: ZoneView): boolean {
  const [service = '', namespace = ''] = name.split('.');
  return view.service(namespace, service)?.spec.type === 'ExternalName';
}

interface Host {
  /** `hostname` of the endpoint, else its address with dashes. */
  label: string;
  address: string;
  ports: { name: string; port: number; protocol: string }[];
}

function hostsOf(service: Service, view: ZoneView): Host[] {
  const always = service.spec.publishNotReadyAddresses === true;
  return view.slices(namespaceOf(service), service.metadata.name).flatMap((slice) =>
    (slice.endpoints ?? [])
      .filter((endpoint) => always || (endpoint.conditions?.ready ?? true))
      .flatMap((endpoint) =>
        endpoint.addresses.map((address) => ({
          label: endpoint.hostname ?? address.replaceAll(/[.:]+/g, '-'),
          address,
          ports: (slice.ports ?? []).map((port) => ({
            name: port.name ?? '',
            port: port.port ?? 0,
            protocol: (port.protocol ?? 'TCP').toLowerCase(),
          })),
        })),
      ),
  );
}

function virtualOf(service: Service): string[] {
  return service.spec.clusterIPs ?? (service.spec.clusterIP === undefined ? [] : [service.spec.clusterIP]);
}

function addresses(name: string, type: RecordType, all: readonly string[]): ZoneReply {
  if (type !== 'A' && type !== 'AAAA') return NODATA;
  const answers = [...new Set(all)].flatMap((address): StringAnswer[] => {
    const own = address.includes(':') ? 'AAAA' : 'A';
    return type === own ? [{ name, type: own, ttl: TTL_SECONDS, data: address }] : [];
  });
  return { rcode: 'NOERROR', answers };
}

function serviceRecords(
  name: string,
  type: RecordType,
  service: Service,
  portName: string,
  protocol: string,
  hosts: readonly Host[],
): ZoneReply {
  const declared = (service.spec.ports ?? []).find(
    (port) => port.name === portName && (port.protocol ?? 'TCP').toLowerCase() === protocol,
  );
  if (declared === undefined) return NXDOMAIN;
  if (type !== 'SRV') return NODATA;
  const domain = `${service.metadata.name}.${namespaceOf(service)}.svc.${CLUSTER_DOMAIN}`;
  const record = (target: string, port: number): SrvAnswer => ({
    name,
    type: 'SRV',
    ttl: TTL_SECONDS,
    data: { priority: 0, weight: 100, port, target },
  });
  if (service.spec.clusterIP !== 'None') return { rcode: 'NOERROR', answers: [record(domain, declared.port)] };
  const targets = new Map<string, number>();
  for (const host of hosts) {
    const port = host.ports.find((one) => one.name === portName && one.protocol === protocol);
    if (port !== undefined) targets.set(`${host.label}.${domain}`, port.port);
  }
  return { rcode: 'NOERROR', answers: [...targets].map(([target, port]) => record(target, port)) };
}

function pointer(name: string, view: ZoneView): ZoneReply {
  const address = addressOfPointer(name);
  if (address === null) return NXDOMAIN;
  const domains = new Set<string>();
  for (const service of view.services()) {
    if (virtualOf(service).some((ip) => expand(ip) === address)) {
      domains.add(`${service.metadata.name}.${namespaceOf(service)}.svc.${CLUSTER_DOMAIN}`);
    }
  }
  for (const slice of view.allSlices()) {
    for (const endpoint of slice.endpoints ?? []) {
      if (endpoint.hostname === undefined || !endpoint.addresses.some((ip) => expand(ip) === address)) continue;
      const service = slice.metadata.labels?.[SERVICE_NAME_LABEL];
      domains.add(`${endpoint.hostname}.${service}.${namespaceOf(slice)}.svc.${CLUSTER_DOMAIN}`);
    }
  }
  if (domains.size === 0) return NXDOMAIN;
  return {
    rcode: 'NOERROR',
    answers: [...domains].map((data): StringAnswer => ({ name, type: 'PTR', ttl: TTL_SECONDS, data })),
  };
}

/** `4.3.2.1.in-addr.arpa` to `1.2.3.4`, and the nibbles of ip6.arpa to 32 hexadecimal digits. */
function addressOfPointer(name: string): string | null {
  const v4 = /^((?:\d{1,3}\.){4})in-addr\.arpa$/.exec(name);
  if (v4?.[1] !== undefined) return v4[1].split('.').filter(Boolean).reverse().join('.');
  const v6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name);
  return v6?.[1] === undefined ? null : v6[1].split('.').filter(Boolean).reverse().join('');
}

/** IPv6 as 32 digits, so that every way to write it is equal; IPv4 as it is. */
function expand(address: string): string {
  if (!address.includes(':')) return address;
  const [head = '', tail] = address.toLowerCase().split('::');
  const groups = (text: string): string[] =>
    text === '' ? [] : text.split(':').map((group) => group.padStart(4, '0'));
  const front = groups(head);
  const back = groups(tail ?? '');
  const zeros = tail === undefined ? 0 : 8 - front.length - back.length;
  return [...front, ...Array.from({ length: zeros }, () => '0000'), ...back].join('');
}
