import type { L4Policy } from '../api/l4-policy.ts';
import type { CompiledPolicy, Unenforceable } from '../core/compile-policy.ts';
import { contentHash } from '../core/hash.ts';
import type { InboundPolicy, OutboundPolicy, Policy, Versioned } from '../core/model.ts';
import type { Labels } from '../core/selector.ts';
import { SelectorIndex } from '../core/selector.ts';

/** A compiled policy and where its resources stand. */
export interface PolicyEntry {
  /** `namespace/name` */
  key: string;
  object: L4Policy;
  policy: Policy;
  unenforceable: readonly Unenforceable[];
  /** `namespace/name` of the Services it targets; null: none. */
  targets: readonly string[] | null;
  /** How many pods need it for which ports; several sets make several resources. Only with targets. */
  portSets: Map<string, number>;
  /** By the ports they apply to (`''`: all). */
  resources: Map<string, { name: string; resource: Versioned<Policy> }>;
}

/** Policies, found by what they are about. */
export class PolicyTable {
  readonly #entries = new Map<string, PolicyEntry>();
  readonly #mesh = new Set<string>();
  readonly #namespaces = new Map<string, Set<string>>();
  readonly #selectors = new Map<string, SelectorIndex>();
  readonly #targets = new Map<string, Set<string>>();
  readonly #rootNamespace: string;

  constructor(rootNamespace: string) {
    this.#rootNamespace = rootNamespace;
  }

  get(key: string): PolicyEntry | undefined {
    return this.#entries.get(key);
  }

  values(): IterableIterator<PolicyEntry> {
    return this.#entries.values();
  }

  get size(): number {
    return this.#entries.size;
  }

  set(key: string, object: L4Policy, compiled: CompiledPolicy): PolicyEntry {
    this.delete(key);
    const namespace = compiled.policy.namespace;
    const targets = object.spec.targetRefs?.map(({ name }) => `${namespace}/${name}`) ?? null;
    const entry: PolicyEntry = { key, object, ...compiled, targets, portSets: new Map(), resources: new Map() };
    this.#entries.set(key, entry);
    if (targets !== null) {
      for (const target of targets) this.#targets.getOrInsertComputed(target, () => new Set()).add(key);
    } else if (object.spec.selector !== undefined) {
      const index = this.#selectors.getOrInsertComputed(namespace, () => new SelectorIndex());
      index.set(key, object.spec.selector.matchLabels);
    } else if (compiled.policy.scope === 'Mesh') {
      this.#mesh.add(key);
    } else {
      this.#namespaces.getOrInsertComputed(namespace, () => new Set()).add(key);
    }
    return entry;
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#mesh.delete(key);
    this.#namespaces.get(entry.policy.namespace)?.delete(key);
    this.#selectors.get(entry.policy.namespace)?.delete(key);
    for (const target of entry.targets ?? []) this.#targets.get(target)?.delete(key);
  }

  /** Policies for a pod by namespace, labels and the whole mesh; those that target Services come from `targeting`. */
  forPod(namespace: string, labels: Labels): PolicyEntry[] {
    const keys = new Set([...this.#mesh, ...(this.#namespaces.get(namespace) ?? [])]);
    for (const ns of new Set([namespace, this.#rootNamespace])) {
      for (const key of this.#selectors.get(ns)?.match(labels) ?? []) keys.add(key);
    }
    return this.#resolve(keys);
  }

  targeting(service: string): PolicyEntry[] {
    return this.#resolve(this.#targets.get(service) ?? []);
  }

  #resolve(keys: Iterable<string>): PolicyEntry[] {
    return [...keys].map((key) => this.#entries.get(key)).filter((entry) => entry !== undefined);
  }
}

/** Writes a set of ports as a map key. */
export function portSetKey(ports: readonly number[]): string {
  return [...new Set(ports)].sort((a, b) => a - b).join(',');
}

/**
 * The resources a policy needs now. One that targets Services is one resource for each set of target ports among its
 * pods: a union would make an Allow of one Service admit callers on another's ports.
 */
export function resourcesOf({ policy, targets, portSets }: PolicyEntry): PolicyEntry['resources'] {
  const resources: PolicyEntry['resources'] = new Map();
  if (targets === null || policy.direction === 'Outbound') {
    const name = `${policy.namespace}/${policy.name}`;
    resources.set('', { name, resource: { value: policy, version: contentHash(policy) } });
    return resources;
  }
  for (const key of portSets.keys()) {
    const suffix = portSets.size === 1 ? '' : `~${key.length <= 40 ? key.replaceAll(',', '-') : contentHash(key)}`;
    const value: Policy = {
      ...policy,
      name: `${policy.name}${suffix}`,
      appliesToPorts: key.split(',').map(Number),
    };
    resources.set(key, { name: `${value.namespace}/${value.name}`, resource: { value, version: contentHash(value) } });
  }
  return resources;
}

/** Narrows a resource by its direction. */
export function isInbound(resource: Versioned<Policy>): resource is Versioned<InboundPolicy> {
  return resource.value.direction === 'Inbound';
}

/** The other direction. */
export function isOutbound(resource: Versioned<Policy>): resource is Versioned<OutboundPolicy> {
  return resource.value.direction === 'Outbound';
}
