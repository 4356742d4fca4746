import { isDeepStrictEqual } from 'node:util';
import type { Namespace, Node } from '../api/core-kinds.ts';
import type { ApiObject } from '../api/kinds.ts';
import type { L4Policy } from '../api/l4-policy.ts';
import type { MeshConfig } from '../api/mesh-config.ts';
import type { Pod } from '../api/pod.ts';
import type { Service as ApiService, EndpointSlice } from '../api/service.ts';
import { compilePolicy } from '../core/compile-policy.ts';
import type { Delta, ObjectRef, PolicyRef, Snapshot, Workload } from '../core/model.ts';
import type { Labels } from '../core/selector.ts';
import { SelectorIndex, selects } from '../core/selector.ts';
import type { PolicyFindings } from './findings.ts';
import { findingsOf } from './findings.ts';
import type { IndexOptions } from './options.ts';
import type { PodEntry } from './pods.ts';
import { PodTable } from './pods.ts';
import type { PolicyEntry } from './policies.ts';
import { PolicyTable, portSetKey, resourcesOf } from './policies.ts';
import { Results } from './results.ts';
import { deriveService, serviceKey } from './service.ts';
import type { Slice } from './slices.ts';
import { deriveSlice, findEndpoint, SliceTable } from './slices.ts';
import type { Membership } from './workload.ts';
import { localityOf, memberBySelector, memberBySlice, podWorkload, sliceWorkload } from './workload.ts';

/**
 * The synchronous reducer: objects in (`apply`, `remove`), resources for the agents out (`commit`).
 *
 * `apply` and `remove` only note what must be computed anew; `commit` computes exactly that. The result depends on the
 * objects alone, never on the order in which they came.
 */
export class Index {
  #options: IndexOptions;
  readonly #ownTrustDomain: string;
  readonly #namespaces = new Map<string, Namespace>();
  readonly #nodes = new Map<string, Node>();
  readonly #services = new Map<string, ApiService>();
  /** By namespace: the Services that select pods there. */
  readonly #selectors = new Map<string, SelectorIndex>();
  readonly #pods = new PodTable();
  readonly #slices = new SliceTable();
  readonly #policies: PolicyTable;
  readonly #results = new Results();
  /** By slice: the workloads that were made of it. */
  readonly #sliceWorkloads = new Map<string, readonly string[]>();
  #version = 0;

