/** A status condition (Kubernetes' shape, KEP-1623). */
export interface Condition {
  type: 'Accepted' | 'ResolvedRefs' | 'Enforced';
  status: 'True' | 'False' | 'Unknown';
  reason: string;
  message: string;
  observedGeneration: number;
}

interface Remark {
  field: string;
  reason: string;
}

/** What is known about a policy when its status is asked for. */
export interface PolicyFacts {
  generation: number;
  audit: boolean;
  unenforceable: readonly Remark[];
  unresolved: readonly Remark[];
  /** Nodes that must have it, and those that have confirmed its present version. */
  nodes: number;
  inForce: number;
}

/** The conditions of a policy that passed validation. */
export function policyConditions(facts: PolicyFacts): Condition[] {
  const observedGeneration = facts.generation;
  return [
    accepted(observedGeneration),
    facts.unresolved.length === 0
      ? { type: 'ResolvedRefs', status: 'True', reason: 'ResolvedRefs', message: '', observedGeneration }
      : {
          type: 'ResolvedRefs',
          status: 'False',
          reason: 'NotFound',
          message: list(facts.unresolved),
          observedGeneration,
        },
    { type: 'Enforced', ...enforced(facts), observedGeneration },
  ];
}

/** Every object in the store has passed validation. */
export function accepted(observedGeneration: number): Condition {
  return { type: 'Accepted', status: 'True', reason: 'Accepted', message: '', observedGeneration };
}

function enforced({
  unenforceable,
  audit,
  nodes,
  inForce,
}: PolicyFacts): Pick<Condition, 'status' | 'reason' | 'message'> {
  const progress = `in force on ${inForce} of ${nodes} nodes`;
  if (unenforceable.length > 0) {
    const message = `cannot be enforced as written, its safe effect is ${progress}: ${list(unenforceable)}`;
    return { status: 'False', reason: 'NotEnforceable', message };
  }
  if (nodes === 0) return { status: 'Unknown', reason: 'NoWorkloads', message: 'no enrolled pod needs it' };
  const message = audit ? `judged on ${inForce} of ${nodes} nodes, not in force (Audit)` : progress;
  if (inForce < nodes) return { status: 'False', reason: 'Pending', message };
  return { status: 'True', reason: audit ? 'Audited' : 'Enforced', message };
}

function list(remarks: readonly Remark[]): string {
  return remarks.map(({ field, reason }) => `${field}: ${reason}`).join('; ');
}
