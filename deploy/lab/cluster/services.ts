/** Addresses of Services: IPv4 and IPv6 of one allocation share their offset in the two ranges. */
import type { Service } from './objects.ts';

/** Offsets below are reserved: 1 for the API server's, 10 for DNS. */
const FIRST_OFFSET = 11;
const LAST_OFFSET = 65_534;

export type Allocation = { clusterIPs: string[]; families: ('IPv4' | 'IPv6')[] } | { fault: string };

/** Keeps what was given out; asked-for addresses are honoured when they are free and in range. */
export class ServiceAddresses {
  readonly #offsets = new Map<string, number>();
  readonly #pinned = new Map<string, string[]>();

  /** The Service with its `clusterIP`, `clusterIPs` and `ipFamilies` filled in. `key` is `namespace/name`. */
  assign(key: string, service: Service): { service: Service; fault: string | null } {
    const { spec } = service;
    if (spec.type === 'ExternalName' || spec.clusterIP === 'None') {
      this.release(key);
      return { service: spec.clusterIP === 'None' ? headless(service) : service, fault: null };
    }
    const given = this.#allocate(key, service);
    if ('fault' in given) return { service, fault: given.fault };
    const [clusterIP] = given.clusterIPs;
    const filled = {
      ...spec,
      ...(clusterIP === undefined ? {} : { clusterIP }),
      clusterIPs: given.clusterIPs,
      ipFamilies: given.families,
    };
    return { service: { ...service, spec: filled }, fault: null };
  }

  release(key: string): void {
    this.#offsets.delete(key);
    this.#pinned.delete(key);
  }

  #allocate(key: string, service: Service): Allocation {
    const asked = service.spec.clusterIPs ?? (service.spec.clusterIP ? [service.spec.clusterIP] : []);
    if (asked.length > 0) return this.#pin(key, asked);
    const known = this.#offsets.get(key) ?? this.#free();
    if (known === null) return { fault: 'no Service address is left in 10.96.0.0/16; delete a Service' };
    this.#pinned.delete(key);
    this.#offsets.set(key, known);
    const families = familiesOf(service);
    return { clusterIPs: families.map((family) => addressAt(known, family)), families };
  }

  #pin(key: string, asked: string[]): Allocation {
    for (const address of asked) {
      const holder = this.#holderOf(address);
      if (holder !== null && holder !== key) return { fault: `clusterIP ${address} is taken by Service ${holder}` };
    }
    this.#offsets.delete(key);
    this.#pinned.set(key, asked);
    return { clusterIPs: asked, families: asked.map((address) => (address.includes(':') ? 'IPv6' : 'IPv4')) };
  }

  #holderOf(address: string): string | null {
    for (const [key, offset] of this.#offsets) {
      if (addressAt(offset, 'IPv4') === address || addressAt(offset, 'IPv6') === address) return key;
    }
    for (const [key, addresses] of this.#pinned) if (addresses.includes(address)) return key;
    return null;
  }

  #free(): number | null {
    const taken = new Set(this.#offsets.values());
    for (let offset = FIRST_OFFSET; offset <= LAST_OFFSET; offset++) {
      if (!taken.has(offset) && this.#holderOf(addressAt(offset, 'IPv4')) === null) return offset;
    }
    return null;
  }
}

/** A lab is dual-stack unless the Service asks for one family. */
function familiesOf(service: Service): ('IPv4' | 'IPv6')[] {
  const families = (service.spec.ipFamilies ?? []).filter((family) => family === 'IPv4' || family === 'IPv6');
  if (service.spec.ipFamilyPolicy === 'SingleStack') return [families[0] ?? 'IPv4'];
  if (families.length > 0 && service.spec.ipFamilyPolicy === undefined) return families;
  return families[0] === 'IPv6' ? ['IPv6', 'IPv4'] : ['IPv4', 'IPv6'];
}

function headless(service: Service): Service {
  const families = familiesOf(service);
  return { ...service, spec: { ...service.spec, clusterIP: 'None', clusterIPs: ['None'], ipFamilies: families } };
}

function addressAt(offset: number, family: 'IPv4' | 'IPv6'): string {
  return family === 'IPv4' ? `10.96.${offset >> 8}.${offset & 255}` : `fd00:10:96::${offset.toString(16)}`;
}
