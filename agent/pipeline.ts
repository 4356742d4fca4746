import type { Native, NativeError, RelayEnd } from '../native/index.ts';
import type { AcceptedConnection } from './accept/accepted.ts';
import { HoldQueue, type HoldTimers } from './accept/hold.ts';
import type { Limits } from './config/limits.ts';
import { type ForwardHandler, L4Forwarder } from './forward/l4.ts';
import type { Attestation, ConnectionFacts, Path, Reason, Upstream } from './model/connection.ts';
import type { Snapshot } from './model/snapshot.ts';
import type { Observer } from './observe/observer.ts';
import { ConnectionRecord } from './observe/record.ts';
import type { Tally } from './observe/tally.ts';

/** What is to become of a connection, and what that rests on. */
export interface Decision {
  facts: ConnectionFacts;
  path: Path;
  attestation: Attestation;
  reason: Reason;
  policy: string | null;
  audited: readonly string[];
  /** Null: it may not pass. */
  upstream: Upstream | null;
  /** Refused only because something has not arrived yet. */
  hold: boolean;
}

/** Judges connections against a snapshot. No I/O; what it remembers of load and affinity is its own business. */
export interface Judge {
  /** What is known before anything is decided, so that a refusal can be attributed too. */
  begin(accepted: AcceptedConnection, snapshot: Snapshot): ConnectionFacts;
  decide(record: ConnectionRecord, snapshot: Snapshot): Decision;
  /** As `decide`, without the endpoints that failed; null when no other is left. */
  retry(record: ConnectionRecord, snapshot: Snapshot): Decision | null;
  /** For one round over the live connections. */
  review(snapshot: Snapshot): { of(record: ConnectionRecord): Reason | null };
  opened(record: ConnectionRecord): void;
  ended(record: ConnectionRecord): void;
}

export interface PipelineParts {
  native: Pick<Native, 'connect' | 'relay' | 'closeSocket' | 'setSocketOption'>;
  judge: Judge;
  observer: Observer;
  limitHits: Tally;
  limits: Limits;
  timers: HoldTimers;
  onInternalError: (error: unknown) => void;
}

/** A connection's life: accept → admit → decide, perhaps after a wait → forward → observe. */
export class Pipeline implements ForwardHandler<ConnectionRecord> {
  readonly held: HoldQueue<ConnectionRecord>;
  readonly forwarder: L4Forwarder<ConnectionRecord>;
  readonly #parts: PipelineParts;
  readonly #perPod = new Map<string, number>();
  #snapshot: Snapshot;
  #nextId = 1;

  constructor(parts: PipelineParts, snapshot: Snapshot) {
    this.#parts = parts;
    this.#snapshot = snapshot;
    this.forwarder = new L4Forwarder(parts.native, parts.limits, this);
    this.held = new HoldQueue(parts.timers, parts.limits.holdTimeMs, (record) =>
      this.refuse(record, record.reason, ''),
    );
  }

  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  connectionsOf(podUid: string): number {
    return this.#perPod.get(podUid) ?? 0;
  }

