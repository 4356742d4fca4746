import type { EndpointSlice } from '../api/service.ts';
import { canonicalAddress } from '../core/address.ts';

/** The label by which a slice says whose it is. */
const SERVICE_NAME = 'kubernetes.io/service-name';

/** One endpoint of a slice, in our words. */
export interface Endpoint {
  address: string;
  /** `namespace/name` of the Pod it stands for, empty when it names none. */
  pod: string;
  ready: boolean;
  serving: boolean;
  terminating: boolean;
  node: string;
  zone: string;
  forZones: readonly string[];
  forNodes: readonly string[];
}

export interface Slice {
  /** `namespace/name` */
  key: string;
  /** `namespace/name` */
  service: string;
  endpoints: readonly Endpoint[];
  /** Port name (empty: unnamed) to number; TCP only. */
  ports: ReadonlyMap<string, number>;
}

/** EndpointSlices, found by Service, by Pod and by address. */
export class SliceTable {
  readonly #slices = new Map<string, Slice>();
  readonly #byService = new Map<string, Set<string>>();
  /** `pod <namespace>/<name>` and `ip <address>`. */
  readonly #byTarget = new Map<string, Set<string>>();

  get(key: string): Slice | undefined {
    return this.#slices.get(key);
  }

  all(): IterableIterator<Slice> {
    return this.#slices.values();
  }

  set(slice: Slice): void {
    this.delete(slice.key);
    this.#slices.set(slice.key, slice);
    add(this.#byService, slice.service, slice.key);
    for (const target of slice.endpoints.flatMap(targetsOf)) add(this.#byTarget, target, slice.key);
  }

  delete(key: string): void {
    const slice = this.#slices.get(key);
    if (slice === undefined) return;
    this.#slices.delete(key);
    remove(this.#byService, slice.service, key);
    for (const target of slice.endpoints.flatMap(targetsOf)) remove(this.#byTarget, target, key);
  }

  ofService(service: string): readonly Slice[] {
    return this.#resolve(this.#byService.get(service));
  }

  /** Slices that speak of this Pod, by name or by address. */
  ofPod(pod: string, addresses: readonly string[]): Slice[] {
    const keys = new Set(this.#byTarget.get(`pod ${pod}`));
    for (const address of addresses) for (const key of this.#byTarget.get(`ip ${address}`) ?? []) keys.add(key);
    return this.#resolve(keys).filter((slice) => findEndpoint(slice, pod, addresses) !== undefined);
  }

  #resolve(keys: Iterable<string> = []): Slice[] {
    return [...keys]
      .sort()
      .map((key) => this.#slices.get(key))
      .filter((slice) => slice !== undefined);
  }
}

/** The endpoint that stands for this Pod: by name, or by address where the slice names no Pod. */
export function findEndpoint(slice: Slice, pod: string, addresses: readonly string[]): Endpoint | undefined {
  return slice.endpoints.find((endpoint) =>
    endpoint.pod === '' ? addresses.includes(endpoint.address) : endpoint.pod === pod,
  );
}

/** Null for slices without a Service or with host names instead of addresses. */
export function deriveSlice(slice: EndpointSlice): Slice | null {
  const namespace = slice.metadata.namespace ?? 'default';
  const service = slice.metadata.labels?.[SERVICE_NAME];
  if (service === undefined || slice.addressType === 'FQDN') return null;
  const ports = new Map<string, number>();
  for (const { name, port, protocol } of slice.ports ?? []) {
    if (port != null && (protocol == null || protocol === 'TCP')) ports.set(name ?? '', port);
  }
  return {
    key: `${namespace}/${slice.metadata.name}`,
    service: `${namespace}/${service}`,
    ports,
    endpoints: (slice.endpoints ?? []).map((endpoint) => {
      const { conditions, targetRef, hints } = endpoint;
      // discovery.k8s.io/v1: ready absent means ready, serving absent means as ready, terminating absent means not.
      const ready = conditions?.ready ?? true;
      const isPod = targetRef?.kind === 'Pod' && targetRef.name !== undefined;
      return {
        // Consumers use the first address only (EndpointSlice API reference).
        address: canonicalAddress(endpoint.addresses[0] ?? '') ?? '',
        pod: isPod ? `${targetRef.namespace ?? namespace}/${targetRef.name}` : '',
        ready,
        serving: conditions?.serving ?? ready,
        terminating: conditions?.terminating ?? false,
        node: endpoint.nodeName ?? '',
        zone: endpoint.zone ?? '',
        forZones: (hints?.forZones ?? []).map(({ name }) => name),
        forNodes: (hints?.forNodes ?? []).map(({ name }) => name),
      };
    }),
  };
}

function targetsOf({ pod, address }: Endpoint): string[] {
  return pod === '' ? [`ip ${address}`] : [`pod ${pod}`];
}

function add(map: Map<string, Set<string>>, key: string, value: string): void {
  map.getOrInsertComputed(key, () => new Set<string>()).add(value);
}

function remove(map: Map<string, Set<string>>, key: string, value: string): void {
  const values = map.get(key);
  values?.delete(value);
  if (values?.size === 0) map.delete(key);
}
