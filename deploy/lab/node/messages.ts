/** What the supervisor and a node process tell each other over the IPC channel. */
import type { PodStatus } from '../cluster/objects.ts';
import type { Change } from '../cluster/store.ts';

/** The first batch holds all objects. */
export interface ToNode {
  changes: Change[];
}

export type FromNode =
  /** DNS and the like are up. */
  | { type: 'ready' }
  | { type: 'status'; namespace: string; name: string; uid: string; status: PodStatus; addresses: readonly string[] }
  /** Nothing of the pod is left on the node. */
  | { type: 'gone'; namespace: string; name: string; uid: string };
