import type { Connector, Native, NativeError, Relay, RelayEnd } from '../../native/index.ts';
import type { Limits } from '../config/limits.ts';
import type { Upstream } from '../model/connection.ts';
import { keepaliveOptions, type SocketOption } from '../model/keepalive.ts';

/** Told of each step of a flow; `context` is whatever the flow was made with. */
export interface ForwardHandler<C> {
  onOpen(context: C): void;
  /** No endpoint could be reached; the next one to try, or null to give up (the handler then resets the flow). */
  onConnectFailed(context: C, error: NativeError): Upstream | null;
  /** Exactly once for each flow that was open. */
  onEnd(context: C, end: RelayEnd): void;
}

type Sockets = Pick<Native, 'connect' | 'relay' | 'closeSocket' | 'setSocketOption'>;
type ForwardLimits = Pick<
  Limits,
  | 'pendingConnects'
  | 'connectTimeoutMs'
  | 'relayBufferBytes'
  | 'idleTimeoutMs'
  | 'keepaliveTimeMs'
  | 'keepaliveIntervalMs'
  | 'keepaliveProbes'
>;

/** Copies bytes between accepted sockets and upstreams that it opens. */
export class L4Forwarder<C> {
  /** Upstream connects under way. */
  pendingConnects = 0;
  readonly native: Sockets;
  readonly limits: ForwardLimits;
  readonly handler: ForwardHandler<C>;
  /** For upstreams; what is accepted has them from its listener. */
  readonly keepalive: readonly SocketOption[];

  constructor(native: Sockets, limits: ForwardLimits, handler: ForwardHandler<C>) {
    this.native = native;
    this.limits = limits;
    this.handler = handler;
    this.keepalive = keepaliveOptions(limits);
  }

  /** Takes over `downstream`. Nothing is read from it before an upstream is open. */
  adopt(downstream: number, context: C): L4Flow<C> {
    return new L4Flow(this, downstream, context);
  }
}

/** One connection's two sockets, whatever its state; always resettable. */
export class L4Flow<C> {
  readonly #forwarder: L4Forwarder<C>;
  readonly #context: C;
  #downstream: number;
  #connector: Connector | null = null;
  #relay: Relay | null = null;
  #sent = 0;
  #received = 0;

  constructor(forwarder: L4Forwarder<C>, downstream: number, context: C) {
    this.#forwarder = forwarder;
    this.#downstream = downstream;
    this.#context = context;
  }

  /** False when too many connects are under way; the caller then resets it. */
  connect(upstream: Upstream): boolean {
    if (this.#forwarder.pendingConnects >= this.#forwarder.limits.pendingConnects) return false;
    this.#open(upstream);
    return true;
  }

  /** Client to server. */
  bytesSent(): number {
    return this.#relay?.bytesSent() ?? this.#sent;
  }

  /** Server to client. */
  bytesReceived(): number {
    return this.#relay?.bytesReceived() ?? this.#received;
  }

  /** RST to the client, and no byte passes any more; `reset` must follow. False when it is not open. */
  cut(): boolean {
    this.#relay?.cut();
    return this.#relay !== null;
  }

  /** RST to whoever is connected. `onEnd` follows when the flow was open. */
  reset(): void {
    if (this.#relay !== null) {
      this.#relay.close('reset');
      return;
    }
    if (this.#connector !== null) {
      this.#connector.cancel();
      this.#connector = null;
      this.#forwarder.pendingConnects--;
    }
    if (this.#downstream >= 0) this.#forwarder.native.closeSocket(this.#downstream, true);
    this.#downstream = -1;
  }

  #open(upstream: Upstream): void {
    const { native, limits } = this.#forwarder;
    this.#forwarder.pendingConnects++;
    this.#connector = native.connect(
      {
        netns: upstream.netns,
        to: upstream.to,
        from: upstream.from,
        transparent: upstream.from !== null,
        mark: upstream.mark,
        timeoutMs: limits.connectTimeoutMs,
      },
      (error, fd) => this.#connected(error, fd),
    );
  }

  #connected(error: NativeError | null, fd: number): void {
    const { handler } = this.#forwarder;
    this.#connector = null;
    this.#forwarder.pendingConnects--;
    if (error === null) {
      this.#relayTo(fd);
      return;
    }
    const next = handler.onConnectFailed(this.#context, error);
    // The place among the pending connects that has just become free is taken again.
    if (next !== null) this.#open(next);
  }

  #relayTo(upstream: number): void {
    const { native, limits, handler } = this.#forwarder;
    const options = { bufferBytes: limits.relayBufferBytes, idleTimeoutMs: limits.idleTimeoutMs };
    const downstream = this.#downstream;
    this.#downstream = -1;
    for (const [level, name, value] of this.#forwarder.keepalive) native.setSocketOption(upstream, level, name, value);
    this.#relay = native.relay(downstream, upstream, options, (end) => this.#ended(end));
    handler.onOpen(this.#context);
  }

  #ended(end: RelayEnd): void {
    this.#sent = end.bytesSent;
    this.#received = end.bytesReceived;
    this.#relay = null;
    this.#forwarder.handler.onEnd(this.#context, end);
  }
}
