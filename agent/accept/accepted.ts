import type { Accepted } from '../../native/index.ts';
import type { LocalPod, Reason, SocketAddress } from '../model/connection.ts';
import { type ListenerKind, MARK } from '../model/datapath.ts';

/** A connection that steer handed to one of a pod's listeners; whoever receives it owns `fd`. */
export interface AcceptedConnection {
  fd: number;
  pod: LocalPod;
  listener: ListenerKind;
  /** What the client asked for: the local end of the accepted socket. */
  originalDestination: SocketAddress;
  source: SocketAddress;
  /** Not null: it must be refused before anything is decided. */
  refusal: Reason | null;
}

/**
 * The checks that need nothing but the socket. The mark tells where a connection came from: CAPTURE from the pod's own
 * app, none from the wire; TOAPP and DIRECT are the agent's, so seeing one here means that it would talk to itself.
 */
export function checkAccepted(
  accepted: Accepted,
  listener: ListenerKind,
  ownPorts: ReadonlySet<number>,
): Reason | null {
  if (accepted.mark !== (listener === 'outbound' ? MARK.capture : 0)) return 'loop';
  if (listener !== 'hbone') return ownPorts.has(accepted.local.port) ? 'self_call' : null;
  // A peer's tunnel could not be authenticated, so nothing on this port may pass.
  return 'awaiting_identity';
}