  readonly #dirty = {
    /** Pods whose workload must be computed anew; of those in `refs` only the policies. */
    pods: new Set<string>(),
    refs: new Set<string>(),
    slices: new Set<string>(),
    services: new Set<string>(),
    /** Policies whose resources must be made anew. */
    policies: new Set<string>(),
  };

  constructor(options: IndexOptions) {
    this.#options = options;
    this.#ownTrustDomain = options.trustDomain;
    this.#policies = new PolicyTable(options.rootNamespace);
  }

  get counts(): { policies: number; workloads: number; services: number } {
    const { workloads, services } = this.#results;
    return { policies: this.#policies.size, workloads: workloads.live.size, services: services.live.size };
  }

  /** Takes a validated object; kinds that agents need nothing of are passed over. */
  apply(object: ApiObject): void {
    const { namespace = '', name } = object.metadata;
    const key = `${namespace}/${name}`;
    // The schema of its kind has been through it: `kind` tells the type.
    switch (object.kind) {
      case 'Namespace':
        this.#setNamespace(name, object as unknown as Namespace);
        break;
      case 'Node':
        this.#setNode(name, object as unknown as Node);
        break;
      case 'Pod':
        this.#setPod(object as unknown as Pod);
        break;
      case 'Service':
        this.#setService(key, object as unknown as ApiService);
        break;
      case 'EndpointSlice':
        this.#setSlice(key, deriveSlice(object as unknown as EndpointSlice));
        break;
      case 'L4Policy':
        this.#setPolicy(key, object as unknown as L4Policy);
        break;
      case 'MeshConfig':
        this.#setTrustDomain((object as unknown as MeshConfig).spec.trustDomain);
        break;
    }
  }

  remove({ kind, namespace, name }: ObjectRef): void {
    const key = `${namespace}/${name}`;
    switch (kind) {
      case 'Namespace':
        this.#setNamespace(name, undefined);
        break;
      case 'Node':
        this.#setNode(name, undefined);
        break;
      case 'Pod':
        this.#podGone(this.#pods.delete(key));
        break;
      case 'Service':
        this.#setService(key, undefined);
        break;
      case 'EndpointSlice':
        this.#setSlice(key, null);
        break;
      case 'L4Policy':
        this.#removePolicy(key);
        break;
      case 'MeshConfig':
        this.#setTrustDomain(undefined);
        break;
    }
  }

  /** Computes what is due and tells what of it is new. */
  commit(): Delta {
    const { pods, refs, slices, services, policies } = this.#dirty;
    for (const key of services) this.#computeService(key);
    for (const key of pods) this.#computePod(key);
    for (const key of slices) this.#computeSlice(key);
    for (const key of policies) this.#computePolicy(key);
    for (const key of new Set([...pods, ...refs])) this.#computeRefs(key);
    for (const set of Object.values(this.#dirty)) set.clear();
    this.#version++;
    return this.#results.drain();
  }

  /** What one node gets: every node the same, since any pod may call any other. Valid until the next commit. */
  snapshotFor(_node: string): Snapshot {
    return this.#results.snapshot(this.#version);
  }

  /** What there is to say about a policy beyond its schema; null when it is not known. */
  findings(namespace: string, name: string): PolicyFindings | null {
    const entry = this.#policies.get(`${namespace}/${name}`);
    if (entry === undefined) return null;
    return findingsOf(entry, {
      pods: this.#podsOf(entry),
      services: this.#services,
      clusterDomain: this.#options.clusterDomain,
    });
  }

  #setNamespace(name: string, namespace: Namespace | undefined): void {
    const before = this.#namespaces.get(name);
    if (namespace === undefined) this.#namespaces.delete(name);
    else this.#namespaces.set(name, namespace);
    if (!isDeepStrictEqual(before?.metadata.labels, namespace?.metadata.labels)) {
      for (const pod of this.#pods.inNamespace(name)) this.#dirty.pods.add(pod.key);
    }
    if (!isDeepStrictEqual(before?.metadata.annotations, namespace?.metadata.annotations)) {
      for (const key of this.#services.keys()) if (key.startsWith(`${name}/`)) this.#dirty.services.add(key);
    }
  }

  #setNode(name: string, node: Node | undefined): void {
    const before = localityOf(this.#nodes.get(name));
    if (node === undefined) this.#nodes.delete(name);
    else this.#nodes.set(name, node);
    if (isDeepStrictEqual(before, localityOf(node))) return;
    for (const pod of this.#pods.onNode(name)) this.#dirty.pods.add(pod.key);
    for (const key of this.#sliceWorkloads.keys()) {
      if (this.#slices.get(key)?.endpoints.some((endpoint) => endpoint.node === name)) this.#dirty.slices.add(key);
    }
  }

  #setPod(pod: Pod): void {
    const { entry, previous } = this.#pods.set(pod);
    this.#dirty.pods.add(entry.key);
    if (previous !== undefined && isDeepStrictEqual(previous.addresses, entry.addresses)) return;
    this.#touchSlicesOf(entry);
    if (previous !== undefined) this.#touchSlicesOf(previous);
  }

  #podGone(entry: PodEntry | undefined): void {
    if (entry === undefined) return;
    this.#forget(entry);
    this.#touchSlicesOf(entry);
    this.#dirty.pods.delete(entry.key);
  }

  /** An address that gets or loses its pod is a pod's endpoint instead of a bare one, or the other way round. */
  #touchSlicesOf(entry: PodEntry): void {
    for (const slice of this.#slices.ofPod(entry.key, entry.addresses)) this.#dirty.slices.add(slice.key);
    for (const address of entry.addresses) {
      for (const sharer of this.#pods.withAddress(address)) this.#dirty.pods.add(sharer.key);
    }
  }

  #setService(key: string, service: ApiService | undefined): void {
    const before = this.#services.get(key);
    this.#dirty.services.add(key);
    const namespace = key.slice(0, key.indexOf('/'));
    const selectors = this.#selectors.getOrInsertComputed(namespace, () => new SelectorIndex());
    selectors.delete(key);
    if (service === undefined) this.#services.delete(key);
    else {
      this.#services.set(key, service);
      selectors.set(key, selectorOf(service));
    }
    if (isDeepStrictEqual(before?.spec, service?.spec)) return;
    this.#touchMembers(key, [before, service]);
    if ((before?.spec.type === 'ExternalName') === (service?.spec.type === 'ExternalName')) return;
    for (const entry of [...this.#policies.values()]) {
      if (entry.policy.direction === 'Outbound') this.#setPolicy(entry.key, entry.object);
    }
  }

  #touchMembers(key: string, versions: readonly (ApiService | undefined)[]): void {
    const wanted = versions.map((service) => (service === undefined ? {} : selectorOf(service)));
    const selectors = wanted.filter((selector) => Object.keys(selector).length > 0);
    for (const pod of this.#pods.inNamespace(key.slice(0, key.indexOf('/')))) {
      if (selectors.some((selector) => selects(selector, pod.labels))) this.#dirty.pods.add(pod.key);
    }
    for (const slice of this.#slices.ofService(key)) this.#touchSlice(slice);
  }

  #setSlice(key: string, slice: Slice | null): void {
    const before = this.#slices.get(key);
    if (isDeepStrictEqual(before ?? null, slice)) return;
    if (before !== undefined) this.#touchSlice(before, slice);
    if (slice === null) this.#slices.delete(key);
    else {
      this.#slices.set(slice);
      this.#touchSlice(slice, before);
    }
    this.#dirty.slices.add(key);
  }

  /** Marks the pods of a slice, but for those that another version of it says the same about. */
  #touchSlice(slice: Slice, other: Slice | null = null): void {
    this.#dirty.slices.add(slice.key);
    const comparable = other !== null && other.service === slice.service && isDeepStrictEqual(other.ports, slice.ports);
    const known = comparable ? new Set(other.endpoints.map((endpoint) => JSON.stringify(endpoint))) : new Set();
    for (const endpoint of slice.endpoints) {
      if (known.has(JSON.stringify(endpoint))) continue;
      if (endpoint.pod !== '') this.#dirty.pods.add(endpoint.pod);
      else for (const pod of this.#pods.withAddress(endpoint.address)) this.#dirty.pods.add(pod.key);
    }
  }

  #setTrustDomain(trustDomain: string | undefined): void {
    const wanted = trustDomain ?? this.#ownTrustDomain;
    if (wanted === this.#options.trustDomain) return;
    this.#options = { ...this.#options, trustDomain: wanted };
    for (const pod of this.#pods.all()) this.#dirty.pods.add(pod.key);
    for (const key of this.#sliceWorkloads.keys()) this.#dirty.slices.add(key);
  }

  #setPolicy(key: string, object: L4Policy): void {
    const { namespace = 'default', name } = object.metadata;
    const before = this.#policies.get(key);
    const { rootNamespace, clusterDomain } = this.#options;
    const isExternalName = (service: string) => this.#services.get(service)?.spec.type === 'ExternalName';
    const compiled = compilePolicy(object.spec, { namespace, name, rootNamespace, clusterDomain, isExternalName });
    if (before !== undefined) this.#touchPodsOf(before);
    const entry = this.#policies.set(key, object, compiled);
    // What was published under the old entry is taken back when the new one is computed.
    if (before !== undefined) entry.resources = before.resources;
    this.#touchPodsOf(entry);
    this.#dirty.policies.add(key);
  }

  #removePolicy(key: string): void {
    const entry = this.#policies.get(key);
    if (entry === undefined) return;
    this.#touchPodsOf(entry);
    this.#policies.delete(key);
    for (const { name, resource } of entry.resources.values()) {
      this.#results.deletePolicy(name, resource.value.direction);
    }
  }

  #touchPodsOf(entry: PolicyEntry): void {
    const due = entry.targets === null ? this.#dirty.refs : this.#dirty.pods;
    for (const pod of this.#podsOf(entry)) due.add(pod.key);
  }

  /** The pods that a policy is about. */
  *#podsOf({ policy, targets, object }: PolicyEntry): Generator<PodEntry> {
    if (targets !== null) {
      for (const target of targets) yield* this.#membersOf(target);
      return;
    }
    const everywhere = policy.namespace === this.#options.rootNamespace;
    const selector = object.spec.selector?.matchLabels ?? {};
    for (const pod of everywhere ? this.#pods.all() : this.#pods.inNamespace(policy.namespace)) {
      if (selects(selector, pod.labels)) yield pod;
    }
  }

  *#membersOf(key: string): Generator<PodEntry> {
    const service = this.#services.get(key);
    const selector = service === undefined ? {} : selectorOf(service);
    if (Object.keys(selector).length > 0) {
      for (const pod of this.#pods.inNamespace(key.slice(0, key.indexOf('/')))) {
        if (selects(selector, pod.labels)) yield pod;
      }
      return;
    }
    for (const { endpoints } of this.#slices.ofService(key)) {
      for (const { pod, address } of endpoints) {
        const named = pod === '' ? undefined : this.#pods.get(pod);
        if (named !== undefined) yield named;
        else if (pod === '') yield* this.#pods.withAddress(address);
      }
    }
  }

  #computeService(key: string): void {
    const service = this.#services.get(key);
    const [namespace = '', name = ''] = key.split('/');
    if (service === undefined) {
      this.#results.services.delete(serviceKey(namespace, name, this.#options.clusterDomain));
      return;
    }
    const annotations = this.#namespaces.get(namespace)?.metadata.annotations ?? {};
    this.#results.setService(deriveService(service, annotations, this.#options));
  }

  #computePod(key: string): void {
    const entry = this.#pods.get(key);
    if (entry === undefined) return;
    if (entry.addresses.length === 0) {
      this.#forget(entry);
      return;
    }
    const memberships = this.#membershipsOf(entry);
    const labels = this.#namespaces.get(entry.namespace)?.metadata.labels ?? {};
    const locality = localityOf(this.#nodes.get(entry.node));
    const base = podWorkload(entry, memberships, labels, locality, this.#options);
    if (entry.base !== null && entry.base.uid !== base.uid) this.#results.workloads.delete(entry.base.uid);
    entry.base = base;
    this.#retarget(entry, memberships);
  }

  /** A pod is a member by its labels, or, of Services without selector, by a slice that names it. */
  #membershipsOf(entry: PodEntry): Membership[] {
    const members: Membership[] = [];
    for (const key of this.#selectors.get(entry.namespace)?.match(entry.labels) ?? []) {
      const service = this.#services.get(key);
      if (service !== undefined) members.push(memberBySelector(service, key, entry, this.#slices.ofService(key)));
    }
    const seen = new Set<string>();
    for (const slice of this.#slices.ofPod(entry.key, entry.addresses)) {
      const service = this.#services.get(slice.service);
      if (service === undefined || Object.keys(selectorOf(service)).length > 0 || seen.has(slice.service)) continue;
      const endpoint = findEndpoint(slice, entry.key, entry.addresses);
      if (endpoint !== undefined) members.push(memberBySlice(service, slice, endpoint));
      seen.add(slice.service);
    }
    return members;
  }

  /** Counts the pod in the port sets of the policies that target its Services. */
  #retarget(entry: PodEntry, memberships: readonly Membership[]): void {
    const ports = new Map<PolicyEntry, number[]>();
    for (const member of memberships) {
      const targetPorts = member.ports.map(({ targetPort }) => targetPort);
      for (const policy of targetPorts.length === 0 ? [] : this.#policies.targeting(member.key)) {
        ports.getOrInsertComputed(policy, () => []).push(...targetPorts);
      }
    }
    const targeted = new Map([...ports].map(([policy, list]) => [policy, portSetKey(list)]));
    for (const [policy, set] of entry.targeted) if (targeted.get(policy) !== set) this.#countPortSet(policy, set, -1);
    for (const [policy, set] of targeted) if (entry.targeted.get(policy) !== set) this.#countPortSet(policy, set, 1);
    entry.targeted = targeted;
  }

  #countPortSet(policy: PolicyEntry, set: string, by: 1 | -1): void {
    const count = (policy.portSets.get(set) ?? 0) + by;
    if (count > 0) policy.portSets.set(set, count);
    else policy.portSets.delete(set);
    this.#dirty.policies.add(policy.key);
  }

  #computePolicy(key: string): void {
    const entry = this.#policies.get(key);
    if (entry === undefined) return;
    const before = entry.resources;
    entry.resources = resourcesOf(entry);
    const names = new Set([...entry.resources.values()].map(({ name }) => name));
    for (const { name, resource } of before.values()) {
      const turned = resource.value.direction !== entry.policy.direction;
      if (turned || !names.has(name)) this.#results.deletePolicy(name, resource.value.direction);
    }
    let changed = before.size !== entry.resources.size;
    for (const [ports, { name, resource }] of entry.resources) {
      const old = before.get(ports);
      changed ||= old?.name !== name || old.resource.version !== resource.version;
      this.#results.setPolicy(name, resource);
    }
    if (!changed) return;
    for (const pod of this.#podsOf(entry)) this.#dirty.refs.add(pod.key);
  }

  #computeRefs(key: string): void {
    const entry = this.#pods.get(key);
    if (entry?.base == null) return;
    const { base } = entry;
    if (!base.enrolled) {
      this.#results.setWorkload(base);
      return;
    }
    const found = this.#policies.forPod(entry.namespace, entry.labels).map((policy) => ({ policy, ports: '' }));
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
    policies.sort((a, b) => (`${a.name} ${a.direction}` < `${b.name} ${b.direction}` ? -1 : 1));
    const workload: Workload = { ...base, policies, selectorPolicies: selectorPolicies.sort() };
    this.#results.setWorkload(workload);
  }

  #computeSlice(key: string): void {
    const slice = this.#slices.get(key);
    const uids = new Set<string>();
    const service = slice === undefined ? undefined : this.#services.get(slice.service);
    // Where a Service has a selector, the selector decides who its endpoints are.
    const isManual = service !== undefined && Object.keys(selectorOf(service)).length === 0;
    for (const endpoint of slice !== undefined && isManual ? slice.endpoints : []) {
      if (slice === undefined || endpoint.address === '' || this.#isPod(endpoint.pod, endpoint.address)) continue;
      const member = memberBySlice(service as ApiService, slice, endpoint);
      const locality = localityOf(this.#nodes.get(endpoint.node));
      const workload = sliceWorkload(slice, endpoint, member, locality, this.#options);
      this.#results.setWorkload(workload);
      uids.add(workload.uid);
    }
    for (const uid of this.#sliceWorkloads.get(key) ?? []) if (!uids.has(uid)) this.#results.workloads.delete(uid);
    if (uids.size === 0) this.#sliceWorkloads.delete(key);
    else this.#sliceWorkloads.set(key, [...uids]);
  }

  #isPod(pod: string, address: string): boolean {
    // A slice that names a Pod which is not there (yet) must not stand in for it.
    return pod !== '' || [...this.#pods.withAddress(address)].length > 0;
  }

  #forget(entry: PodEntry): void {
    if (entry.base !== null) this.#results.workloads.delete(entry.base.uid);
    for (const [policy, set] of entry.targeted) this.#countPortSet(policy, set, -1);
    entry.base = null;
    entry.targeted = new Map();
  }
}

function selectorOf({ spec }: ApiService): Labels {
  return spec.type === 'ExternalName' ? {} : (spec.selector ?? {});
}
