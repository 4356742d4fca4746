import { pathTo } from './decide/endpoints.ts';
import { judgeAtSource, judgeInbound } from './decide/judge.ts';
import type { ConnectionFacts, LocalPod, SocketAddress, Verdict } from './model/connection.ts';
import { localWorkload } from './model/local-workload.ts';
import type { Snapshot } from './model/snapshot.ts';
import { addressText } from './observe/fields.ts';

/** A connection that was open before its pod was enrolled; `local` is the pod's end. */
export interface OlderConnection {
  local: SocketAddress;
  remote: SocketAddress;
  direction: 'inbound' | 'outbound';
}

/** The part of `redirect/` that lists, lets live and destroys them. */
export interface OlderSource {
  olderConnections(uid: string): OlderConnection[];
  /** Keeps those for which `judge` is true and destroys the others. */
  judgeOlder(uid: string, judge: (connection: OlderConnection) => boolean): { kept: number; closed: number };
}

export interface OlderParts {
  source: OlderSource;
  /** How long one may go on while its policies are not complete. */
  holdTimeMs: number;
  monotonicMs: () => number;
  onClosed: (pod: LocalPod, connection: OlderConnection, verdict: Verdict) => void;
}

/**
 * Connections that never pass the listeners because they were there first. They go on while the policies of both ends
 * permit them, judged by address, which is all that is known of them.
 */
export class OlderConnections {
  /** Since start; read at scrape. */
  closed = 0;
  readonly #parts: OlderParts;
  readonly #pods = new Map<string, { pod: LocalPod; untilMs: number; timer: NodeJS.Timeout }>();
  #snapshot: Snapshot;

  constructor(parts: OlderParts, snapshot: Snapshot) {
    this.#parts = parts;
    this.#snapshot = snapshot;
  }

  onEnrolled(pod: LocalPod): void {
    this.onUnenrolling(pod);
    const { holdTimeMs, monotonicMs } = this.#parts;
    // Once more when the patience with what has not arrived is over.
    const timer = setTimeout(() => this.#review(pod.uid), holdTimeMs + 1);
    timer.unref();
    this.#pods.set(pod.uid, { pod, untilMs: monotonicMs() + holdTimeMs, timer });
    this.#review(pod.uid);
  }

  onUnenrolling(pod: LocalPod): void {
    clearTimeout(this.#pods.get(pod.uid)?.timer);
    this.#pods.delete(pod.uid);
  }

  onSnapshot(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    for (const uid of this.#pods.keys()) this.#review(uid);
  }

  /** As `/connections` shows them. */
  list(): Record<string, unknown>[] {
    return [...this.#pods.values()].flatMap(({ pod }) =>
      this.#parts.source.olderConnections(pod.uid).map((connection) => {
        const { source, destination } = factsOf(pod, connection, this.#snapshot);
        const local = addressText(connection.local.address, connection.local.port);
        const remote = addressText(connection.remote.address, connection.remote.port);
        const [from, to] = connection.direction === 'outbound' ? [local, remote] : [remote, local];
        return {
          'src.addr': from,
          'src.workload': source?.name ?? null,
          'src.namespace': source?.namespace ?? null,
          'dst.addr': to,
          'dst.workload': destination?.name ?? null,
          'dst.namespace': destination?.namespace ?? null,
          direction: connection.direction,
          attested: 'address',
          state: 'pre-enrolment',
          pod: `${pod.namespace}/${pod.name}`,
        };
      }),
    );
  }

  #review(uid: string): void {
    const entry = this.#pods.get(uid);
    if (entry === undefined) return;
    const patient = this.#parts.monotonicMs() < entry.untilMs;
    const outcome = this.#parts.source.judgeOlder(uid, (connection) => {
      const verdict = judge(entry.pod, connection, this.#snapshot);
      const waits = verdict.reason === 'awaiting_policy' || verdict.reason === 'awaiting_workload';
      const goesOn = verdict.allowed || (waits && patient);
      if (!goesOn) this.#parts.onClosed(entry.pod, connection, verdict);
      return goesOn;
    });
    this.closed += outcome.closed;
  }
}

function judge(pod: LocalPod, connection: OlderConnection, snapshot: Snapshot): Verdict {
  const facts = factsOf(pod, connection, snapshot);
  if (connection.direction === 'inbound') return judgeInbound(facts, snapshot);
  const path = facts.source === null ? 'Passthrough' : pathTo(facts.source, facts.destination);
  return judgeAtSource(facts, path, snapshot);
}

function factsOf(pod: LocalPod, { local, remote, direction }: OlderConnection, snapshot: Snapshot): ConnectionFacts {
  const [from, to] = direction === 'outbound' ? [local, remote] : [remote, local];
  const own = localWorkload(pod, snapshot);
  const other = snapshot.workloadByAddress.get(remote.address) ?? null;
  const [source, destination] = direction === 'outbound' ? [own, other] : [other, own];
  const service = direction === 'outbound' ? (snapshot.serviceByAddress.get(to.address) ?? null) : null;
  return {
    source,
    sourceIdentity: source === null || source.hostNetwork ? null : source.identity,
    sourceAddress: from.address,
    destination,
    destinationAddress: to.address,
    destinationPort: to.port,
    service,
    servicePort: service === null ? 0 : to.port,
  };
}
