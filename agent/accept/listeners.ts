import type { Listener, Native, NativeError } from '../../native/index.ts';
import type { Limits } from '../config/limits.ts';
import { AGENT_PORTS, type LocalPod } from '../model/connection.ts';
import { LISTENER_KINDS, type ListenerKind } from '../model/datapath.ts';
import { keepaliveOptions } from '../model/keepalive.ts';
import { type AcceptedConnection, checkAccepted } from './accepted.ts';

type AcceptSockets = Pick<Native, 'listen' | 'setSocketOption'>;
type AcceptLimits = Pick<
  Limits,
  'acceptBatchConnections' | 'listenBacklogConnections' | 'keepaliveTimeMs' | 'keepaliveIntervalMs' | 'keepaliveProbes'
>;

export interface AcceptHandler {
  onConnection(connection: AcceptedConnection): void;
  /** Accepting paused, such as for want of descriptors; it resumes by itself. */
  onAcceptError(pod: LocalPod, listener: ListenerKind, error: NativeError): void;
}

/** The three listening sockets inside one enrolled pod. */
export class PodListeners {
  /** Ports on which the agent listens in this pod, the well-known ones among them even when they were taken. */
  readonly ports: ReadonlySet<number>;
  readonly #listeners: Readonly<Record<ListenerKind, Listener>>;

  private constructor(listeners: Readonly<Record<ListenerKind, Listener>>, ports: ReadonlySet<number>) {
    this.#listeners = listeners;
    this.ports = ports;
  }

  /** Opens all three or none. Throws `NativeError`. Needs CAP_SYS_ADMIN (setns) and CAP_NET_ADMIN (transparent). */
  static open(native: AcceptSockets, pod: LocalPod, limits: AcceptLimits, handler: AcceptHandler): PodListeners {
    const ports = new Set<number>(Object.values(AGENT_PORTS));
    const opened: Partial<Record<ListenerKind, Listener>> = {};
    try {
      for (const kind of LISTENER_KINDS) {
        const listener = listen(native, pod, kind, limits, ports, handler);
        opened[kind] = listener;
        for (const option of keepaliveOptions(limits)) native.setSocketOption(listener.fd, ...option);
        ports.add(listener.port);
      }
    } catch (error) {
      for (const listener of Object.values(opened)) listener.close();
      throw error;
    }
    return new PodListeners(opened as Record<ListenerKind, Listener>, ports);
  }

  /** Descriptors for the steer map. */
  descriptors(): Record<ListenerKind, number> {
    const { outbound, inbound, hbone } = this.#listeners;
    return { outbound: outbound.fd, inbound: inbound.fd, hbone: hbone.fd };
  }

  close(): void {
    for (const kind of LISTENER_KINDS) this.#listeners[kind].close();
  }
}

function listen(
  native: AcceptSockets,
  pod: LocalPod,
  kind: ListenerKind,
  limits: AcceptLimits,
  ownPorts: ReadonlySet<number>,
  handler: AcceptHandler,
): Listener {
  const open = (port: number): Listener =>
    native.listen(
      { netns: pod.netns, address: '::', port, backlog: limits.listenBacklogConnections, transparent: true },
      limits.acceptBatchConnections,
      (accepted) =>
        handler.onConnection({
          fd: accepted.fd,
          pod,
          listener: kind,
          originalDestination: accepted.local,
          source: accepted.remote,
          refusal: checkAccepted(accepted, kind, ownPorts),
        }),
      (error) => handler.onAcceptError(pod, kind, error),
    );
  try {
    return open(AGENT_PORTS[kind]);
  } catch (error) {
    // An app, or the predecessor during an upgrade, sits on the port. Steer goes by socket, so any port will do.
    if ((error as NativeError).code !== 'EADDRINUSE') throw error;
    return open(0);
  }
}
