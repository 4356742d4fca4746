import type { DestinationMatch, Policy, StringMatch } from '../../model/policy.ts';
import { CidrSet } from './cidr-set.ts';
import type { IndexKeys, Matcher } from './match.ts';
import { PortSet } from './port-set.ts';
import { StringSet } from './string-set.ts';
import type { Subject } from './subject.ts';

const MAX_PORT_KEYS = 64;

/**
 * Where an Outbound policy lets its subject go. Addresses and ports are both those asked for (a Service's) and those
 * reached (an endpoint's): either may match, neither may be in a `not` field.
 */
export class CompiledDestination implements Matcher {
  readonly keys: readonly IndexKeys[];
  readonly #empty: boolean;
  readonly #action: Policy['action'];
  readonly #services: ServiceSet | null;
  readonly #notServices: ServiceSet | null;
  readonly #namespaces: StringSet | null;
  readonly #notNamespaces: StringSet | null;
  readonly #ipBlocks: CidrSet | null;
  readonly #notIpBlocks: CidrSet | null;
  readonly #hosts: StringSet | null;
  readonly #notHosts: StringSet | null;
  readonly #ports: PortSet | null;
  readonly #notPorts: PortSet | null;

  constructor(match: DestinationMatch, action: Policy['action']) {
    this.#empty = Object.values(match).every((values) => values.length === 0);
    this.#action = action;
    this.#services = ServiceSet.of(match.services);
    this.#notServices = ServiceSet.of(match.notServices);
    this.#namespaces = StringSet.of(match.namespaces);
    this.#notNamespaces = StringSet.of(match.notNamespaces);
    this.#ipBlocks = CidrSet.of(match.ipBlocks);
    this.#notIpBlocks = CidrSet.of(match.notIpBlocks);
    this.#hosts = StringSet.of(match.hosts);
    this.#notHosts = StringSet.of(match.notHosts);
    this.#ports = PortSet.of(match.ports);
    this.#notPorts = PortSet.of(match.notPorts);
    this.keys = this.#indexKeys();
  }

  mismatch(subject: Subject): string | null {
    if (this.#empty) return 'no field is set';
    const { askedPorts } = subject;
    if (this.#ports !== null && !askedPorts.some((port) => this.#ports?.has(port))) return 'ports';
    if (this.#notPorts !== null && askedPorts.some((port) => this.#notPorts?.has(port))) return 'notPorts';
    return this.#addressMismatch(subject) ?? this.#serviceMismatch(subject) ?? this.#namespaceMismatch(subject);
  }

  #addressMismatch(subject: Subject): string | null {
    const within = (set: CidrSet) => subject.askedAddresses.some((address) => set.has(address));
    if (this.#ipBlocks !== null && !within(this.#ipBlocks)) return 'ipBlocks';
    return this.#notIpBlocks !== null && within(this.#notIpBlocks) ? 'notIpBlocks' : null;
  }

  #serviceMismatch({ services }: Subject): string | null {
    const named = (set: ServiceSet) => services.some((service) => set.has(service.namespace, service.name));
    const hosted = (set: StringSet) => services.some((service) => set.has(service.hostname));
    if (this.#services !== null && !named(this.#services)) return 'services';
    if (this.#notServices !== null && named(this.#notServices)) return 'notServices';
    if (this.#hosts !== null && !hosted(this.#hosts)) return 'hosts';
    return this.#notHosts !== null && hosted(this.#notHosts) ? 'notHosts' : null;
  }

  /**
   * A Service can have endpoints in another namespace. What would admit is judged by the namespace that is reached,
   * what would refuse by either, so that such a Service is no way out.
   */
  #namespaceMismatch({ facts }: Subject): string | null {
    const service = facts.service?.namespace;
    const reached = [facts.destination?.namespace ?? service].filter((name) => name !== undefined);
    const either = service === undefined ? reached : [...reached, service];
    const admits = this.#action === 'Allow';
    const within = (set: StringSet, names: readonly string[]) => names.some((name) => set.has(name));
    if (this.#namespaces !== null && !within(this.#namespaces, admits ? reached : either)) return 'namespaces';
    if (this.#notNamespaces !== null && within(this.#notNamespaces, admits ? either : reached)) return 'notNamespaces';
    return null;
  }

  #indexKeys(): IndexKeys[] {
    const keys: IndexKeys[] = [];
    if (this.#services?.exact) keys.push({ field: 'services', values: this.#services.exact });
    if (this.#namespaces?.exactOnly) keys.push({ field: 'toNamespaces', values: [...this.#namespaces.exact] });
    if (this.#ipBlocks !== null) keys.push({ field: 'ipBlocks', blocks: this.#ipBlocks.blocks });
    const ports = this.#ports?.list(MAX_PORT_KEYS);
    if (ports) keys.push({ field: 'toPorts', values: ports });
    return keys;
  }
}

/** Names of Services, each part a match. */
class ServiceSet {
  /** `namespace/name` of each, when all are exact. */
  readonly exact: readonly string[] | null;
  readonly #exact: ReadonlySet<string>;
  readonly #other: readonly { namespace: StringSet; name: StringSet }[];

  constructor(matches: readonly { namespace: StringMatch; name: StringMatch }[]) {
    const exact: string[] = [];
    const other: { namespace: StringSet; name: StringSet }[] = [];
    for (const { namespace, name } of matches) {
      if (namespace.kind === 'exact' && name.kind === 'exact') exact.push(`${namespace.value}/${name.value}`);
      else other.push({ namespace: new StringSet([namespace]), name: new StringSet([name]) });
    }
    this.#exact = new Set(exact);
    this.#other = other;
    this.exact = other.length === 0 ? exact : null;
  }

  static of(matches: readonly { namespace: StringMatch; name: StringMatch }[]): ServiceSet | null {
    return matches.length === 0 ? null : new ServiceSet(matches);
  }

  has(namespace: string, name: string): boolean {
    if (this.#exact.has(`${namespace}/${name}`)) return true;
    return this.#other.some((match) => match.namespace.has(namespace) && match.name.has(name));
  }
}
