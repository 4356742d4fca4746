import { readdirSync, readlinkSync } from 'node:fs';
import type { Native, NetnsFd, TcpSocket } from '../../native/index.ts';
import { canonicalAddress } from '../model/address.ts';
import { MARK } from '../model/datapath.ts';
import type { Tuple } from './layout.ts';
import type { SharedMaps } from './maps.ts';
import type { OlderConnection, OlderJudge, OlderOutcome } from './types.ts';

/** From include/net/tcp_states.h. */
const STATE = Object.freeze({ synSent: 2, synReceived: 3, listen: 10, newSynReceived: 12 });
/** All but LISTEN, and TIME_WAIT (6) and CLOSE (7), which belong to no app any more. */
const LIVE_STATES = 0b1_1011_0011_1110;

type Diag = Pick<Native, 'listTcpSockets' | 'destroySocket'>;

/** The connections of one pod that were open before its enrolment, as `older` in the kernel knows them. */
export class OlderTable {
  readonly #native: Diag;
  readonly #maps: SharedMaps;
  readonly #netns: NetnsFd;
  readonly #slot: number;
  readonly #own: ReadonlySet<string>;
  /** What `older` in the kernel holds for this pod: reading the whole map for each pod at each policy change is dear. */
  readonly #tuples = new Map<string, Tuple>();

  constructor(native: Diag, maps: SharedMaps, netns: NetnsFd, slot: number, addresses: readonly string[]) {
    this.#native = native;
    this.#maps = maps;
    this.#netns = netns;
    this.#slot = slot;
    this.#own = new Set(addresses.map((address) => canonicalAddress(address) ?? address));
  }

  /** Goes on with what a predecessor let live. */
  load(): void {
    for (const tuple of this.#maps.older(this.#slot)) this.#tuples.set(keyOf(tuple), tuple);
  }

  get size(): number {
    return this.#tuples.size;
  }

  /**
   * Lets what is open now go on for the moment, so that nothing stalls while guard is attached. Returns how many were
   * over `limit` and are left out: guard drops them.
   */
  admitAll(limit: number): number {
    const wire = this.#onTheWire();
    this.#tuples.clear();
    for (const socket of wire.slice(0, limit)) this.#admit(socket);
    return Math.max(0, wire.length - limit);
  }

  /**
   * Once every new connection is captured: what was opened between `admitAll` and guard is older, too, within `limit`.
   * The rest is closed, since guard drops it, rather than left to time out. A handshake still under way has no mark and
   * would be retried past the capture until the app gives up. Returns how many were closed.
   */
  closeTheRest(limit: number): number {
    const rest = this.#onTheWire().filter(
      // A marked one is captured, and only waits for a listener.
      (socket) => socket.mark !== MARK.capture && (isOpening(socket) || !this.#tuples.has(keyOf(socket))),
    );
    let closed = 0;
    for (const socket of rest) {
      if (!isOpening(socket) && this.size < limit) this.#admit(socket);
      else if (this.#destroy(socket)) closed++;
    }
    return closed;
  }

  list(): OlderConnection[] {
    if (this.size === 0) return [];
    return this.#describe(this.#sockets().filter((socket) => this.#tuples.has(keyOf(socket))));
  }

  /** Closes those that `judge` refuses and forgets those that have ended. */
  judge(judge: OlderJudge): OlderOutcome {
    if (this.size === 0) return { kept: 0, closed: 0 };
    const sockets = new Map(this.#sockets().map((socket) => [keyOf(socket), socket]));
    const described = new Map(this.#describe([...sockets.values()]).map((each) => [keyOf(each), each]));
    const outcome = { kept: 0, closed: 0 };
    for (const [key, tuple] of this.#tuples) {
      const socket = sockets.get(key);
      const connection = described.get(key);
      if (socket === undefined || connection === undefined) {
        this.#forget(tuple);
      } else if (judge(connection)) {
        outcome.kept++;
      } else {
        this.#destroy(socket);
        outcome.closed++;
      }
    }
    return outcome;
  }

  /** Entries of connections that have ended: a new one must not pass for an old one. */
  reap(): number {
    if (this.size === 0) return 0;
    const alive = new Set(this.#sockets().map(keyOf));
    const ended = [...this.#tuples].filter(([key]) => !alive.has(key));
    for (const [, tuple] of ended) this.#forget(tuple);
    return ended.length;
  }

  /** Connections between the agent and the pod's apps: both ends are in this namespace, and need the pod's routes. */
  capturedCount(): number {
    const sockets = this.#sockets();
    const keys = new Set(sockets.map(keyOf));
    return sockets.filter((socket) => this.#isForeign(socket) && keys.has(mirrorOf(socket))).length / 2;
  }

  /** Its RST must pass guard, so the entry goes last. */
  #destroy(socket: TcpSocket): boolean {
    this.#admit(socket);
    try {
      return this.#native.destroySocket(this.#netns, socket);
    } finally {
      this.#forget(socket);
    }
  }

  #admit({ local, remote }: Tuple): void {
    const tuple = { local, remote };
    this.#maps.setOlder(tuple, this.#slot);
    this.#tuples.set(keyOf(tuple), tuple);
  }

  #forget(tuple: Tuple): void {
    this.#maps.deleteOlder(tuple);
    this.#tuples.delete(keyOf(tuple));
  }

  #onTheWire(): TcpSocket[] {
    const sockets = this.#sockets();
    const keys = new Set(sockets.map(keyOf));
    const wire = sockets.filter(
      (socket) => this.#isForeign(socket) && !keys.has(mirrorOf(socket)) && !this.#maps.isOriginated(socket),
    );
    if (wire.length === 0) return wire;
    // The agent's own, from an enrolment before this one.
    const own = ownSockets();
    return wire.filter((socket) => socket.inode === 0 || !own.has(socket.inode));
  }

  /** Not of the pod with itself. */
  #isForeign({ local, remote }: TcpSocket): boolean {
    return !(this.#isOwn(local.address) && this.#isOwn(remote.address));
  }

  #isOwn(address: string): boolean {
    return this.#own.has(address) || address === '::1' || address.startsWith('127.');
  }

  #sockets(): TcpSocket[] {
    return this.#native.listTcpSockets(this.#netns, LIVE_STATES);
  }

  #describe(sockets: readonly TcpSocket[]): OlderConnection[] {
    const listening = new Set(
      this.#native.listTcpSockets(this.#netns, 1 << STATE.listen).map((socket) => socket.local.port),
    );
    return sockets.map(({ local, remote, inode }) => ({
      local,
      remote,
      direction: listening.has(local.port) ? 'inbound' : 'outbound',
      inode,
    }));
  }
}

function isOpening({ state }: TcpSocket): boolean {
  return state === STATE.synSent || state === STATE.synReceived || state === STATE.newSynReceived;
}

function keyOf({ local, remote }: Tuple): string {
  return `${local.address}|${local.port}|${remote.address}|${remote.port}`;
}

function mirrorOf({ local, remote }: Tuple): string {
  return keyOf({ local: remote, remote: local });
}

function ownSockets(): ReadonlySet<number> {
  const inodes = new Set<number>();
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
      if (inode !== undefined) inodes.add(Number(inode));
    } catch {
      // Closed since the directory was read.
    }
  }
  return inodes;
}
