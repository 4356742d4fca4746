import type { Ports } from '../load.ts';

/** Where the load goes, and whose CPU and memory count. */
export interface Peer {
  name: string;
  address: string;
  ports: Ports;
  /** Of the proxy; none where there is no proxy. */
  pids: readonly number[];
  /** Command line that runs `command` where the client is. */
  client(command: readonly string[]): [string, ...string[]];
  stop(): Promise<void>;
}

/** A peer that cannot be had on this machine; the message is shown in the table. */
export class PeerUnavailable extends Error {}
