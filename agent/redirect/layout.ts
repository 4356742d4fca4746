import type { Endpoint } from '../../native/index.ts';
import { formatAddress, parseAddress } from '../model/address.ts';

/** The user half of `bpf/include/aquifer.h`, little-endian; `test/bpf/layout.test.ts` compares the two through BTF. */
export const LIMIT = Object.freeze({ pods: 4096, connections: 262_144, addresses: 8, listenersPerPod: 4 });
export const SLOT_NONE = 0xffff_ffff;
export const POD_HELD = 1;
export const ORIGIN = Object.freeze({ agent: 1, node: 2 });
export const LISTENER_INDEX = Object.freeze({ outbound: 0, inbound: 1, hbone: 2 });

/** `enum aq_reason` in its order, without the prefix: the names of `verdicts()`. */
export const REASONS = Object.freeze([
  'PASS_CAPTURED',
  'PASS_LOOPBACK',
  'PASS_RECORDED',
  'PASS_PROBE',
  'STEER_OUTBOUND',
  'STEER_INBOUND',
  'STEER_HBONE',
  'DROP_BOUND_DEVICE',
  'DROP_LINK_LOCAL',
  'DROP_MARK_FAILED',
  'DROP_AGENT_PORT',
  'DROP_NOT_MINE',
  'DROP_NO_LISTENER',
  'DROP_ASSIGN_FAILED',
  'DROP_UNCAPTURED_EGRESS',
  'DROP_UNCAPTURED_INGRESS',
  'DROP_PROTOCOL',
  'DROP_RECORD_FAILED',
  'DROP_MALFORMED',
  'DROP_HELD',
  'DROP_REWRITE_FAILED',
  'PASS_AGENT',
  'PACKET_LOOPBACK',
  'PACKET_DATAGRAM',
  'PACKET_RECORDED',
  'PACKET_OLDER',
  'PACKET_AGENT',
  'NOTE_REWRITTEN',
  'EVENT_SUPPRESSED',
  'EVENT_LOST',
] as const);

export type ReasonName = (typeof REASONS)[number];

/** Offsets and sizes in bytes, by member. */
export const STRUCTS = Object.freeze({
  aq_tuple: { size: 36, members: { local_addr: 0, remote_addr: 16, local_port: 32, remote_port: 34 } },
  aq_pod: { size: 8, members: { slot: 0, flags: 4 } },
  aq_origin: { size: 16, members: { kind: 0, reserved: 4, since_ns: 8 } },
  aq_older: { size: 8, members: { slot: 0, reserved: 4 } },
  aq_probe_port: { size: 8, members: { slot: 0, port: 4, reserved: 6 } },
  aq_asked: { size: 24, members: { addr: 0, port: 16, reserved: 18, seen: 20 } },
  aq_rewritten: { size: 32, members: { asked: 0, since_ns: 24 } },
  aq_event: {
    size: 72,
    members: { time_ns: 0, netns_cookie: 8, tuple: 16, slot: 52, reason: 56, protocol: 60, reserved: 64 },
  },
});

/** A connection as the pod sees it. */
export interface Tuple {
  local: Endpoint;
  remote: Endpoint;
}

/** Sixteen bytes, IPv4 v4-mapped. Throws `RangeError` for what is no address. */
export function encodeAddress(text: string): Uint8Array {
  const bytes = parseAddress(text);
  if (bytes === null) throw new RangeError(`not an IP address: ${text}`);
  if (bytes.length === 16) return bytes;
  const mapped = new Uint8Array(16);
  mapped.set([0xff, 0xff], 10);
  mapped.set(bytes, 12);
  return mapped;
}

export function decodeAddress(bytes: Uint8Array): string {
  const text = formatAddress(bytes);
  if (text === null) throw new RangeError(`an address has 16 bytes, not ${bytes.length}`);
  return text;
}

export function encodeU32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return bytes;
}

export function encodeU64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  viewOf(bytes).setBigUint64(0, value, true);
  return bytes;
}

export function decodeU64(bytes: Uint8Array): bigint {
  return viewOf(bytes).getBigUint64(0, true);
}

export function encodeTuple(tuple: Tuple): Uint8Array {
  const bytes = new Uint8Array(STRUCTS.aq_tuple.size);
  bytes.set(encodeAddress(tuple.local.address), 0);
  bytes.set(encodeAddress(tuple.remote.address), 16);
  viewOf(bytes).setUint16(32, tuple.local.port, true);
  viewOf(bytes).setUint16(34, tuple.remote.port, true);
  return bytes;
}

export function decodeTuple(bytes: Uint8Array): Tuple {
  const view = viewOf(bytes);
  return {
    local: { address: decodeAddress(bytes.subarray(0, 16)), port: view.getUint16(32, true) },
    remote: { address: decodeAddress(bytes.subarray(16, 32)), port: view.getUint16(34, true) },
  };
}

/** `struct aq_pod`, `struct aq_older`: two words, the first the slot. */
export function encodeSlot(slot: number, second: number): Uint8Array {
  const bytes = new Uint8Array(8);
  viewOf(bytes).setUint32(0, slot, true);
  viewOf(bytes).setUint32(4, second, true);
  return bytes;
}

export function decodePod(bytes: Uint8Array): { slot: number; flags: number } {
  return { slot: viewOf(bytes).getUint32(0, true), flags: viewOf(bytes).getUint32(4, true) };
}

export function decodeSlot(bytes: Uint8Array): number {
  return viewOf(bytes).getUint32(0, true);
}

export function encodeProbePort(slot: number, port: number): Uint8Array {
  return encodeSlot(slot, port);
}

export function decodeOrigin(bytes: Uint8Array): { kind: number; sinceNs: bigint } {
  return { kind: viewOf(bytes).getUint32(0, true), sinceNs: viewOf(bytes).getBigUint64(8, true) };
}

export function decodeRewritten(bytes: Uint8Array): { asked: Endpoint; sinceNs: bigint } {
  const view = viewOf(bytes);
  const asked = { address: decodeAddress(bytes.subarray(0, 16)), port: view.getUint16(16, true) };
  return { asked, sinceNs: view.getBigUint64(24, true) };
}

export interface RawEvent {
  timeNs: bigint;
  netnsCookie: bigint;
  tuple: Tuple;
  slot: number;
  reason: number;
  protocol: number;
}

export function decodeEvent(bytes: Uint8Array): RawEvent {
  const view = viewOf(bytes);
  return {
    timeNs: view.getBigUint64(0, true),
    netnsCookie: view.getBigUint64(8, true),
    tuple: decodeTuple(bytes.subarray(16, 52)),
    slot: view.getUint32(52, true),
    reason: view.getUint32(56, true),
    protocol: view.getUint32(60, true),
  };
}

/** Sum over the CPUs of a per-CPU map's value of one u64. */
export function sumCounters(perCpu: Uint8Array): number {
  const view = viewOf(perCpu);
  let sum = 0n;
  for (let at = 0; at + 8 <= perCpu.length; at += 8) sum += view.getBigUint64(at, true);
  return Number(sum);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
