import type { ConnectionFacts, Verdict } from '../model/connection.ts';
import type { Policy } from '../model/policy.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { judgeInbound, judgeOutbound } from './judge.ts';
import { type CompiledPolicy, ruleMismatch } from './policy/compiled-policy.ts';
import { type Direction, policiesOf } from './policy/policy-set.ts';
import { Subject } from './policy/subject.ts';

/** One policy that selects the workload, and what it said. */
export interface ConsideredPolicy {
  /** `namespace/name` */
  name: string;
  action: Policy['action'];
  enforcement: Policy['enforcement'];
  scope: Policy['scope'];
  outcome: 'matches' | 'does not match' | 'does not concern the port';
  /** Counted from 0; null unless it matches. */
  matchingRule: number | null;
  /** For each rule that does not match, what stands in the way, one entry for each alternative. */
  mismatches: readonly (readonly string[])[];
  /** It alone settled the verdict. */
  decides: boolean;
}

export interface Explanation {
  direction: Direction;
  verdict: Verdict;
  /** In the order of their names; empty when none selects the workload or they are not complete yet. */
  considered: readonly ConsideredPolicy[];
}

/** Every policy that was considered in one direction and why it said what it said; the verdict is the data path's own. */
export function explain(facts: ConnectionFacts, direction: Direction, snapshot: Snapshot): Explanation {
  const inbound = direction === 'Inbound';
  const verdict = inbound ? judgeInbound(facts, snapshot) : judgeOutbound(facts, snapshot);
  const workload = inbound ? facts.destination : facts.source;
  const set = workload === null ? null : policiesOf(workload, direction, snapshot);
  const subject = new Subject(facts, snapshot);
  const considered = (set?.policies ?? []).map((policy) => consider(policy, subject, verdict));
  return { direction, verdict, considered };
}

function consider(policy: CompiledPolicy, subject: Subject, verdict: Verdict): ConsideredPolicy {
  const { name, action, enforcement, scope } = policy.source;
  const concerned = policy.appliesTo(subject);
  const results = concerned ? policy.rules.map((rule) => ruleMismatch(rule, subject)) : [];
  const matching = results.indexOf(null);
  const matched = matching < 0 ? 'does not match' : 'matches';
  return {
    name,
    action,
    enforcement,
    scope,
    outcome: concerned ? matched : 'does not concern the port',
    matchingRule: matching < 0 ? null : matching,
    mismatches: results.filter((fields) => fields !== null),
    decides: enforcement === 'Enforce' && verdict.policy === name,
  };
}
