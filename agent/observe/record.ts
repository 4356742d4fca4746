import type {
  Attestation,
  Candidate,
  ConnectionFacts,
  LocalPod,
  Path,
  Reason,
  SocketAddress,
  Upstream,
} from '../model/connection.ts';
import type { Series } from './series.ts';

/** The sockets behind a record, whatever their state. Counts are zero before it is open and final after its end. */
export interface Flow {
  /** Client to server. */
  bytesSent(): number;
  /** Server to client. */
  bytesReceived(): number;
  /** False when too many connects are under way. */
  connect(upstream: Upstream): boolean;
  /** RST to the client; no byte passes any more, and `reset` must follow. False: not open, nothing has changed. */
  cut(): boolean;
  /** RST to whoever is connected. */
  reset(): void;
}

export type ConnectionState = 'accepted' | 'held' | 'connecting' | 'open' | 'ended' | 'pre-enrolment';

/**
 * All that is known of one connection, from accept to end. Plain fields and no closures: tens of thousands stay in
 * memory while nothing happens on them.
 */
export class ConnectionRecord {
  readonly id: number;
  readonly pod: LocalPod;
  readonly direction: 'inbound' | 'outbound';
  readonly source: SocketAddress;
  /** What the client asked for. */
  readonly originalDestination: SocketAddress;
  /** Monotonic milliseconds. */
  readonly startedMs: number;
  /** Renewed whenever the connection is decided again, so that no old snapshot is kept alive. */
  facts: ConnectionFacts;
  state: ConnectionState = 'accepted';
  path: Path = 'Passthrough';
  attestation: Attestation = 'none';
  /** Where the bytes went; null until an endpoint was chosen. */
  upstream: SocketAddress | null = null;
  /** The deciding policy, `namespace/name`. */
  policy: string | null = null;
  audited: readonly string[] = NONE;
  reason: Reason = 'ok';
  /** Name of the system call's error, such as `ECONNREFUSED`; empty when there was none. */
  errorCode = '';
  holdUntilMs = 0;
  attempts = 0;
  /** The endpoint in use; null until one was picked, and inbound. */
  candidate: Candidate | null = null;
  /** Keys of the endpoints whose connect failed; null: none, the usual case. */
  failed: Set<string> | null = null;
  flow: Flow | null = null;
  /** Bytes could flow at some time; otherwise it was refused. */
  wasOpen = false;
  /** Why the agent itself is closing it; the end that follows carries it. */
  closing: Reason | null = null;
  /** Already in the metrics, so that each byte is counted once. */
  sentCounted = 0;
  receivedCounted = 0;
  /** Series of `reporter="source"` and `reporter="destination"`; a same-node connection has both. */
  sourceSeries: Series | null = null;
  destinationSeries: Series | null = null;

  constructor(
    id: number,
    pod: LocalPod,
    direction: 'inbound' | 'outbound',
    source: SocketAddress,
    originalDestination: SocketAddress,
    facts: ConnectionFacts,
    startedMs: number,
  ) {
    this.id = id;
    this.pod = pod;
    this.direction = direction;
    this.source = source;
    this.originalDestination = originalDestination;
    this.facts = facts;
    this.startedMs = startedMs;
  }
}

const NONE: readonly string[] = Object.freeze([]);
