import type { Delta, Versioned } from '../core/model.ts';
import { encodeService, encodeWorkload } from './encode-address.ts';
import { encodeInbound, encodeOutbound } from './encode-policy.ts';
import { TYPE_URLS, type TypeUrl } from './types.ts';

/** One resource, encoded once for all streams. */
export interface CachedResource {
  name: string;
  version: string;
  /** The value of the resource's Any. */
  bytes: Uint8Array;
  aliases: readonly string[];
  /** Which update of the cache brought it. */
  sequence: number;
}

export type ResourceListener = (typeUrl: TypeUrl, names: readonly string[]) => void;

/** All resources as they are on the wire; streams read it and are told which names changed. */
export class ResourceCache {
  readonly #types: Readonly<Record<TypeUrl, Map<string, CachedResource>>> = {
    [TYPE_URLS.address]: new Map(),
    [TYPE_URLS.authorization]: new Map(),
    [TYPE_URLS.outbound]: new Map(),
  };
  readonly #aliases = new Map<string, string>();
  readonly #listeners = new Set<ResourceListener>();
  #sequence = 0;

  /** Counts the updates: the version of everything. */
  get sequence(): number {
    return this.#sequence;
  }

  onChange(listener: ResourceListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get(typeUrl: TypeUrl, name: string): CachedResource | undefined {
    return this.#types[typeUrl].get(name);
  }

  names(typeUrl: TypeUrl): IterableIterator<string> {
    return this.#types[typeUrl].keys();
  }

  /** The name behind an alias (`network/address`), or the name itself. */
  resolve(typeUrl: TypeUrl, name: string): string {
    return typeUrl === TYPE_URLS.address ? (this.#aliases.get(name) ?? name) : name;
  }

  /** Takes what a commit of the index changed. */
  update(delta: Delta): void {
    this.#sequence++;
    const { workloads, services, inbound, outbound } = delta;
    const addresses = [
      ...this.#put(TYPE_URLS.address, workloads.set, encodeWorkload),
      ...this.#put(TYPE_URLS.address, services.set, encodeService),
      ...this.#drop(TYPE_URLS.address, [...workloads.removed, ...services.removed]),
    ];
    const authorizations = [
      ...this.#put(TYPE_URLS.authorization, inbound.set, (value) => ({ bytes: encodeInbound(value), aliases: [] })),
      ...this.#drop(TYPE_URLS.authorization, inbound.removed),
    ];
    const outbounds = [
      ...this.#put(TYPE_URLS.outbound, outbound.set, (value) => ({ bytes: encodeOutbound(value), aliases: [] })),
      ...this.#drop(TYPE_URLS.outbound, outbound.removed),
    ];
    // Policies first: a workload that names one is then rarely held for it.
    this.#tell(TYPE_URLS.authorization, authorizations);
    this.#tell(TYPE_URLS.outbound, outbounds);
    this.#tell(TYPE_URLS.address, addresses);
  }

  #put<T>(
    typeUrl: TypeUrl,
    set: ReadonlyMap<string, Versioned<T>>,
    encode: (value: T) => Pick<CachedResource, 'bytes' | 'aliases'>,
  ): string[] {
    for (const [name, { value, version }] of set) {
      this.#unalias(this.#types[typeUrl].get(name));
      const resource = { name, version, ...encode(value), sequence: this.#sequence };
      this.#types[typeUrl].set(name, resource);
      for (const alias of resource.aliases) this.#aliases.set(alias, name);
    }
    return [...set.keys()];
  }

  #drop(typeUrl: TypeUrl, names: readonly string[]): readonly string[] {
    for (const name of names) {
      this.#unalias(this.#types[typeUrl].get(name));
      this.#types[typeUrl].delete(name);
    }
    return names;
  }

  #unalias(resource: CachedResource | undefined): void {
    for (const alias of resource?.aliases ?? []) {
      // An address that went to another pod at once is that pod's alias by now.
      if (this.#aliases.get(alias) === resource?.name) this.#aliases.delete(alias);
    }
  }

  #tell(typeUrl: TypeUrl, names: readonly string[]): void {
    if (names.length === 0) return;
    for (const listener of this.#listeners) listener(typeUrl, names);
  }
}
