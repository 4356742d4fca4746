import { type Policy, policyKey } from '../model/policy.ts';
import type { Workload } from '../model/workload.ts';
import type { Changes, Rejection } from './changes.ts';
import { TYPE_ADDRESS, TYPE_AUTHORIZATION } from './types.ts';

interface Need {
  key: string;
  /** Empty: any version. */
  version: string;
}

/**
 * Which workloads must not be judged yet. A workload waits until every policy that it names is there in the named
 * version; one that names none (istiod) until both types have been received once, and while a policy that may concern
 * it was refused; and any workload while its own last version was refused.
 *
 * What an update costs is what depends on it: workloads are looked at again only when a policy that they need changes.
 */
export class Awaiting {
  /** Replaced, never edited. */
  current: ReadonlySet<string> = new Set();
  readonly #workloads = new Map<string, { workload: Workload; needs: readonly Need[] }>();
  readonly #dependents = new Map<string, Set<string>>();
  readonly #versions = new Map<string, string>();
  /** Uids of workloads without references. */
  readonly #implicit = new Set<string>();
  readonly #rejectedPolicies = new Map<string, Rejection>();
  readonly #rejectedAddresses = new Set<string>();
  readonly #synced = new Set<string>();

  update(changes: Changes): void {
    const affected = new Set<string>();
    for (const [key, policy] of changes.policies) this.#setPolicy(key, policy, affected);
    for (const [uid, workload] of changes.workloads) this.#setWorkload(uid, workload, affected);
    for (const [key, rejection] of changes.rejections) this.#setRejection(key, rejection, affected);
    this.#setSynced(changes.synced, affected);
    this.#settle(affected);
  }

  #setPolicy(key: string, policy: Policy | null, affected: Set<string>): void {
    if (policy === null) this.#versions.delete(key);
    else this.#versions.set(key, policy.version);
    for (const uid of this.#dependents.get(key) ?? []) affected.add(uid);
  }

  #setWorkload(uid: string, workload: Workload | null, affected: Set<string>): void {
    for (const { key } of this.#workloads.get(uid)?.needs ?? []) {
      const dependents = this.#dependents.get(key);
      dependents?.delete(uid);
      if (dependents?.size === 0) this.#dependents.delete(key);
    }
    affected.add(uid);
    this.#implicit.delete(uid);
    this.#workloads.delete(uid);
    if (workload === null) return;
    const needs = needsOf(workload);
    for (const { key } of needs) this.#dependents.getOrInsertComputed(key, () => new Set()).add(uid);
    this.#workloads.set(uid, { workload, needs });
    if (workload.policies === null) this.#implicit.add(uid);
  }

  #setRejection(key: string, rejection: Rejection | null, affected: Set<string>): void {
    if (key.startsWith(`${TYPE_ADDRESS} `)) {
      const uid = key.slice(TYPE_ADDRESS.length + 1);
      if (rejection === null) this.#rejectedAddresses.delete(uid);
      else this.#rejectedAddresses.add(uid);
      affected.add(uid);
      return;
    }
    if (rejection === null) this.#rejectedPolicies.delete(key);
    else this.#rejectedPolicies.set(key, rejection);
    for (const uid of this.#implicit) affected.add(uid);
  }

  #setSynced(types: ReadonlySet<string>, affected: Set<string>): void {
    const before = this.#synced.size;
    for (const type of types) this.#synced.add(type);
    if (this.#synced.size > before) for (const uid of this.#implicit) affected.add(uid);
  }

  #settle(affected: ReadonlySet<string>): void {
    let next: Set<string> | null = null;
    for (const uid of affected) {
      const waits = this.#waits(uid);
      if (waits === this.current.has(uid)) continue;
      next ??= new Set(this.current);
      if (waits) next.add(uid);
      else next.delete(uid);
    }
    this.current = next ?? this.current;
  }

  #waits(uid: string): boolean {
    const known = this.#workloads.get(uid);
    if (known === undefined) return false;
    if (this.#rejectedAddresses.has(uid)) return true;
    for (const { key, version } of known.needs) {
      const there = this.#versions.get(key);
      if (there === undefined || (version !== '' && there !== version)) return true;
    }
    return known.workload.policies === null && this.#impliedIncomplete(known.workload);
  }

  #impliedIncomplete(workload: Workload): boolean {
    if (!this.#synced.has(TYPE_ADDRESS) || !this.#synced.has(TYPE_AUTHORIZATION)) return true;
    for (const rejection of this.#rejectedPolicies.values()) if (mayConcern(rejection, workload)) return true;
    return false;
  }
}

function needsOf(workload: Workload): Need[] {
  if (workload.policies === null) {
    return workload.selectorPolicies.map((name) => ({ key: policyKey('Inbound', name), version: '' }));
  }
  return workload.policies.map(({ direction, name, version }) => ({ key: policyKey(direction, name), version }));
}

function mayConcern({ name, typeUrl, concerns }: Rejection, workload: Workload): boolean {
  if (concerns === null || concerns.scope === 'Mesh') return true;
  if (concerns.scope === 'Namespace') return concerns.namespace === workload.namespace;
  return typeUrl === TYPE_AUTHORIZATION && workload.selectorPolicies.includes(name);
}
