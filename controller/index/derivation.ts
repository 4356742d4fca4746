import type { PolicyRef } from '../core/model.ts';
import type { Due } from './due.ts';
import type { PodEntry } from './pods.ts';
import type { PolicyEntry } from './policies.ts';
import { portSetKey, resourcesOf } from './policies.ts';
import type { Results } from './results.ts';
import { deriveService, serviceKey } from './service.ts';
import { findEndpoint } from './slices.ts';
import { hasSelector, namespaceOf, type Tables } from './tables.ts';
import type { Membership } from './workload.ts';
import { localityOf, memberBySelector, memberBySlice, podWorkload, sliceWorkload } from './workload.ts';

/** Computes resources from the tables, one at a time; each depends on the tables alone. */
export class Derivation {
  readonly #tables: Tables;
  readonly #due: Due;
  readonly #results: Results;
  /** By slice: the workloads that were made of it. */
  readonly #sliceWorkloads = new Map<string, readonly string[]>();

  constructor(tables: Tables, due: Due, results: Results) {
    this.#tables = tables;
    this.#due = due;
    this.#results = results;
  }

  /** Computes what is due. Each step may make later ones due, never earlier ones. */
  run(): void {
    const due = this.#due;
    for (const key of due.services) this.#service(key);
    for (const key of due.pods) this.#pod(key);
    for (const key of due.slices) this.#slice(key);
    for (const key of due.policies) this.#policy(key);
    for (const key of due.pods.union(due.refs)) this.#refs(key);
    due.clear();
  }

  /** Takes back what a pod that is gone, or has no address any more, gave. */
  forget(entry: PodEntry): void {
    if (entry.base !== null) this.#results.workloads.delete(entry.base.uid);
    for (const [policy, ports] of entry.targeted) this.#countPorts(policy, ports, -1);
    entry.base = null;
    entry.targeted = new Map();
  }

  /** Takes back the resources of a policy that is gone. */
  withdraw(entry: PolicyEntry): void {
    for (const { name, resource } of entry.resources.values()) {
      this.#results.deletePolicy(name, resource.value.direction);
    }
  }

