import { addressFamily, canonicalAddress } from '../../agent/model/address.ts';
import type { Snapshot } from '../../agent/model/snapshot.ts';
import type { Service, Workload } from '../../agent/model/workload.ts';
import { nearest } from '../api/suggest.ts';
import { CliError, usageError } from './errors.ts';

/** What `--to` means: an address to connect to, and how to call it. */
export interface Destination {
  title: string;
  address: string;
  port: number;
}

/** The workload of `namespace/pod`, or the first pod of `namespace/deployment`. Throws with the nearest name. */
export function workloadNamed(text: string, option: string, snapshot: Snapshot): Workload {
  const [namespace = '', name = '', ...rest] = text.split('/');
  if (namespace === '' || name === '' || rest.length > 0) {
    throw usageError(`${option}: "${text}" is not NAMESPACE/POD`, 'for example: --from shop/web');
  }
  const inNamespace = [...snapshot.workloads.values()].filter((workload) => workload.namespace === namespace);
  const found =
    inNamespace.find((workload) => workload.name === name) ??
    inNamespace.filter((workload) => workload.workloadName === name).sort((a, b) => (a.name < b.name ? -1 : 1))[0];
  if (found !== undefined) return found;
  // A Deployment's name is what a user types; its pods have longer ones.
  const names = [...new Set(inNamespace.map(({ name, workloadName }) => workloadName || name))];
  throw new CliError(`${option}: no pod ${text} is known`, { hint: hintOf(name, namespace, names) });
}

/**
 * The places that `--to` names, one unless it is a headless Service. `NAMESPACE/NAME` is a Service before it is a pod
 * when it has the port. Addresses are of the family of `source` where there is a choice.
 */
export function destinationsOf(to: string, port: number | null, source: Workload, snapshot: Snapshot): Destination[] {
  const literal = literalOf(to);
  if (literal !== null) {
    const wanted = port ?? literal.port;
    if (wanted === null) throw usageError(`--to: ${to} has no port`, `--to ${to}:PORT, or --port PORT`);
    return [{ title: to, address: literal.address, port: wanted }];
  }
  const { name, port: own } = splitPort(to);
  return named(name, port ?? own, source, snapshot);
}

function named(name: string, port: number | null, source: Workload, snapshot: Snapshot): Destination[] {
  const service = [...snapshot.services.values()].find(
    (candidate) => `${candidate.namespace}/${candidate.name}` === name,
  );
  const wanted = port ?? onlyPort(service);
  if (service !== undefined && wanted !== null && service.ports.has(wanted)) {
    return serviceAddresses(service, wanted, source, snapshot);
  }
  if (wanted === null) {
    const ports = service === undefined ? '' : ` (the Service has ${[...service.ports.keys()].join(', ')})`;
    throw usageError(`--to: ${name} has no port${ports}`, `--to ${name}:PORT, or --port PORT`);
  }
  const workload = podOrService(name, wanted, service, snapshot);
  return [
    {
      title: `pod ${workload.namespace}/${workload.name}:${wanted}`,
      address: addressLike(workload, source),
      port: wanted,
    },
  ];
}

function podOrService(name: string, port: number, service: Service | undefined, snapshot: Snapshot): Workload {
  try {
    return workloadNamed(name, '--to', snapshot);
  } catch (error) {
    if (service === undefined) throw error;
    const ports = [...service.ports.keys()].join(', ');
    throw new CliError(`--to: Service ${name} has no port ${port}`, { hint: `its ports are ${ports}`, cause: error });
  }
}

function serviceAddresses(service: Service, port: number, source: Workload, snapshot: Snapshot): Destination[] {
  const title = `Service ${service.namespace}/${service.name}:${port}`;
  const family = addressFamily(source.addresses[0] ?? '');
  const address = service.addresses.find((text) => addressFamily(text) === family) ?? service.addresses[0];
  if (address !== undefined) return [{ title, address, port }];
  // A headless Service is but a name: its clients connect to the pods themselves.
  const pods = snapshot.endpoints.get(service.key) ?? [];
  if (pods.length === 0) throw new CliError(`${title} is headless and has no endpoint`);
  return pods.map((pod) => ({
    title: `${title}, pod ${pod.namespace}/${pod.name}`,
    address: addressLike(pod, source),
    port: pod.services.get(service.key)?.get(port) ?? port,
  }));
}

function onlyPort(service: Service | undefined): number | null {
  const ports = [...(service?.ports.keys() ?? [])];
  return ports.length === 1 ? (ports[0] ?? null) : null;
}

function addressLike(workload: Workload, source: Workload): string {
  const family = addressFamily(source.addresses[0] ?? '');
  const address = workload.addresses.find((text) => addressFamily(text) === family) ?? workload.addresses[0];
  if (address === undefined) throw new CliError(`pod ${workload.namespace}/${workload.name} has no address yet`);
  return address;
}

/** `10.0.0.1:80`, `[fd00::1]:80` or either without a port. */
function literalOf(text: string): { address: string; port: number | null } | null {
  const bare = canonicalAddress(text);
  if (bare !== null) return { address: bare, port: null };
  const { name, port } = splitPort(text);
  const address = canonicalAddress(name.replace(/^\[(.*)\]$/, '$1'));
  return address === null ? null : { address, port };
}

function splitPort(text: string): { name: string; port: number | null } {
  const match = /^(.*):(\d+)$/.exec(text);
  return match === null
    ? { name: text, port: null }
    : { name: match[1] ?? '', port: parsePort(match[2] ?? '', '--to') };
}

/** Throws a usage error for what is no port. */
export function parsePort(text: string, option: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= 65_535) return port;
  throw usageError(`${option}: "${text}" is not a port`, 'a port is a number from 1 to 65535');
}

function hintOf(name: string, namespace: string, names: readonly string[]): string {
  const close = nearest(name, names);
  if (close !== null) return `did you mean ${namespace}/${close}?`;
  return names.length === 0 ? `no pod is known in namespace ${namespace}` : `known are ${names.toSorted().join(', ')}`;
}