  onConnection(accepted: AcceptedConnection): void {
    const { judge, observer, timers } = this.#parts;
    const { pod, source, originalDestination } = accepted;
    const direction = accepted.listener === 'outbound' ? 'outbound' : 'inbound';
    const facts = judge.begin(accepted, this.#snapshot);
    const record = new ConnectionRecord(
      this.#nextId++,
      pod,
      direction,
      source,
      originalDestination,
      facts,
      timers.nowMs(),
    );
    record.flow = this.forwarder.adopt(accepted.fd, record);
    observer.begin(record);
    this.#perPod.set(pod.uid, this.connectionsOf(pod.uid) + 1);
    const refusal = accepted.refusal ?? this.#overLimit(pod.uid);
    if (refusal === null) this.#proceed(record);
    else this.refuse(record, refusal, '');
  }

  /** Decides those that wait once more; live ones are reviewed by `Reviewer`. */
  onSnapshot(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    this.held.wake((record) => this.#proceed(record));
  }

  onOpen(record: ConnectionRecord): void {
    this.#parts.observer.opened(record);
    this.#parts.judge.opened(record);
  }

  onConnectFailed(record: ConnectionRecord, error: NativeError): Upstream | null {
    const { judge, limits, limitHits } = this.#parts;
    const last = record.attempts >= limits.connectAttempts;
    const decision = judge.retry(record, this.#snapshot);
    if (decision !== null && last) limitHits.add('connectAttempts');
    if (decision === null || last) {
      this.refuse(record, error.code === 'ETIMEDOUT' ? 'connect_timeout' : 'connect_failed', error.code);
      return null;
    }
    if (decision.upstream === null) this.refuse(record, decision.reason, '');
    else apply(record, decision);
    return decision.upstream;
  }

  onEnd(record: ConnectionRecord, end: RelayEnd): void {
    this.#finish(record, record.closing ?? END_REASONS[end.cause], end.code);
  }

  /** RST with a reason, in whatever state it is. */
  close(record: ConnectionRecord, reason: Reason): void {
    if (!record.wasOpen) {
      this.refuse(record, reason, '');
      return;
    }
    record.closing ??= reason;
    record.flow?.reset();
  }

  /**
   * RST with a reason to many at once, their clients first: with that nothing passes any more. Their servers come after,
   * and the records are finished from the loop: neither may keep the last client waiting.
   */
  closeMany(records: readonly ConnectionRecord[], reasons: readonly Reason[]): void {
    const cut: ConnectionRecord[] = [];
    for (const [at, record] of records.entries()) {
      const reason = reasons[at] ?? 'internal';
      if (record.closing !== null || !record.flow?.cut()) {
        this.close(record, reason);
        continue;
      }
      record.closing = reason;
      cut.push(record);
    }
    for (const record of cut) record.flow?.reset();
  }

  refuse(record: ConnectionRecord, reason: Reason, errorCode: string): void {
    this.held.delete(record);
    record.flow?.reset();
    this.#finish(record, reason, errorCode);
  }

  #proceed(record: ConnectionRecord): void {
    try {
      const decision = this.#parts.judge.decide(record, this.#snapshot);
      apply(record, decision);
      if (decision.hold) this.#hold(record);
      else if (decision.upstream === null) this.refuse(record, decision.reason, '');
      else this.#forward(record, decision.upstream);
    } catch (error) {
      // One connection that cannot be judged is refused; the others live on.
      this.#parts.onInternalError(error);
      if (record.state !== 'ended') this.refuse(record, 'internal', '');
    }
  }

  #hold(record: ConnectionRecord): void {
    record.state = 'held';
    if (this.held.size < this.#parts.limits.heldConnections) {
      this.held.add(record);
      return;
    }
    this.#parts.limitHits.add('heldConnections');
    this.refuse(record, record.reason, '');
  }

  #forward(record: ConnectionRecord, upstream: Upstream): void {
    record.state = 'connecting';
    if (record.flow?.connect(upstream)) return;
    this.#parts.limitHits.add('pendingConnects');
    this.refuse(record, 'limit_connections', '');
  }

  #overLimit(podUid: string): Reason | null {
    const { limits, limitHits, observer } = this.#parts;
    const pod = this.connectionsOf(podUid) > limits.connectionsPerPod;
    if (!pod && observer.live.size <= limits.connectionsPerAgent) return null;
    limitHits.add(pod ? 'connectionsPerPod' : 'connectionsPerAgent');
    return 'limit_connections';
  }

  #finish(record: ConnectionRecord, reason: Reason, errorCode: string): void {
    const left = this.connectionsOf(record.pod.uid) - 1;
    if (left > 0) this.#perPod.set(record.pod.uid, left);
    else this.#perPod.delete(record.pod.uid);
    this.#parts.judge.ended(record);
    this.#parts.observer.finish(record, reason, errorCode);
  }
}

const END_REASONS = {
  eof: 'ok',
  downstream: 'reset_downstream',
  upstream: 'reset_upstream',
  idle: 'idle_timeout',
  closed: 'internal',
} as const satisfies Record<RelayEnd['cause'], Reason>;

function apply(record: ConnectionRecord, decision: Decision): void {
  record.facts = decision.facts;
  record.path = decision.path;
  record.attestation = decision.attestation;
  record.reason = decision.reason;
  record.policy = decision.policy;
  record.audited = decision.audited;
  record.upstream = decision.upstream?.to ?? null;
  if (decision.upstream !== null) record.attempts++;
}
