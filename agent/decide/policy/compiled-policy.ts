import type { InboundPolicy, OutboundPolicy, Policy } from '../../model/policy.ts';
import { CompiledDestination } from './destination-match.ts';
import { CompiledMatch, type Matcher } from './match.ts';
import type { Subject } from './subject.ts';

/** All clauses, any matcher of a clause; a clause with no matchers is true, a rule with no clauses matches. */
export type Clause = readonly Matcher[];

export interface CompiledRule {
  policy: CompiledPolicy;
  clauses: readonly Clause[];
}

/** A policy ready to be judged. Made once for each version of a policy, whatever snapshots it is in. */
export class CompiledPolicy {
  readonly source: Policy;
  /** Tells two versions apart in signatures of policy sets. */
  readonly id: number;
  readonly rules: readonly CompiledRule[];
  /** Container ports that it concerns; null: all. */
  readonly ports: ReadonlySet<number> | null;
  static #count = 0;

  constructor(source: Policy) {
    this.source = source;
    this.id = ++CompiledPolicy.#count;
    const clauses = source.direction === 'Inbound' ? inboundRules(source) : outboundRules(source);
    this.rules = clauses.map((rule) => ({ policy: this, clauses: rule }));
    const ports = source.direction === 'Inbound' ? source.appliesToPorts : [];
    this.ports = ports.length === 0 ? null : new Set(ports);
  }

  /** A policy that does not concern the port neither matches nor, as an Allow, refuses what it does not match. */
  appliesTo(subject: Subject): boolean {
    return this.ports === null || this.ports.has(subject.facts.destinationPort);
  }
}

/** Null when the rule matches, else the fields that stand in the way: one for each alternative of the first such clause. */
export function ruleMismatch(rule: CompiledRule, subject: Subject): string[] | null {
  for (const clause of rule.clauses) {
    if (clauseMatches(clause, subject)) continue;
    return clause.map((matcher) => matcher.mismatch(subject) ?? '');
  }
  return null;
}

/** As `ruleMismatch`, for the hot path: allocates nothing. */
export function ruleMatches(rule: CompiledRule, subject: Subject): boolean {
  for (const clause of rule.clauses) if (!clauseMatches(clause, subject)) return false;
  return true;
}

function clauseMatches(clause: Clause, subject: Subject): boolean {
  if (clause.length === 0) return true;
  for (const matcher of clause) if (matcher.mismatch(subject) === null) return true;
  return false;
}

const compiled = new WeakMap<Policy, CompiledPolicy>();

/** Snapshots share their unchanged policies, so each is compiled once in its life. */
export function compilePolicy(source: Policy): CompiledPolicy {
  return compiled.getOrInsertComputed(source, () => new CompiledPolicy(source));
}

function inboundRules(policy: InboundPolicy): Clause[][] {
  return policy.rules.map((rule) => rule.map((clause) => clause.map((match) => new CompiledMatch(match))));
}

function outboundRules(policy: OutboundPolicy): Clause[][] {
  return policy.rules.map(({ from, to }) => [
    from.map((match) => new CompiledMatch(match)),
    to.map((match) => new CompiledDestination(match, policy.action)),
  ]);
}
