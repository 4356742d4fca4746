import { pathTo } from './decide/endpoints.ts';
import { judgeAtSource, judgeInbound } from './decide/judge.ts';
import { refreshFacts } from './decide/refresh.ts';
import type { ConnectionFacts, Path, Reason } from './model/connection.ts';
import type { Snapshot } from './model/snapshot.ts';
import type { ConnectionRecord } from './observe/record.ts';

type Direction = ConnectionRecord['direction'];

interface Outcome {
  before: ConnectionFacts;
  direction: Direction;
  /** Null: what was allowed is no longer there. */
  facts: ConnectionFacts | null;
  /** Null: it goes on. */
  reason: Reason | null;
  policy: string | null;
}

/**
 * Judges live connections again under one snapshot. Thousands of connections rest on a few facts, so each set of facts is
 * judged once and then shared by all that rest on it. To be dropped after the round: it knows the snapshot before.
 */
export class Review {
  readonly #snapshot: Snapshot;
  readonly #outcomes = new Map<string, Outcome>();
  #last: Outcome | null = null;

  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
  }

  /** Why a connection may not go on, or null. Renews `record.facts`, so that no old snapshot is kept alive. */
  of(record: ConnectionRecord): Reason | null {
    const { facts, reason, policy } = this.#outcomeOf(record.facts, record.direction);
    if (facts !== null) record.facts = facts;
    if (reason === 'policy_changed') record.policy = policy;
    return reason;
  }

  #outcomeOf(facts: ConnectionFacts, direction: Direction): Outcome {
    if (this.#last !== null && rests(this.#last, facts, direction)) return this.#last;
    const key = `${direction} ${facts.sourceAddress} ${facts.destinationAddress} ${facts.destinationPort} ${facts.servicePort}`;
    const known = this.#outcomes.get(key);
    if (known !== undefined && rests(known, facts, direction)) {
      this.#last = known;
      return known;
    }
    const outcome = judge(facts, direction, this.#snapshot);
    this.#outcomes.set(key, outcome);
    this.#last = outcome;
    return outcome;
  }
}

function judge(before: ConnectionFacts, direction: Direction, snapshot: Snapshot): Outcome {
  const { facts, gone } = refreshFacts(before, snapshot);
  if (gone !== null) return { before, direction, facts, reason: gone, policy: null };
  const verdict =
    direction === 'inbound' ? judgeInbound(facts, snapshot) : judgeAtSource(facts, currentPath(facts), snapshot);
  // What was allowed goes on while a newer policy is still on its way.
  const goesOn = verdict.allowed || verdict.reason === 'awaiting_policy' || verdict.reason === 'awaiting_workload';
  return { before, direction, facts, reason: goesOn ? null : 'policy_changed', policy: verdict.policy };
}

function rests(outcome: Outcome, facts: ConnectionFacts, direction: Direction): boolean {
  const { before } = outcome;
  if (outcome.direction !== direction) return false;
  return (
    before === facts ||
    (before.source === facts.source &&
      before.sourceIdentity === facts.sourceIdentity &&
      before.sourceAddress === facts.sourceAddress &&
      before.destination === facts.destination &&
      before.destinationAddress === facts.destinationAddress &&
      before.destinationPort === facts.destinationPort &&
      before.service === facts.service &&
      before.servicePort === facts.servicePort)
  );
}

/** A destination that was enrolled meanwhile brings its own policies. */
function currentPath({ source, destination }: ConnectionFacts): Path {
  return source === null ? 'Passthrough' : pathTo(source, destination);
}
