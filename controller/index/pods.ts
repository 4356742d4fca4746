import type { Pod } from '../api/pod.ts';
import type { Workload } from '../core/model.ts';
import type { Labels } from '../core/selector.ts';
import { podAddresses } from './pod.ts';
import type { PolicyEntry } from './policies.ts';

/** A pod and what was last computed for it. */
export interface PodEntry {
  /** `namespace/name` */
  key: string;
  namespace: string;
  pod: Pod;
  labels: Labels;
  addresses: readonly string[];
  /** Those that nobody shares: none in the host's network. */
  ownAddresses: readonly string[];
  hostNetwork: boolean;
  node: string;
  /** The workload without its policies; null until first computed, and while it has no address. */
  base: Workload | null;
  /** By policy that targets its Services: the set of ports it is for. */
  targeted: ReadonlyMap<PolicyEntry, string>;
}

/** Pods, found by namespace, node and address. */
export class PodTable {
  readonly #namespaces = new Map<string, Map<string, PodEntry>>();
  readonly #nodes = new Map<string, Set<PodEntry>>();
  readonly #addresses = new Map<string, Set<PodEntry>>();

  get(key: string): PodEntry | undefined {
    return this.#namespaces.get(key.slice(0, key.indexOf('/')))?.get(key);
  }

  *all(): Generator<PodEntry> {
    for (const pods of this.#namespaces.values()) yield* pods.values();
  }

  inNamespace(namespace: string): Iterable<PodEntry> {
    return this.#namespaces.get(namespace)?.values() ?? [];
  }

  onNode(node: string): Iterable<PodEntry> {
    return this.#nodes.get(node) ?? [];
  }

  /** Pods whose own address it is; those in the host's network share the node's and are not found. */
  withAddress(address: string): Iterable<PodEntry> {
    return this.#addresses.get(address) ?? [];
  }

  isAddressOfPod(address: string): boolean {
    return this.#addresses.has(address);
  }

  set(pod: Pod): { entry: PodEntry; previous: PodEntry | undefined } {
    const namespace = pod.metadata.namespace ?? 'default';
    const key = `${namespace}/${pod.metadata.name}`;
    const previous = this.delete(key);
    const addresses = podAddresses(pod);
    const hostNetwork = pod.spec.hostNetwork ?? false;
    const entry: PodEntry = {
      key,
      namespace,
      pod,
      labels: pod.metadata.labels ?? {},
      addresses,
      ownAddresses: hostNetwork ? [] : addresses,
      hostNetwork,
      node: pod.spec.nodeName ?? '',
      base: previous?.base ?? null,
      targeted: previous?.targeted ?? new Map(),
    };
    this.#namespaces.getOrInsertComputed(namespace, () => new Map()).set(key, entry);
    this.#nodes.getOrInsertComputed(entry.node, () => new Set()).add(entry);
    for (const address of entry.ownAddresses) this.#addresses.getOrInsertComputed(address, () => new Set()).add(entry);
    return { entry, previous };
  }

  delete(key: string): PodEntry | undefined {
    const entry = this.get(key);
    if (entry === undefined) return undefined;
    this.#namespaces.get(entry.namespace)?.delete(key);
    this.#nodes.get(entry.node)?.delete(entry);
    for (const address of entry.ownAddresses) {
      const sharers = this.#addresses.get(address);
      sharers?.delete(entry);
      if (sharers?.size === 0) this.#addresses.delete(address);
    }
    return entry;
  }
}
