import type { AcceptedConnection } from './accept/accepted.ts';
import { type Balancer, endpointKey } from './balance/balancer.ts';
import { judgeAtSource, judgeInbound } from './decide/judge.ts';
import { decideOutbound, factsOf, type OutboundRequest } from './decide/outbound.ts';
import type { ConnectionFacts, LocalPod, Path, Reason, SocketAddress, Upstream, Verdict } from './model/connection.ts';
import { MARK } from './model/datapath.ts';
import { localWorkload } from './model/local-workload.ts';
import type { Snapshot } from './model/snapshot.ts';
import type { Service, Workload } from './model/workload.ts';
import type { ConnectionRecord } from './observe/record.ts';
import type { Decision, Judge } from './pipeline.ts';
import { Review } from './review.ts';

const NONE_FAILED: ReadonlySet<string> = new Set();

/** Joins `decide/`, which is pure, with the balancer and with what is known of this node. */
export class NodeJudge implements Judge {
  readonly #node: string;
  readonly #balancer: Balancer;

  constructor(node: string, balancer: Balancer) {
    this.#node = node;
    this.#balancer = balancer;
  }

  begin(accepted: AcceptedConnection, snapshot: Snapshot): ConnectionFacts {
    const { pod, source, originalDestination } = accepted;
    return accepted.listener === 'outbound'
      ? unjudged(localWorkload(pod, snapshot), source.address, originalDestination)
      : this.#inboundFacts(pod, source, originalDestination, snapshot);
  }

  decide(record: ConnectionRecord, snapshot: Snapshot): Decision {
    return record.direction === 'outbound' ? this.#outbound(record, snapshot) : this.#inbound(record, snapshot);
  }

  retry(record: ConnectionRecord, snapshot: Snapshot): Decision | null {
    const { candidate } = record;
    if (candidate === null) return null;
    this.#balancer.connectFailed(candidate);
    this.ended(record);
    if (record.facts.service === null) return null;
    record.failed ??= new Set();
    record.failed.add(endpointKey(candidate));
    const decision = this.#outbound(record, snapshot);
    return decision.reason === 'no_healthy_endpoint' || decision.hold ? null : decision;
  }

  review(snapshot: Snapshot): Review {
    return new Review(snapshot);
  }

  opened(record: ConnectionRecord): void {
    if (record.candidate !== null) this.#balancer.connectSucceeded(record.candidate);
  }

  ended(record: ConnectionRecord): void {
    if (record.candidate === null) return;
    this.#balancer.closed(record.candidate);
    record.candidate = null;
  }

  #outbound(record: ConnectionRecord, snapshot: Snapshot): Decision {
    const { pod } = record;
    const request: OutboundRequest = {
      source: localWorkload(pod, snapshot),
      sourceAddress: record.source.address,
      destination: record.originalDestination,
    };
    const decision = decideOutbound(request, snapshot);
    if (decision.action === 'refuse') {
      const facts = unjudged(request.source, request.sourceAddress, request.destination);
      facts.service = decision.service;
      facts.servicePort = decision.servicePort;
      return refusal(facts, 'Passthrough', decision.reason);
    }
    const { service, servicePort } = decision;
    const client = { address: record.source.address, service, servicePort };
    const candidate = this.#balancer.pick(decision.candidates, record.failed ?? NONE_FAILED, client);
    if (candidate === null) return refusal(record.facts, 'Passthrough', 'no_healthy_endpoint');
    const facts = factsOf(request, decision, candidate);
    const { path } = candidate;
    const verdict = judgeAtSource(facts, path, snapshot);
    if (verdict.allowed) {
      record.candidate = candidate;
      this.#balancer.opened(candidate);
    }
    const mark = path === 'SameNode' ? MARK.direct : 0;
    return judged(facts, path, 'netns', verdict, { netns: pod.netns, to: candidate, from: null, mark });
  }

  #inbound(record: ConnectionRecord, snapshot: Snapshot): Decision {
    const { pod, source, originalDestination: to } = record;
    const facts = this.#inboundFacts(pod, source, to, snapshot);
    const from = { address: source.address, port: 0 };
    const attestation = facts.sourceIdentity === null ? 'none' : 'address';
    return judged(facts, 'ToApp', attestation, judgeInbound(facts, snapshot), {
      netns: pod.netns,
      to,
      from,
      mark: MARK.toApp,
    });
  }

  /**
   * Until certificates prove it, an enrolled workload of another node is known by its address. An address of this node
   * is not: what its pods send is recorded by the agent and never gets here, so whoever uses it has forged it.
   */
  #inboundFacts(pod: LocalPod, from: SocketAddress, to: SocketAddress, snapshot: Snapshot): ConnectionFacts {
    const source = snapshot.workloadByAddress.get(from.address) ?? null;
    const destination = localWorkload(pod, snapshot);
    const known = source?.enrolled && !source.hostNetwork && source.node !== '' && source.node !== this.#node;
    return {
      source,
      sourceIdentity: known ? source.identity : null,
      sourceAddress: from.address,
      destination,
      destinationAddress: to.address,
      destinationPort: to.port,
      service: destination === null ? null : serviceOn(destination, to.port, snapshot),
      servicePort: 0,
    };
  }
}

function judged(
  facts: ConnectionFacts,
  path: Path,
  attestation: Decision['attestation'],
  verdict: Verdict,
  upstream: Upstream,
): Decision {
  const { allowed, reason, policy, audited } = verdict;
  return {
    facts,
    path,
    attestation,
    reason,
    policy,
    audited,
    upstream: allowed ? upstream : null,
    hold: isAwaiting(reason),
  };
}

function refusal(facts: ConnectionFacts, path: Path, reason: Reason): Decision {
  return {
    facts,
    path,
    attestation: 'netns',
    reason,
    policy: null,
    audited: [],
    upstream: null,
    hold: isAwaiting(reason),
  };
}

function unjudged(source: Workload | null, sourceAddress: string, to: SocketAddress): ConnectionFacts {
  return {
    source,
    sourceIdentity: source?.identity ?? null,
    sourceAddress,
    destination: null,
    destinationAddress: to.address,
    destinationPort: to.port,
    service: null,
    servicePort: 0,
  };
}

/** For telemetry only: the first Service that has this port of the workload, as ztunnel guesses it. */
function serviceOn(workload: Workload, port: number, snapshot: Snapshot): Service | null {
  for (const [key, ports] of workload.services) {
    for (const target of ports.values()) if (target === port) return snapshot.services.get(key) ?? null;
  }
  return null;
}

function isAwaiting(reason: Reason): boolean {
  return reason === 'awaiting_policy' || reason === 'awaiting_workload';
}
