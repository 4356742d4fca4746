import { type Policy, policyKey } from '../../model/policy.ts';
import type { Snapshot } from '../../model/snapshot.ts';
import type { Workload } from '../../model/workload.ts';
import { type CompiledPolicy, compilePolicy } from './compiled-policy.ts';
import { RuleIndex } from './rule-index.ts';
import type { Subject } from './subject.ts';

export type Direction = Policy['direction'];

/** The policies that select a workload in one direction, ready to be judged. */
export class PolicySet {
  /** In the order of their names, so that both ends of a connection name the same one. */
  readonly policies: readonly CompiledPolicy[];
  readonly denies: RuleIndex;
  readonly allows: RuleIndex;
  readonly auditDenies: readonly CompiledPolicy[];
  readonly auditAllows: readonly CompiledPolicy[];
  readonly #enforcedAllows: readonly CompiledPolicy[];
  readonly #allowAnyPort: CompiledPolicy | null;

  constructor(policies: readonly CompiledPolicy[]) {
    this.policies = policies;
    const pick = (action: Policy['action'], enforcement: Policy['enforcement']) =>
      policies.filter(({ source }) => source.action === action && source.enforcement === enforcement);
    this.#enforcedAllows = pick('Allow', 'Enforce');
    this.#allowAnyPort = this.#enforcedAllows.find((policy) => policy.ports === null) ?? null;
    this.denies = new RuleIndex(pick('Deny', 'Enforce'));
    this.allows = new RuleIndex(this.#enforcedAllows);
    this.auditDenies = pick('Deny', 'Audit');
    this.auditAllows = pick('Allow', 'Audit');
  }

  /** An enforced Allow that concerns the connection's port, matching or not: then what no Allow matches is refused. */
  applicableAllow(subject: Subject): CompiledPolicy | null {
    return this.#allowAnyPort ?? this.#enforcedAllows.find((policy) => policy.appliesTo(subject)) ?? null;
  }
}

interface Cached {
  policies: Snapshot['policies'];
  signature: string;
  set: PolicySet | null;
}

const MAX_SHARED_SETS = 512;
const cache: Record<Direction, WeakMap<Workload, Cached>> = { Inbound: new WeakMap(), Outbound: new WeakMap() };
/** Most workloads share their policies, so the index over them is shared too; the oldest is forgotten first. */
const shared = new Map<string, PolicySet>();

/**
 * The policies of a workload in one direction; null when one that it names is not there in the named version, in which
 * case nothing can be judged. Cached by workload and by the snapshot's policies: both are replaced when they change.
 */
export function policiesOf(workload: Workload, direction: Direction, snapshot: Snapshot): PolicySet | null {
  const cached = cache[direction].get(workload);
  if (cached?.policies === snapshot.policies) return cached.set;
  const sources =
    workload.policies === null ? implied(workload, direction, snapshot) : named(workload, direction, snapshot);
  const policies = sources?.map(compilePolicy) ?? null;
  const signature = policies === null ? '' : policies.map((policy) => policy.id).join();
  const known = cached !== undefined && cached.set !== null && cached.signature === signature ? cached.set : null;
  const set = policies === null ? null : (known ?? sharedSet(signature, policies));
  cache[direction].set(workload, { policies: snapshot.policies, signature, set });
  return set;
}

function sharedSet(signature: string, policies: readonly CompiledPolicy[]): PolicySet {
  const set = shared.get(signature) ?? new PolicySet(policies);
  shared.delete(signature);
  shared.set(signature, set);
  const oldest = shared.size > MAX_SHARED_SETS ? shared.keys().next().value : undefined;
  if (oldest !== undefined) shared.delete(oldest);
  return set;
}

function named(workload: Workload, direction: Direction, snapshot: Snapshot): Policy[] | null {
  const found = new Map<string, Policy>();
  for (const ref of workload.policies ?? []) {
    if (ref.direction !== direction) continue;
    const policy = snapshot.policies.get(policyKey(direction, ref.name));
    if (policy === undefined || (ref.version !== '' && policy.version !== ref.version)) return null;
    found.set(ref.name, policy);
  }
  return byName(found);
}

/** WDS without references: mesh-wide and namespace policies are implied, selector policies are named. */
function implied(workload: Workload, direction: Direction, snapshot: Snapshot): Policy[] | null {
  const found = new Map<string, Policy>();
  const scopes = scopesOf(snapshot.policies);
  for (const policy of [...(scopes.get('') ?? []), ...(scopes.get(workload.namespace) ?? [])]) {
    if (policy.direction === direction) found.set(policy.name, policy);
  }
  if (direction === 'Inbound') {
    for (const name of workload.selectorPolicies) {
      const policy = snapshot.policies.get(policyKey(direction, name));
      // ztunnel skips a policy that it does not know yet, and so opens what the policy closes.
      if (policy === undefined) return null;
      found.set(name, policy);
    }
  }
  return byName(found);
}

const scopeCache = new WeakMap<Snapshot['policies'], Map<string, Policy[]>>();

/** Namespace policies by namespace, mesh-wide ones under the empty name. */
function scopesOf(policies: Snapshot['policies']): Map<string, Policy[]> {
  let scopes = scopeCache.get(policies);
  if (scopes !== undefined) return scopes;
  scopes = new Map();
  for (const policy of policies.values()) {
    if (policy.scope === 'Workload') continue;
    const scope = policy.scope === 'Mesh' ? '' : policy.namespace;
    scopes.getOrInsertComputed(scope, () => []).push(policy);
  }
  scopeCache.set(policies, scopes);
  return scopes;
}

function byName(found: Map<string, Policy>): Policy[] {
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
