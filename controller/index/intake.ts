import { isDeepStrictEqual } from 'node:util';
import type { Namespace, Node } from '../api/core-kinds.ts';
import type { L4Policy } from '../api/l4-policy.ts';
import type { Pod } from '../api/pod.ts';
import type { Service as ApiService } from '../api/service.ts';
import { compilePolicy } from '../core/compile-policy.ts';
import { selects } from '../core/selector.ts';
import type { Derivation } from './derivation.ts';
import type { Due } from './due.ts';
import type { PodEntry } from './pods.ts';
import type { PolicyEntry } from './policies.ts';
import type { Slice } from './slices.ts';
import { namespaceOf, selectorOf, type Tables } from './tables.ts';
import { localityOf } from './workload.ts';

/** Takes changed objects into the tables and marks what they bear on. `undefined` or null: the object is gone. */
export class Intake {
  readonly #tables: Tables;
  readonly #due: Due;
  readonly #derivation: Derivation;
  readonly #ownTrustDomain: string;

  constructor(tables: Tables, due: Due, derivation: Derivation) {
    this.#tables = tables;
    this.#due = due;
    this.#derivation = derivation;
    this.#ownTrustDomain = tables.options.trustDomain;
  }

  namespace(name: string, namespace: Namespace | undefined): void {
    const { namespaces, pods, services } = this.#tables;
    const before = namespaces.get(name);
    if (namespace === undefined) namespaces.delete(name);
    else namespaces.set(name, namespace);
    if (!isDeepStrictEqual(before?.metadata.labels, namespace?.metadata.labels)) {
      for (const pod of pods.inNamespace(name)) this.#due.pods.add(pod.key);
    }
    if (!isDeepStrictEqual(before?.metadata.annotations, namespace?.metadata.annotations)) {
      for (const key of services.keys()) if (namespaceOf(key) === name) this.#due.services.add(key);
    }
  }

  node(name: string, node: Node | undefined): void {
    const { nodes, pods, slices } = this.#tables;
    const before = localityOf(nodes.get(name));
    if (node === undefined) nodes.delete(name);
    else nodes.set(name, node);
    if (isDeepStrictEqual(before, localityOf(node))) return;
    for (const pod of pods.onNode(name)) this.#due.pods.add(pod.key);
    for (const slice of slices.all()) {
      if (slice.endpoints.some((endpoint) => endpoint.node === name)) this.#due.slices.add(slice.key);
    }
  }

  pod(pod: Pod): void {
    const { entry, previous } = this.#tables.pods.set(pod);
    this.#due.pods.add(entry.key);
    if (previous !== undefined && isDeepStrictEqual(previous.ownAddresses, entry.ownAddresses)) return;
    this.#touchSlicesOf(entry);
    if (previous !== undefined) this.#touchSlicesOf(previous);
  }

  podGone(key: string): void {
    const entry = this.#tables.pods.delete(key);
    if (entry === undefined) return;
    this.#derivation.forget(entry);
    this.#touchSlicesOf(entry);
  }

  service(key: string, service: ApiService | undefined): void {
    const { services, pods, slices, policies } = this.#tables;
    const before = services.get(key);
    this.#tables.setService(key, service);
    this.#due.services.add(key);
    if (isDeepStrictEqual(before?.spec, service?.spec)) return;
    const selectors = [before, service].map((version) => (version === undefined ? {} : selectorOf(version)));
    for (const selector of selectors.filter((pairs) => Object.keys(pairs).length > 0)) {
      for (const pod of pods.inNamespace(namespaceOf(key)))
        if (selects(selector, pod.labels)) this.#due.pods.add(pod.key);
    }
    for (const slice of slices.ofService(key)) this.#touchSlice(slice, null);
    if ((before?.spec.type === 'ExternalName') === (service?.spec.type === 'ExternalName')) return;
    // What can be judged depends on which Services have addresses.
    for (const entry of [...policies.values()]) {
      if (entry.policy.direction === 'Outbound') this.policy(entry.key, entry.object);
    }
  }

  slice(key: string, slice: Slice | null): void {
    const { slices } = this.#tables;
    const before = slices.get(key) ?? null;
    if (isDeepStrictEqual(before, slice)) return;
    if (before !== null) this.#touchSlice(before, slice);
    if (slice === null) slices.delete(key);
    else slices.set(slice);
    if (slice !== null) this.#touchSlice(slice, before);
    this.#due.slices.add(key);
  }

  trustDomain(name: string | undefined): void {
    const { options, pods, slices } = this.#tables;
    const trustDomain = name ?? this.#ownTrustDomain;
    if (trustDomain === options.trustDomain) return;
    this.#tables.options = { ...options, trustDomain };
    for (const pod of pods.all()) this.#due.pods.add(pod.key);
    for (const slice of slices.all()) this.#due.slices.add(slice.key);
  }

  policy(key: string, object: L4Policy): void {
    const { policies, services, options } = this.#tables;
    const { rootNamespace, clusterDomain } = options;
    const before = policies.get(key);
    const compiled = compilePolicy(object.spec, {
      namespace: namespaceOf(key),
      name: object.metadata.name,
      rootNamespace,
      clusterDomain,
      isExternalName: (service) => services.get(service)?.spec.type === 'ExternalName',
    });
    if (before !== undefined) this.#touchPodsOf(before);
    const entry = policies.set(key, object, compiled);
    // What was published for the old one is taken back when the new one is computed.
    if (before !== undefined) entry.resources = before.resources;
    this.#touchPodsOf(entry);
    this.#due.policies.add(key);
  }

  policyGone(key: string): void {
    const entry = this.#tables.policies.get(key);
    if (entry === undefined) return;
    this.#touchPodsOf(entry);
    this.#tables.policies.delete(key);
    this.#derivation.withdraw(entry);
  }

  /** An address that gets or loses its pod is a pod's endpoint instead of a bare one, or the other way round. */
  #touchSlicesOf(entry: PodEntry): void {
    const { slices, pods } = this.#tables;
    for (const slice of slices.ofPod(entry.key, entry.ownAddresses)) this.#due.slices.add(slice.key);
    for (const address of entry.ownAddresses) {
      for (const sharer of pods.withAddress(address)) this.#due.pods.add(sharer.key);
    }
  }

  /** Marks the pods of a slice, but for those that another version of it says the same about. */
  #touchSlice(slice: Slice, other: Slice | null): void {
    this.#due.slices.add(slice.key);
    const comparable = other !== null && other.service === slice.service && isDeepStrictEqual(other.ports, slice.ports);
    const known = new Set(comparable ? other.endpoints.map((endpoint) => JSON.stringify(endpoint)) : []);
    for (const endpoint of slice.endpoints) {
      if (known.has(JSON.stringify(endpoint))) continue;
      if (endpoint.pod !== '') this.#due.pods.add(endpoint.pod);
      else for (const pod of this.#tables.pods.withAddress(endpoint.address)) this.#due.pods.add(pod.key);
    }
  }

  #touchPodsOf(entry: PolicyEntry): void {
    const due = entry.targets === null ? this.#due.refs : this.#due.pods;
    for (const pod of this.#tables.podsOf(entry)) due.add(pod.key);
  }
}
