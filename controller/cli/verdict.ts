import { type Explanation, explain } from '../../agent/decide/explain.ts';
import { decideOutbound, factsOf, type OutboundConnect, type OutboundRequest } from '../../agent/decide/outbound.ts';
import type { Candidate, ConnectionFacts, Reason } from '../../agent/model/connection.ts';
import type { Snapshot } from '../../agent/model/snapshot.ts';
import type { Workload } from '../../agent/model/workload.ts';
import type { Destination } from './endpoints.ts';

/** What would become of a connection to one endpoint. */
export interface EndpointVerdict {
  candidate: Candidate;
  /** Null: the source is not enrolled, so nothing is judged on its side. */
  outbound: Explanation | null;
  /** Null: the destination is not enrolled, so nothing is judged there. */
  inbound: Explanation | null;
  allowed: boolean;
}

/** What would become of a connection. */
export type ConnectionVerdict =
  | { kind: 'refused'; reason: Reason }
  | { kind: 'judged'; endpoints: readonly EndpointVerdict[] };

/** Judges as the data path would, with its own functions; nothing of load or affinity counts, every endpoint is shown. */
export function judgeConnection(source: Workload, destination: Destination, snapshot: Snapshot): ConnectionVerdict {
  const request: OutboundRequest = {
    source,
    sourceAddress: source.addresses[0] ?? '',
    destination: { address: destination.address, port: destination.port },
  };
  const decision = decideOutbound(request, snapshot);
  if (decision.action === 'refuse') return { kind: 'refused', reason: decision.reason };
  const endpoints = decision.candidates.map((candidate) => judgeEndpoint(request, decision, candidate, snapshot));
  return { kind: 'judged', endpoints };
}

function judgeEndpoint(
  request: OutboundRequest,
  decision: OutboundConnect,
  candidate: Candidate,
  snapshot: Snapshot,
): EndpointVerdict {
  const facts = factsOf(request, decision, candidate);
  const outbound = isEnrolled(request.source) ? explain(facts, 'Outbound', snapshot) : null;
  const inbound = isEnrolled(candidate.workload) ? explain(arriving(facts), 'Inbound', snapshot) : null;
  const allowed = (outbound?.verdict.allowed ?? true) && (inbound?.verdict.allowed ?? true);
  return { candidate, outbound, inbound, allowed };
}

/** A caller that is not enrolled has no identity, whatever address it comes from. */
function arriving(facts: ConnectionFacts): ConnectionFacts {
  return isEnrolled(facts.source) ? facts : { ...facts, sourceIdentity: null };
}

/** Captured, so that an agent judges its connections. */
export function isEnrolled(workload: Workload | null): boolean {
  return workload?.enrolled === true && !workload.hostNetwork;
}