  #service(key: string): void {
    const { services, namespaces, options } = this.#tables;
    const service = services.get(key);
    const namespace = namespaceOf(key);
    if (service === undefined) {
      const name = key.slice(namespace.length + 1);
      this.#results.services.delete(serviceKey(namespace, name, options.clusterDomain));
      return;
    }
    const annotations = namespaces.get(namespace)?.metadata.annotations ?? {};
    this.#results.setService(deriveService(service, annotations, options));
  }

  #pod(key: string): void {
    const { pods, namespaces, nodes, options } = this.#tables;
    const entry = pods.get(key);
    if (entry === undefined) return;
    if (entry.addresses.length === 0) {
      this.forget(entry);
      return;
    }
    const memberships = this.#membershipsOf(entry);
    const labels = namespaces.get(entry.namespace)?.metadata.labels ?? {};
    entry.base = podWorkload(entry, memberships, labels, localityOf(nodes.get(entry.node)), options);
    this.#retarget(entry, memberships);
  }

  /** A pod is a member by its labels or, of Services without selector, by a slice that names it. */
  #membershipsOf(entry: PodEntry): Membership[] {
    const { services, slices } = this.#tables;
    const members: Membership[] = [];
    const own = slices.ofPod(entry.key, entry.ownAddresses);
    for (const key of this.#tables.servicesSelecting(entry.namespace, entry.labels)) {
      const service = services.get(key);
      const about = own.filter((slice) => slice.service === key);
      if (service !== undefined) members.push(memberBySelector(service, key, entry, about));
    }
    const seen = new Set<string>();
    for (const slice of own) {
      const service = services.get(slice.service);
      if (service === undefined || hasSelector(service) || seen.has(slice.service)) continue;
      const endpoint = findEndpoint(slice, entry.key, entry.ownAddresses);
      if (endpoint !== undefined) members.push(memberBySlice(service, slice, endpoint));
      seen.add(slice.service);
    }
    return members;
  }

  /** Counts the pod in the sets of ports of the policies that target its Services. */
  #retarget(entry: PodEntry, memberships: readonly Membership[]): void {
    const ports = new Map<PolicyEntry, number[]>();
    for (const member of memberships) {
      const targetPorts = member.ports.map(({ targetPort }) => targetPort);
      for (const policy of targetPorts.length === 0 ? [] : this.#tables.policies.targeting(member.key)) {
        ports.getOrInsertComputed(policy, () => []).push(...targetPorts);
      }
    }
    const targeted = new Map([...ports].map(([policy, list]) => [policy, portSetKey(list)]));
    for (const [policy, set] of entry.targeted) if (targeted.get(policy) !== set) this.#countPorts(policy, set, -1);
    for (const [policy, set] of targeted) if (entry.targeted.get(policy) !== set) this.#countPorts(policy, set, 1);
    entry.targeted = targeted;
  }

  #countPorts(policy: PolicyEntry, set: string, by: 1 | -1): void {
    const count = (policy.portSets.get(set) ?? 0) + by;
    if (count > 0) policy.portSets.set(set, count);
    else policy.portSets.delete(set);
    this.#due.policies.add(policy.key);
  }

  #slice(key: string): void {
    const { slices, services, pods, nodes, options } = this.#tables;
    const slice = slices.get(key);
    const service = slice === undefined ? undefined : services.get(slice.service);
    const uids = new Set<string>();
    if (slice !== undefined && service !== undefined && !hasSelector(service)) {
      for (const endpoint of slice.endpoints) {
        // A pod is a workload of its own, and one that is not there (yet) must not be stood in for.
        const isPod = endpoint.pod !== '' || pods.isAddressOfPod(endpoint.address);
        if (isPod || endpoint.address === '') continue;
        const member = memberBySlice(service, slice, endpoint);
        const workload = sliceWorkload(slice, endpoint, member, localityOf(nodes.get(endpoint.node)), options);
        this.#results.setWorkload(workload);
        uids.add(workload.uid);
      }
    }
    for (const uid of this.#sliceWorkloads.get(key) ?? []) if (!uids.has(uid)) this.#results.workloads.delete(uid);
    if (uids.size === 0) this.#sliceWorkloads.delete(key);
    else this.#sliceWorkloads.set(key, [...uids]);
  }

  #policy(key: string): void {
    const entry = this.#tables.policies.get(key);
    if (entry === undefined) return;
    const before = entry.resources;
    entry.resources = resourcesOf(entry);
    const names = new Set([...entry.resources.values()].map(({ name }) => name));
    for (const { name, resource } of before.values()) {
      const { direction } = resource.value;
      if (direction !== entry.policy.direction || !names.has(name)) this.#results.deletePolicy(name, direction);
    }
    let changed = before.size !== entry.resources.size;
    for (const [ports, { name, resource }] of entry.resources) {
      const old = before.get(ports);
      changed ||= old?.name !== name || old.resource.version !== resource.version;
      this.#results.setPolicy(name, resource);
    }
    if (!changed) return;
    for (const pod of this.#tables.podsOf(entry)) this.#due.refs.add(pod.key);
  }

  #refs(key: string): void {
    const entry = this.#tables.pods.get(key);
    if (entry?.base == null) return;
    if (!entry.base.enrolled) {
      this.#results.setWorkload(entry.base);
      return;
    }
    const found = this.#tables.policies.forPod(entry.namespace, entry.labels).map((policy) => ({ policy, ports: '' }));
    for (const [policy, ports] of entry.targeted) found.push({ policy, ports });
    const policies: PolicyRef[] = [];
    const selectorPolicies: string[] = [];
    for (const { policy, ports } of found) {
      const made = policy.resources.get(ports);
      if (made === undefined) continue;
      const { direction, scope } = policy.policy;
      policies.push({ name: made.name, direction, version: made.resource.version });
      if (direction === 'Inbound' && scope === 'Workload') selectorPolicies.push(made.name);
    }
    policies.sort((a, b) => (a.name < b.name ? -1 : 1));
    this.#results.setWorkload({ ...entry.base, policies, selectorPolicies: selectorPolicies.sort() });
  }
}
