/** Bytes for BPF_PROG_TEST_RUN: contexts and packets, built by hand. */
import { encodeAddress } from '../../../agent/redirect/layout.ts';

export const PROTOCOL = { hopopts: 0, icmp: 1, igmp: 2, tcp: 6, udp: 17, ipip: 4, fragment: 44, icmp6: 58, sctp: 132 };
export const FLAG = { syn: 0x02, ack: 0x10, rst: 0x04, fin: 0x01 };

/** `struct bpf_sk_lookup` of a TCP SYN, or of another protocol. */
export function lookupContext(
  local: readonly [string, number],
  remote: readonly [string, number],
  protocol = PROTOCOL.tcp,
): Uint8Array {
  const bytes = new Uint8Array(72);
  const view = new DataView(bytes.buffer);
  const v6 = local[0].includes(':');
  view.setUint32(8, v6 ? 10 : 2, true);
  view.setUint32(12, protocol, true);
  bytes.set(v6 ? encodeAddress(remote[0]) : encodeAddress(remote[0]).subarray(12), v6 ? 20 : 16);
  view.setUint16(36, remote[1], false);
  bytes.set(v6 ? encodeAddress(local[0]) : encodeAddress(local[0]).subarray(12), v6 ? 44 : 40);
  view.setUint32(60, local[1], true);
  return bytes;
}

/** `struct __sk_buff` that only says by which interface the packet goes. */
export function packetContext(ifindex: number): Uint8Array {
  const bytes = new Uint8Array(192);
  new DataView(bytes.buffer).setUint32(40, ifindex, true);
  return bytes;
}

export interface PacketParts {
  from: readonly [string, number];
  to: readonly [string, number];
  protocol?: number;
  flags?: number;
  /** In 8-byte units, with the more-fragments bit apart. */
  fragment?: { offset: number; more: boolean };
  /** IPv6 extension headers before the transport header. */
  extensions?: readonly number[];
  /** Cuts the packet after so many bytes of the network header. */
  truncate?: number;
}

/** An Ethernet frame; the kernel strips its header and leaves what cgroup_skb sees. */
export function frame(parts: PacketParts): Uint8Array {
  const v6 = parts.from[0].includes(':');
  const payload = transport(parts);
  const ip = v6 ? ipv6(parts, payload) : ipv4(parts, payload);
  const ethernet = new Uint8Array(14);
  new DataView(ethernet.buffer).setUint16(12, v6 ? 0x86dd : 0x0800, false);
  return concat(ethernet, parts.truncate === undefined ? ip : ip.subarray(0, parts.truncate));
}

function transport({ from, to, flags = FLAG.syn }: PacketParts): Uint8Array {
  const tcp = new Uint8Array(20);
  const view = new DataView(tcp.buffer);
  view.setUint16(0, from[1], false);
  view.setUint16(2, to[1], false);
  view.setUint8(12, 5 << 4);
  view.setUint8(13, flags);
  return tcp;
}

function ipv4({ from, to, protocol = PROTOCOL.tcp, fragment }: PacketParts, payload: Uint8Array): Uint8Array {
  const header = new Uint8Array(20);
  const view = new DataView(header.buffer);
  view.setUint8(0, 0x45);
  view.setUint16(2, 20 + payload.length, false);
  if (fragment !== undefined) view.setUint16(6, (fragment.more ? 0x2000 : 0) | fragment.offset, false);
  view.setUint8(8, 64);
  view.setUint8(9, protocol);
  header.set(encodeAddress(from[0]).subarray(12), 12);
  header.set(encodeAddress(to[0]).subarray(12), 16);
  return concat(header, payload);
}

function ipv6(parts: PacketParts, payload: Uint8Array): Uint8Array {
  const { from, to, protocol = PROTOCOL.tcp, fragment, extensions = [] } = parts;
  const chain = fragment === undefined ? [...extensions] : [...extensions, PROTOCOL.fragment];
  const headers = chain.map((kind, i) => {
    const bytes = new Uint8Array(8);
    bytes[0] = chain[i + 1] ?? protocol;
    if (kind === PROTOCOL.fragment && fragment !== undefined) {
      new DataView(bytes.buffer).setUint16(2, (fragment.offset << 3) | (fragment.more ? 1 : 0), false);
    }
    return bytes;
  });
  const header = new Uint8Array(40);
  const view = new DataView(header.buffer);
  view.setUint8(0, 0x60);
  view.setUint16(4, payload.length + headers.length * 8, false);
  view.setUint8(6, chain[0] ?? protocol);
  view.setUint8(7, 64);
  header.set(encodeAddress(from[0]), 8);
  header.set(encodeAddress(to[0]), 24);
  return concat(header, ...headers, payload);
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
