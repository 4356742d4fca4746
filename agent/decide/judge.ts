import type { ConnectionFacts, Path, Verdict } from '../model/connection.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Workload } from '../model/workload.ts';
import { type CompiledPolicy, ruleMatches } from './policy/compiled-policy.ts';
import { type Direction, type PolicySet, policiesOf } from './policy/policy-set.ts';
import { Subject } from './policy/subject.ts';

const NONE: readonly string[] = Object.freeze([]);
const DEFAULT_ALLOW: Verdict = Object.freeze({ allowed: true, reason: 'ok', policy: null, audited: NONE });

/**
 * The destination's side: the Inbound policies of `facts.destination`, on the container's port.
 *
 * An enforced Deny that matches refuses; else, if an enforced Allow concerns the port, one must match; else allowed.
 * Refusals with reason `awaiting_workload` or `awaiting_policy` mean that the facts are not complete yet: a new
 * connection is held for them, a live one that was allowed before is left as it is.
 */
export function judgeInbound(facts: ConnectionFacts, snapshot: Snapshot): Verdict {
  return judge(facts, facts.destination, 'Inbound', snapshot);
}

/** The source's side: the Outbound policies of `facts.source`. Same rules as `judgeInbound`. */
export function judgeOutbound(facts: ConnectionFacts, snapshot: Snapshot): Verdict {
  return judge(facts, facts.source, 'Outbound', snapshot);
}

/**
 * All that the source's node decides: Outbound policies, and on the same-node path, which no other relay sees, the
 * Inbound policies of the destination as well.
 */
export function judgeAtSource(facts: ConnectionFacts, path: Path, snapshot: Snapshot): Verdict {
  const outbound = judgeOutbound(facts, snapshot);
  if (!outbound.allowed || path !== 'SameNode') return outbound;
  const inbound = judgeInbound(facts, snapshot);
  if (outbound.audited.length === 0) return inbound;
  return { ...inbound, audited: [...outbound.audited, ...inbound.audited] };
}

function judge(facts: ConnectionFacts, workload: Workload | null, direction: Direction, snapshot: Snapshot): Verdict {
  if (workload === null || snapshot.version === 0) return refusal('awaiting_workload');
  if (snapshot.awaiting.has(workload.uid)) return refusal('awaiting_policy');
  const set = policiesOf(workload, direction, snapshot);
  if (set === null) return refusal('awaiting_policy');
  if (set.policies.length === 0) return DEFAULT_ALLOW;
  return judgeSet(set, new Subject(facts, snapshot));
}

function judgeSet(set: PolicySet, subject: Subject): Verdict {
  const denied = set.denies.first(subject);
  const allowed = set.allows.first(subject);
  const audited = auditedBy(set, subject, allowed !== null);
  if (denied !== null) return { allowed: false, reason: 'policy_denied', policy: denied.source.name, audited };
  if (allowed !== null) return { allowed: true, reason: 'ok', policy: allowed.source.name, audited };
  const applicable = set.applicableAllow(subject);
  if (applicable === null) return { allowed: true, reason: 'ok', policy: null, audited };
  return { allowed: false, reason: 'policy_not_allowed', policy: applicable.source.name, audited };
}

/**
 * The Audit policies that would refuse if all of them were enforced: a Deny that matches, and each Allow that concerns
 * the port when no Allow, enforced or audited, matches.
 */
function auditedBy(set: PolicySet, subject: Subject, allowed: boolean): readonly string[] {
  if (set.auditDenies.length === 0 && set.auditAllows.length === 0) return NONE;
  const refusing = set.auditDenies.filter((policy) => matches(policy, subject));
  const concerned = set.auditAllows.filter((policy) => policy.appliesTo(subject));
  if (!allowed && !concerned.some((policy) => matches(policy, subject))) refusing.push(...concerned);
  return refusing.map((policy) => policy.source.name);
}

function matches(policy: CompiledPolicy, subject: Subject): boolean {
  return policy.appliesTo(subject) && policy.rules.some((rule) => ruleMatches(rule, subject));
}

function refusal(reason: 'awaiting_workload' | 'awaiting_policy'): Verdict {
  return { allowed: false, reason, policy: null, audited: NONE };
}
