import type { BpfMap, Endpoint, NativeError } from '../../native/index.ts';
import { LISTENER_KINDS, type ListenerKind } from '../model/datapath.ts';
import {
  decodePod,
  decodeRewritten,
  decodeSlot,
  decodeTuple,
  decodeU64,
  encodeProbePort,
  encodeSlot,
  encodeTuple,
  encodeU32,
  encodeU64,
  LIMIT,
  LISTENER_INDEX,
  POD_HELD,
  REASONS,
  type ReasonName,
  sumCounters,
  type Tuple,
} from './layout.ts';
import { MAP_NAMES, type MapName } from './objects.ts';

const PRESENT = encodeU32(1);
const ZERO = encodeU32(0);

/** The maps of one agent instance, with typed keys and values. */
export class SharedMaps {
  /** For the loader: what every object is given. */
  readonly all: Readonly<Record<MapName, BpfMap>>;

  constructor(all: Readonly<Record<MapName, BpfMap>>) {
    this.all = all;
  }

  pod(cookie: bigint): { slot: number; flags: number } | null {
    const value = this.all.enrolled.lookup(encodeU64(cookie));
    return value === null ? null : decodePod(value);
  }

  setPod(cookie: bigint, slot: number, held: boolean): void {
    this.all.enrolled.update(encodeU64(cookie), encodeSlot(slot, held ? POD_HELD : 0), 'any');
  }

  deletePod(cookie: bigint): void {
    this.all.enrolled.delete(encodeU64(cookie));
  }

  pods(): { key: Uint8Array; slot: number }[] {
    return this.all.enrolled.entries().map(([key, value]) => ({ key, slot: decodeSlot(value) }));
  }

  /** `pid` says who registered it last, so that a predecessor does not take its successor's entry away. */
  addAgentCgroup(id: bigint, pid: number): void {
    const { agent_cgroups } = this.all;
    try {
      agent_cgroups.update(encodeU64(id), encodeU32(pid), 'any');
    } catch (error) {
      if ((error as NativeError).code !== 'E2BIG') throw error;
      // Killed agents could not take theirs away. Ids grow: the smallest is the oldest.
      const [oldest] = agent_cgroups.entries().sort(([a], [b]) => Number(decodeU64(a) - decodeU64(b)));
      if (oldest !== undefined) agent_cgroups.delete(oldest[0]);
      agent_cgroups.update(encodeU64(id), encodeU32(pid), 'any');
    }
  }

  removeAgentCgroup(id: bigint, pid: number): void {
    const value = this.all.agent_cgroups.lookup(encodeU64(id));
    if (value !== null && decodeSlot(value) === pid) this.all.agent_cgroups.delete(encodeU64(id));
  }

  setListener(slot: number, kind: ListenerKind, fd: number): void {
    this.all.listeners.updateFd(listenerKey(slot, kind), fd);
  }

  clearListeners(slot: number): void {
    for (const kind of LISTENER_KINDS) this.all.listeners.delete(listenerKey(slot, kind));
  }

  setProbePorts(slot: number, ports: ReadonlySet<number>): void {
    const { probe_ports } = this.all;
    for (const port of this.probePorts(slot)) if (!ports.has(port)) probe_ports.delete(encodeProbePort(slot, port));
    for (const port of ports) probe_ports.update(encodeProbePort(slot, port), PRESENT, 'any');
  }

  probePorts(slot: number): number[] {
    const keys = this.all.probe_ports.entries().map(([key]) => decodePod(key));
    return keys.filter((key) => key.slot === slot).map((key) => key.flags & 0xffff);
  }

  isOriginated(tuple: Tuple): boolean {
    return this.all.originated.lookup(encodeTuple(tuple)) !== null;
  }

  setOlder(tuple: Tuple, slot: number): void {
    this.all.older.update(encodeTuple(tuple), encodeSlot(slot, 0), 'any');
  }

  deleteOlder(tuple: Tuple): void {
    this.all.older.delete(encodeTuple(tuple));
  }

  older(slot: number): Tuple[] {
    const entries = this.all.older.entries().filter(([, value]) => decodeSlot(value) === slot);
    return entries.map(([key]) => decodeTuple(key));
  }

  takeRewritten(tuple: Tuple): Endpoint | null {
    const value = this.all.rewritten.lookupAndDelete(encodeTuple(tuple));
    return value === null ? null : decodeRewritten(value).asked;
  }

  /** Entries whose connection never reached the agent. */
  reapRewritten(olderThanNs: bigint): void {
    for (const [key, value] of this.all.rewritten.entries()) {
      if (decodeRewritten(value).sinceNs < olderThanNs) this.all.rewritten.delete(key);
    }
  }

  verdicts(): Record<ReasonName, number> {
    const counts = {} as Record<ReasonName, number>;
    for (const [i, name] of REASONS.entries())
      counts[name] = sumCounters(this.all.verdicts.lookup(encodeU32(i)) ?? ZERO);
    return counts;
  }

  /** Everything that a slot left behind; the next pod with that slot must not find it. */
  clearSlot(slot: number): void {
    this.clearListeners(slot);
    this.setProbePorts(slot, new Set());
    for (const tuple of this.older(slot)) this.deleteOlder(tuple);
  }

  close(): void {
    for (const name of MAP_NAMES) this.all[name].close();
  }
}

function listenerKey(slot: number, kind: ListenerKind): Uint8Array {
  return encodeU32(slot * LIMIT.listenersPerPod + LISTENER_INDEX[kind]);
}
